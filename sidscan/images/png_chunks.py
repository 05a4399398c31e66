"""Chunks of PNG (W3C PNG, third edition, section 5): length, kind, body and CRC."""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterator, Sequence

from sidscan.images.left_out import FRAMES, METADATA, PixelsOnly

_PNG_NEEDED = (b"IHDR", b"PLTE", b"IDAT", b"IEND")
_PNG_FRAMES = (b"acTL", b"fcTL", b"fdAT")
_PNG_KINDS = re.compile(
    rb"IHDR|PLTE|IDAT|IEND|tRNS|acTL|fcTL|fdAT|eXIf|iCCP|sRGB|gAMA|cHRM|cICP|pHYs|bKGD|hIST|sBIT|sPLT|tIME|[itz]TXt|tEXt"
)
_PNG_PROFILE = b"Raw profile type "
_PALETTE_COLOUR = 3
_MAX_TEXT = 1 << 20  # bytes of an unpacked text


def png_pixels_only(data: bytes) -> PixelsOnly | None:
    parts, flags, info, kinds = [data[:8]], set[str](), dict[str, bytes | str](), set[bytes]()
    for kind, chunk, is_whole in _png_chunks(data):
        kinds.add(kind)
        body = chunk[8:-4]
        if kind in _PNG_NEEDED or (kind == b"tRNS" and is_whole and len(body) in _transparency_sizes(data)):
            parts.append(chunk)
            continue
        flags.add(FRAMES if kind in _PNG_FRAMES else METADATA)
        if is_whole:
            info |= _png_exif(kind, body)
    if data[25] == _PALETTE_COLOUR and b"PLTE" not in kinds:
        return None
    return PixelsOnly(b"".join(parts), tuple(sorted(flags)), info)


def damaged_png_chunk(data: bytes) -> str:
    """Name of the first chunk that pixels need and whose CRC doesn't fit; empty if there is none."""
    if not data.startswith(b"\x89PNG"):
        return ""
    damaged = (kind for kind, _, is_whole in _png_chunks(data) if kind in _PNG_NEEDED and not is_whole)
    return next(damaged, b"").decode()


def _png_chunks(data: bytes) -> Iterator[tuple[bytes, bytes, bool]]:
    """Kind, all bytes, and whether the CRC fits, of each chunk that can be found."""
    offset = 8
    while offset + 8 <= len(data):
        kind, end = data[offset + 4 : offset + 8], _png_end(data, offset)
        is_whole = _png_crc_fits(data, offset, end)
        if not is_whole and kind not in _PNG_NEEDED:
            yield kind, b"", False
            following = _next_png_chunk(data, offset, end)
            if following is None:
                return
            offset = following
            continue
        yield kind, data[offset:end], is_whole
        if kind == b"IEND":
            return
        offset = end


def _png_end(data: bytes, offset: int) -> int:
    return offset + 12 + int.from_bytes(data[offset : offset + 4], "big")


def _png_crc_fits(data: bytes, offset: int, end: int) -> bool:
    return end <= len(data) and zlib.crc32(memoryview(data)[offset + 4 : end - 4]) == int.from_bytes(
        data[end - 4 : end], "big"
    )


def _next_png_chunk(data: bytes, offset: int, stated_end: int) -> int | None:
    """Where the chunk behind a damaged one begins: one with a fitting CRC, or truncated image data."""
    for match in _PNG_KINDS.finditer(data, offset + 5):
        start = match.start() - 4
        is_cut = match[0] == b"IDAT" and _png_end(data, start) > len(data)
        if is_cut or _png_crc_fits(data, start, _png_end(data, start)):
            return start
    return stated_end if stated_end <= len(data) else None


def _transparency_sizes(data: bytes) -> Sequence[int]:
    """Bytes that tRNS may have, by the colour type in IHDR."""
    sizes: dict[int, Sequence[int]] = {0: (2,), 2: (6,), _PALETTE_COLOUR: range(1, 257)}
    return sizes.get(data[25], ())


def _png_exif(kind: bytes, body: bytes) -> dict[str, bytes | str]:
    if kind == b"eXIf":
        return {"exif": b"Exif\x00\x00" + body}
    name, _, text = body.partition(b"\x00")
    if kind not in (b"tEXt", b"zTXt") or not name.startswith(_PNG_PROFILE):
        return {}
    if kind == b"zTXt":
        try:
            text = zlib.decompressobj().decompress(text[1:], _MAX_TEXT)
        except zlib.error:
            return {}
    return {name.decode("latin-1"): text.decode("latin-1")}
