"""Chunks of WebP (RFC 9649): kind, length and body, padded to an even length."""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator

from sidscan.images.left_out import FRAMES, METADATA, PixelsOnly

_WEBP_IMAGES = (b"VP8 ", b"VP8L")
_WEBP_KIND = re.compile(rb"VP8[XL ]|ALPH|AN(IM|MF)|ICCP|EXIF|XMP |[A-Z0-9 ]{0,3}$")
_WEBP_MARK = re.compile(rb"VP8 |VP8L|ALPH|ANMF")
_HAS_ALPHA, _IS_ANIMATION = 0x10, 0x02


def webp_pixels_only(data: bytes) -> PixelsOnly | None:
    parts, flags = dict[bytes, bytes](), set[str]()
    for kind, chunk in _webp_chunks(data):
        if b"ANMF" in parts:
            flags.add(FRAMES if kind == b"ANMF" else METADATA)
        elif kind in (b"VP8X", b"ALPH", b"ANIM", b"ANMF", *_WEBP_IMAGES):
            parts.setdefault(kind, chunk)
            if kind in _WEBP_IMAGES:
                break
        else:
            flags.add(METADATA)
    image = next((parts[kind] for kind in (b"ANMF", *_WEBP_IMAGES) if kind in parts), None)
    if image is None:
        return None
    if int.from_bytes(image[4:8], "little") + 8 > len(image):
        return None  # truncated
    end, has_length = data.find(image) + len(image), int.from_bytes(data[4:8], "little") + 8 == len(data)
    if not has_length and not _is_webp_chunk(data, end):
        return None  # bytes are missing or too many within the image
    extended = b""
    if b"ANMF" in parts:
        canvas = parts[b"VP8X"][12:18]
        features = parts[b"VP8X"][8] & _HAS_ALPHA | _IS_ANIMATION
        extended = struct.pack("<4sIB3x", b"VP8X", 10, features) + canvas
        extended += struct.pack("<4sI6x", b"ANIM", 6)
    elif b"ALPH" in parts:
        width, height = struct.unpack_from("<HH", image, 14)
        canvas = b"".join(((side & 0x3FFF) - 1).to_bytes(3, "little") for side in (width, height))
        extended = struct.pack("<4sIB3x", b"VP8X", 10, _HAS_ALPHA) + canvas + parts[b"ALPH"]
    body = b"WEBP" + extended + image
    whole = b"RIFF" + struct.pack("<I", len(body)) + body
    if len(whole) < len(data):
        flags = flags or {FRAMES if b"ANMF" in parts else METADATA}
    return PixelsOnly(whole, tuple(sorted(flags)))


def _webp_chunks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Kind and bytes of each chunk; where a length leads nowhere, the next image is looked for."""
    offset = 12
    while offset + 8 <= len(data):
        kind, size = struct.unpack_from("<4sI", data, offset)
        end = offset + 8 + size + size % 2
        is_image = kind in (*_WEBP_IMAGES, b"ALPH", b"ANMF")
        if not is_image and (end > len(data) or not _is_webp_chunk(data, end)):
            yield kind, b""
            match = _WEBP_MARK.search(data, offset + 4)
            if match is None:
                return
            offset = match.start()
            continue
        chunk = data[offset : offset + 8 + size]
        yield kind, chunk + bytes(size % 2) if len(chunk) == 8 + size else chunk
        offset = end


def _is_webp_chunk(data: bytes, offset: int) -> bool:
    """Whether a chunk's kind stands there, or the file ends."""
    return _WEBP_KIND.match(data[offset : offset + 4]) is not None
