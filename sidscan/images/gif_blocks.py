"""GIF files without their metadata and later frames."""

from __future__ import annotations

import re
import struct

from sidscan.containers.gif import EXTENSION, IMAGE, colour_bytes, end_of_blocks
from sidscan.images.left_out import FRAMES, METADATA, PixelsOnly

_TRAILER, _GRAPHIC_CONTROL = 0x3B, 0xF9
_GIF_MARK = re.compile(rb"\x21\xf9\x04.{4}\x00\x2c|\x2c", re.DOTALL)


def gif_pixels_only(data: bytes) -> PixelsOnly | None:
    head = 13 + colour_bytes(data[10])
    offset, control, flags = head, b"", set[str]()
    while data[offset] == EXTENSION:
        end = _end_of_extension(data, offset)
        if end is None or data[end] not in (EXTENSION, IMAGE):
            break
        if data[offset + 1] == _GRAPHIC_CONTROL:
            control = data[offset:end]
        else:
            flags.add(METADATA)
        offset = end
    if data[offset] != IMAGE:
        flags.add(METADATA)
        offset = _find_gif_image(data, offset)
        if data[offset] == EXTENSION:
            control, offset = data[offset : offset + 8], offset + 8
    blocks = offset + 10 + colour_bytes(data[offset + 9])
    end = end_of_blocks(data, blocks + 1)
    if end is None:
        return PixelsOnly(data[:head] + control + data[offset:], tuple(sorted(flags)))
    if data[end : end + 1] not in (b"", bytes([_TRAILER])):
        flags.add(FRAMES)
    image = data[:head] + control + data[offset:end] + bytes([_TRAILER])
    return PixelsOnly(image, tuple(sorted(flags)))


def gif_reaches_image(data: bytes) -> bool:
    offset = 13 + colour_bytes(data[10]) if len(data) > 10 else 0
    while data[offset : offset + 1] == bytes([EXTENSION]):
        end = _end_of_extension(data, offset)
        if end is None:
            return False
        offset = end
    return data[offset : offset + 1] == bytes([IMAGE]) and _is_gif_image(data, offset)


def _end_of_extension(data: bytes, offset: int) -> int | None:
    """Where it ends; None where it has no end or holds an image of the screen's size, which none does."""
    end = end_of_blocks(data, offset + 2)
    whole_screen = bytes([IMAGE, 0, 0, 0, 0]) + data[6:10]
    return None if end is None or whole_screen in data[offset:end] else end


def _find_gif_image(data: bytes, offset: int) -> int:
    """Where an image that fits the screen begins; ValueError if none does."""
    for match in _GIF_MARK.finditer(data, offset):
        if _is_gif_image(data, match.end() - 1):
            return match.start()
    raise ValueError("no image")


def _is_gif_image(data: bytes, offset: int) -> bool:
    """Whether an image that fits the screen begins there, as far as its header and first block tell."""
    if offset + 10 > len(data):
        return False
    left, top, width, height, flags = struct.unpack_from("<HHHHB", data, offset + 1)
    screen_width, screen_height = struct.unpack_from("<HH", data, 6)
    codes = offset + 10 + colour_bytes(flags)
    fits = 0 < width <= screen_width - left and 0 < height <= screen_height - top
    return fits and codes + 1 < len(data) and 2 <= data[codes] <= 8 and data[codes + 1] > 0
