"""Photoshop files (PSD): whether Pillow gives their composite image as it is, and how to make it.

Photoshop leaves the composite white if the user turns off "Maximize compatibility", and then says so. Pillow
inverts bitmaps, shows inks as grey, and misplaces the rows of compressed files with more channels than those
of the colours. Source: Adobe Photoshop File Formats Specification.
"""

from __future__ import annotations

NAME = "PSD"
_HEADER_BYTES = 26
_VERSION_INFO = 1057  # image resource
_COLOUR_CHANNELS = {1: 1, 2: 1, 3: 3, 4: 4, 9: 3}  # of the modes grey, indexed, RGB, CMYK and Lab
_INDEXED, _PALETTE_BYTES = 2, 768
_PACKED = 1  # PackBits: the lengths of all rows come before the rows


def why_unreadable(data: bytes) -> str:
    """Why the image can't be scored; empty if it can."""
    bits, mode = _number(data, 22, 2), _number(data, 24, 2)
    version_info = _image_resource(data, _VERSION_INFO)
    if len(version_info) >= 5 and not version_info[4]:  # version: 4 bytes; hasRealMergedData: 1
        return "no composite image; save it again with Maximize compatibility on"
    if bits != 8:
        return f"samples of {bits} bits; convert it to 8 bits per channel"
    if mode not in _COLOUR_CHANNELS:
        return f"the colour mode {mode} (0 bitmap, 7 multichannel, 8 duotone); convert it to RGB or grey"
    return "a palette of an unusual size" if mode == _INDEXED and _number(data, 26) != _PALETTE_BYTES else ""


def extra_channels(data: bytes) -> int:
    """How many there are besides the colours': transparency, selections, inks; 0 for any other file."""
    colours = _COLOUR_CHANNELS.get(_number(data, 24, 2), 0) if data.startswith(b"8BPS") else 0
    return max(_number(data, 12, 2) - colours, 0) if colours else 0


def colours_alone(data: bytes) -> bytes:
    """The file without its extra channels, so that Pillow finds the rows of the others."""
    extra = extra_channels(data)
    if not extra:
        return data
    start = _image_data(data)
    channels = _number(data, 12, 2) - extra
    head = data[:12] + channels.to_bytes(2, "big") + data[14:start]
    if _number(data, start, 2) != _PACKED:
        return head + data[start:]
    lengths = 2 * _number(data, 14)  # bytes for each channel
    kept, skipped = start + 2 + channels * lengths, extra * lengths
    return head + data[start:kept] + data[kept + skipped :]


def _image_data(data: bytes) -> int:
    """Where it begins: behind the header, and three sections that state their lengths."""
    position = _HEADER_BYTES
    for _ in range(3):
        position += 4 + _number(data, position)
    return position


def _image_resource(data: bytes, wanted: int) -> bytes:
    """An image resource block; empty where there is none, or where the blocks are damaged."""
    position = _HEADER_BYTES
    position += 4 + _number(data, position)  # colour mode data
    end, position = position + 4 + _number(data, position), position + 4
    while position + 12 <= min(end, len(data)) and data[position : position + 4] == b"8BIM":
        kind = _number(data, position + 4, 2)
        position += 6 + (data[position + 6] + 2) // 2 * 2  # the name, a Pascal string of even length
        length = _number(data, position)
        if kind == wanted:
            return data[position + 4 : position + 4 + length]
        position += 4 + (length + 1) // 2 * 2
    return b""


def _number(data: bytes, position: int, count: int = 4) -> int:
    return int.from_bytes(data[position : position + count], "big")
