"""Images in every supported format, and seeded random damage to their bytes."""

from __future__ import annotations

import importlib.util
import random
import struct
import zlib
from collections.abc import Callable

import numpy as np
from harness import encoded, photo
from PIL import Image, ImageCms, PngImagePlugin

_PNG = b"\x89PNG\r\n\x1a\n"
_XMP = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"/></x:xmpmeta>'
_EXTREMES = (0, 1, 2, 0x7F, 0x80, 0xFF, 0x7FFF, 0x8000, 0xFFFF, 0x10000, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)


def seeds(seed: int) -> dict[str, bytes]:
    """Small images by file name, with EXIF, XMP, colour profiles, text, pages and frames."""
    rng = np.random.default_rng(seed)
    rgb, small = photo(rng, 150, 110), photo(rng, 60, 40)
    grey, exif = rgb.convert("L"), _exif()
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    facts = {"exif": exif, "icc_profile": profile}
    more = {"save_all": True, "append_images": [small.resize(rgb.size), rgb]}
    wide = Image.fromarray(np.asarray(grey).astype(np.uint16) << 8)
    text = PngImagePlugin.PngInfo()
    text.add_text("parameters", "a prompt, steps: 20")
    text.add_text("Comment", "compressed " * 40, zip=True)
    text.add_itxt("XML:com.adobe.xmp", _XMP.decode(), zip=True)
    files = {
        "baseline.jpg": encoded(rgb, "JPEG", quality=85, **facts, xmp=_XMP, comment=b"made for a test"),
        "progressive.jpg": encoded(rgb, "JPEG", quality=70, progressive=True, exif=exif),
        "restarts.jpg": encoded(rgb, "JPEG", quality=60, restart_marker_blocks=3, subsampling=0),
        "grey.jpg": encoded(grey, "JPEG", optimize=True),
        "cmyk.jpg": encoded(rgb.convert("CMYK"), "JPEG"),
        "two.mpo": encoded(rgb, "MPO", save_all=True, append_images=[small]),
        "rgb.png": encoded(rgb, "PNG", pnginfo=text, **facts),
        "alpha.png": encoded(rgb.convert("RGBA"), "PNG"),
        "palette.png": encoded(rgb.quantize(31), "PNG", transparency=3, bits=5),
        "grey16.png": encoded(wide, "PNG"),
        "frames.png": encoded(rgb, "PNG", **more),
        "lossy.webp": encoded(rgb, "WEBP", quality=70, **facts, xmp=_XMP),
        "lossless.webp": encoded(small.convert("RGBA"), "WEBP", lossless=True, exif=exif),
        "frames.webp": encoded(small, "WEBP", save_all=True, append_images=[small.rotate(90)]),
        "plain.tif": encoded(small, "TIFF", icc_profile=profile, description="a test"),
        "lzw.tif": encoded(rgb, "TIFF", compression="tiff_lzw"),
        "deflate.tif": encoded(wide, "TIFF", compression="tiff_adobe_deflate"),
        "jpeg.tif": encoded(rgb, "TIFF", compression="jpeg"),
        "packbits.tif": encoded(grey, "TIFF", compression="packbits"),
        "fax.tif": encoded(grey.convert("1"), "TIFF", compression="group4"),
        "pages.tif": encoded(small, "TIFF", **more),
        "float.tif": encoded(grey.convert("F"), "TIFF"),
        "frames.gif": encoded(rgb, "GIF", **more, comment=b"a test"),
        "single.gif": encoded(small.quantize(16), "GIF", transparency=2),
        "rgb.bmp": encoded(small, "BMP"),
        "palette.bmp": encoded(small.quantize(200), "BMP"),
        "bit.bmp": encoded(grey.convert("1"), "BMP"),
        "still.avif": encoded(small, "AVIF", speed=10, **facts, xmp=_XMP),
        "frames.avif": encoded(small, "AVIF", speed=10, save_all=True, append_images=[small.rotate(180)]),
    }
    if importlib.util.find_spec("pillow_heif"):
        import pillow_heif

        pillow_heif.register_heif_opener()
        files["still.heic"] = encoded(small, "HEIF", quality=50, exif=exif)
        files["alpha.heic"] = encoded(small.convert("RGBA"), "HEIF", quality=50)
    return files


def _exif() -> bytes:
    exif = Image.Exif()
    exif[0x010F], exif[0x0110], exif[0x0131], exif[0x0112] = "Acme", "Acme One", "Acme Raw 2.1", 6
    details = exif.get_ifd(0x8769)
    details[0x9003], details[0xA434], details[0x9286] = (
        "2021:02:03 04:05:06",
        "Acme 35mm",
        b"ASCII\0\0\0hello",
    )
    details[0x927C] = b"Nikon\0\2\x11\0\0MM\0*\0\0\0\x08" + struct.pack(">H", 1) + bytes(16)
    position = exif.get_ifd(0x8825)
    position[1], position[2], position[3], position[4] = "S", (33.0, 51.0, 24.0), "E", (151.0, 12.0, 36.0)
    return exif.tobytes()


def mutated(pool: dict[str, bytes], chance: random.Random) -> tuple[str, bytes]:
    """One to five mutations of one of the images, and its name."""
    name = chance.choice(list(pool))
    data = bytearray(pool[name])
    for _ in range(chance.choice((1, 1, 1, 1, 2, 2, 3, 5))):
        if len(data) < 2:
            break
        mutation = chance.choice(_MUTATIONS)
        data = bytearray(mutation(data, chance, pool))
    # A wrong checksum would hide all other damage from the decoder.
    return name, _mended(bytes(data)) if data.startswith(_PNG) and chance.random() < 0.8 else bytes(data)


Mutation = Callable[[bytearray, random.Random, dict[str, bytes]], bytes | bytearray]


def _bits(data: bytearray, chance: random.Random, _: dict[str, bytes]) -> bytearray:
    for _unused in range(chance.choice((1, 2, 8, 32))):
        data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
    return data


def _set(data: bytearray, chance: random.Random, _: dict[str, bytes]) -> bytearray:
    start = chance.randrange(len(data))
    length = min(chance.choice((1, 4, 16, 200)), len(data) - start)
    value = chance.choice((b"\0", b"\xff", b"\x7f", bytes([chance.randrange(256)])))
    data[start : start + length] = value * length
    return data


def _cut(data: bytearray, chance: random.Random, _: dict[str, bytes]) -> bytearray:
    return data[: chance.randrange(1, len(data))]


def _gap(data: bytearray, chance: random.Random, _: dict[str, bytes]) -> bytearray:
    start = chance.randrange(len(data))
    del data[start : start + chance.choice((1, 2, 7, 64, 500))]
    return data


def _extreme(data: bytearray, chance: random.Random, _: dict[str, bytes]) -> bytearray:
    """Set an integer in the header or anywhere else to the largest, the smallest, or a value near a limit."""
    start = chance.randrange(min(len(data), chance.choice((40, 200, 2000, len(data)))))
    code, mask = chance.choice((("H", 0xFFFF), ("I", 0xFFFFFFFF), ("I", 0xFFFFFFFF)))
    value = (chance.choice(_EXTREMES) - chance.choice((0, 0, 1))) & mask
    packed = struct.pack(chance.choice("<>") + code, value)
    data[start : start + len(packed)] = packed
    return data


def _length(data: bytearray, chance: random.Random, _: dict[str, bytes]) -> bytearray:
    """Change the length that a part of the file states."""
    starts = _starts(data)
    start = chance.choice(starts)
    at, code = {"jpeg": (start + 2, ">H"), "riff": (start + 4, "<I")}.get(_family(data), (start, ">I"))
    size = struct.calcsize(code)
    if at + size <= len(data):
        (stated,) = struct.unpack_from(code, data, at)
        value = chance.choice((*_EXTREMES, stated - 1, stated + 1, stated * 2, len(data)))
        struct.pack_into(code, data, at, value % (1 << 8 * size))
    return data


def _twice(data: bytearray, chance: random.Random, _: dict[str, bytes]) -> bytes:
    parts = _parts(data)
    at = chance.randrange(len(parts))
    parts[at:at] = [parts[at]] * chance.choice((1, 1, 3, 50))
    return b"".join(parts)


def _without(data: bytearray, chance: random.Random, _: dict[str, bytes]) -> bytes:
    parts = _parts(data)
    del parts[chance.randrange(len(parts))]
    return b"".join(parts) or b"\0"


def _shuffled(data: bytearray, chance: random.Random, _: dict[str, bytes]) -> bytes:
    parts = _parts(data)
    first, second = chance.randrange(len(parts)), chance.randrange(len(parts))
    parts[first], parts[second] = parts[second], parts[first]
    return b"".join(parts)


def _splice(data: bytearray, chance: random.Random, pool: dict[str, bytes]) -> bytes:
    other = chance.choice(list(pool.values()))
    mine, theirs = _parts(data), _parts(bytearray(other))
    if chance.random() < 0.5:
        at = chance.randrange(len(mine))
        return b"".join((*mine[:at], chance.choice(theirs), *mine[at:]))
    return bytes(data[: chance.randrange(len(data))] + other[chance.randrange(len(other)) :])


def _directory(data: bytearray, chance: random.Random, _: dict[str, bytes]) -> bytearray:
    """Change an entry of a TIFF directory, also within EXIF: its type, count or offset."""
    order = next((mark for mark in (b"II*\0", b"MM\0*") if mark in data), None)
    if order is None:
        return _extreme(data, chance, {})
    base, mark = data.index(order), "<" if order.startswith(b"II") else ">"
    try:
        (at,) = struct.unpack_from(mark + "I", data, base + 4)
        (count,) = struct.unpack_from(mark + "H", data, base + at)
        entry = base + at + 2 + 12 * chance.randrange(max(count, 1))
        field, code = chance.choice(((0, "H"), (2, "H"), (4, "I"), (8, "I")))
        values = (*_EXTREMES, 8, at, 0x8769, 0x927C, 0x8825, 0x3C002020)
        struct.pack_into(
            mark + code, data, entry + field, chance.choice(values) % (1 << (16, 32)[code == "I"])
        )
    except struct.error:
        pass
    return data


_MUTATIONS: tuple[Mutation, ...] = (
    *(_bits, _bits, _set, _cut, _gap, _extreme, _extreme, _length, _length),
    *(_twice, _without, _shuffled, _splice, _directory, _directory),
)


def _family(data: bytes | bytearray) -> str:
    if data[:8] == _PNG:
        return "png"
    if data[:2] == b"\xff\xd8":
        return "jpeg"
    if data[:4] == b"RIFF":
        return "riff"
    return "boxes" if data[4:8] == b"ftyp" else "other"


def _starts(data: bytes | bytearray) -> list[int]:
    """Offsets of the parts of a file, as far as they can be followed."""
    family, at, starts = _family(data), 0, [0]
    if family == "other":
        return list(range(0, len(data), 64))
    at = {"png": 8, "jpeg": 2, "riff": 12, "boxes": 0}[family]
    while at + 8 <= len(data) and len(starts) < 10_000:
        starts.append(at)
        if family == "jpeg":
            if data[at] != 0xFF or data[at + 1] == 0xDA:
                break
            at += 2 + int.from_bytes(data[at + 2 : at + 4], "big")
        elif family == "riff":
            size = int.from_bytes(data[at + 4 : at + 8], "little")
            at += 8 + size + size % 2
        else:
            at += max(int.from_bytes(data[at : at + 4], "big") + (12 if family == "png" else 0), 8)
    return sorted({start for start in starts if start < len(data)})


def _parts(data: bytes | bytearray) -> list[bytes]:
    starts = _starts(data)
    return [bytes(data[start:end]) for start, end in zip(starts, [*starts[1:], len(data)], strict=True)]


def _mended(data: bytes) -> bytes:
    """A PNG with correct checksums for its current chunks."""
    out, at = bytearray(data[:8]), 8
    while at + 12 <= len(data):
        size = int.from_bytes(data[at : at + 4], "big")
        if at + 12 + size > len(data):
            break
        body = data[at + 4 : at + 8 + size]
        out += data[at : at + 4] + body + struct.pack(">I", zlib.crc32(body))
        at += 12 + size
    return bytes(out + data[at:])
