"""Which JPEG 2000 images Pillow gives as they are (ISO/IEC 15444-1).

Pillow rounds deep colour samples to 8 bits without a bound, so that white wraps round to black; it merges
repeated entries of palettes, and takes all colours for RGB. What would give other pixels is named here, and
the decoder refuses it.
"""

from __future__ import annotations

from dataclasses import dataclass

from sidscan.containers.isobmff import content

NAME = "JPEG2000"
_CODESTREAM = b"\xff\x4f\xff\x51"  # SOC and SIZ
_COMPONENTS = 40  # offset of Csiz from SOC; three bytes for each component follow
_CMYK, _SRGB, _GREY, _SYCC = 12, 16, 17, 18  # EnumCS: table I.10, and ISO/IEC 15444-2, M.11.7.3
_CHANNELS = {
    _CMYK: (4,),
    _SRGB: (3, 4),
    _GREY: (1, 2),
    _SYCC: (3,),
    None: (1, 2, 3),
}  # that Pillow takes for these
_ICC_CHANNELS = {b"RGB ": (3, 4), b"GRAY": (1, 2)}  # colour space of a profile: ICC.1, 7.2.6


@dataclass(frozen=True, slots=True)
class _Component:
    bits: int
    signed: bool
    step: tuple[int, int]  # horizontal and vertical distance of its samples


def bits_per_sample(data: bytes) -> int:
    """Of the deepest component; 8 where the header is damaged."""
    return max((component.bits for component in _components(data)), default=8)


def why_unreadable(data: bytes) -> str:
    """Why Pillow would give other pixels than the image's; empty if it gives these."""
    components = _components(data)
    depths = sorted({component.bits for component in components})
    if any(component.signed for component in components):
        return "signed samples"
    if depths not in ([], [8]) and not (len(components) == 1 and 8 < depths[0] <= 16):
        return f"samples of {depths[-1]} bits; convert it to 8 bits per sample"
    if data.startswith(_CODESTREAM):
        return _why_unlike(components, None, _CHANNELS[None])
    return (
        _why_unreadable_palette(data, components)
        if _palette(data)
        else _why_unreadable_colours(data, components)
    )


def _components(data: bytes) -> tuple[_Component, ...]:
    start = data.find(_CODESTREAM)
    count = int.from_bytes(data[start + _COMPONENTS : start + _COMPONENTS + 2], "big")
    fields = data[start + _COMPONENTS + 2 :][: 3 * count] if start >= 0 else b""
    return tuple(
        _Component((fields[i] & 0x7F) + 1, fields[i] > 0x7F, (fields[i + 1], fields[i + 2]))
        for i in range(0, len(fields) - 2, 3)
    )


def _why_unlike(components: tuple[_Component, ...], colours: int | None, channels: tuple[int, ...]) -> str:
    """Why components are not those of a colour space."""
    if len(components) not in channels:
        return f"{len(components)} components, whose colours nothing states"
    if len({component.step for component in components}) > 1 and colours != _SYCC:
        return "components of different sizes"
    return ""


def _why_unreadable_colours(data: bytes, components: tuple[_Component, ...]) -> str:
    colr = content(data, b"jp2h", b"colr")
    if colr[:1] == b"\x01":  # by number
        colours = int.from_bytes(colr[3:7], "big")
        if colours not in _CHANNELS:
            return f"the colour space {colours}"
        return _why_unlike(components, colours, _CHANNELS[colours])
    if colr[:1] in (b"\x02", b"\x03"):  # by a profile
        profile = colr[3 + 16 : 3 + 20]
        if profile not in _ICC_CHANNELS:
            return f"the colour space {profile.decode('latin-1').strip()}"
        return _why_unlike(components, None, _ICC_CHANNELS[profile])
    return _why_unlike(components, None, _CHANNELS[None])


def _palette(data: bytes) -> bytes:
    return content(data, b"jp2h", b"pclr")


def _why_unreadable_palette(data: bytes, components: tuple[_Component, ...]) -> str:
    """Of an image with a palette; Pillow reads those of one component, and of RGB colours that all differ."""
    palette = _palette(data)
    entries, columns = int.from_bytes(palette[:2], "big"), palette[2] if len(palette) > 2 else 0
    depths, values = palette[3 : 3 + columns], palette[3 + columns :]
    colours = {values[i * columns : (i + 1) * columns] for i in range(entries)}
    colr = content(data, b"jp2h", b"colr")
    is_rgb = (
        colr[3:7] == _SRGB.to_bytes(4, "big") if colr[:1] == b"\x01" else colr[3 + 16 : 3 + 20] == b"RGB "
    )
    mapping = content(data, b"jp2h", b"cmap")
    plain = mapping == b"".join(bytes((0, 0, 1, column)) for column in range(columns))
    readable = len(components) == 1 and columns == 3 and set(depths) == {7} and is_rgb and plain
    return (
        ""
        if readable and components[0].bits == 8 and len(colours) == entries
        else "a palette of an unusual kind"
    )
