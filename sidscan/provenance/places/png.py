"""PNG: eXIf, caBX and text chunks, wherever they stand; in texts also IPTC and EXIF, as ImageMagick does."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from dataclasses import replace

from sidscan.containers.png import PngChunk, png_chunks, profile_content
from sidscan.provenance.blocks import CUT, ENDS_EARLY, Block, BlockKind, Budget, MetadataLimit, end
from sidscan.provenance.pixel_bits import read_png_bits
from sidscan.provenance.places import place

_XMP_KEY = "XML:com.adobe.xmp"
_PROFILE_KEY = "Raw profile type "
_PROFILES = {
    "iptc": BlockKind.PHOTOSHOP,
    "exif": BlockKind.EXIF,
    "APP1": BlockKind.EXIF,
    "xmp": BlockKind.XMP,
}
_APP1_XMP, _EXIF = b"http://ns.adobe.com/xap/1.0/\x00", b"Exif\x00\x00"
_MOST_CHUNKS = 1 << 17
_TEXTS = (b"tEXt", b"zTXt", b"iTXt")
_CHECKSUM = 4  # bytes


@place(rb"\x89PNG\r\n\x1a\n")
def read_png(data: bytes, budget: Budget) -> Iterator[Block]:
    """Blocks of all chunks, those behind the pixels included."""
    for count, chunk in enumerate(png_chunks(data, with_cut=True)):
        if count == _MOST_CHUNKS:
            raise MetadataLimit
        if chunk.end + _CHECKSUM > len(data):
            yield from _cut(data, chunk, budget)
        else:
            yield from _whole(data, chunk, budget)
    yield from read_png_bits(data, budget)


def _whole(data: bytes, chunk: PngChunk, budget: Budget) -> Iterator[Block]:
    if chunk.kind == b"caBX":
        yield Block(BlockKind.C2PA, "PNG caBX", chunk.body, budget.cut(data, chunk.body, chunk.end))
    elif chunk.kind == b"eXIf":
        body = budget.cut(data, chunk.body, chunk.end).removeprefix(_EXIF)
        yield Block(BlockKind.EXIF, "PNG eXIf", min(chunk.end, len(data)) - len(body), body)
    elif chunk.kind in _TEXTS:
        yield from _text(data, chunk, budget)


def _cut(data: bytes, chunk: PngChunk, budget: Budget) -> Iterator[Block]:
    """What there is of the last chunk, and that the file ends there."""
    blocks = list(_whole(data, chunk, budget))
    if chunk.end > len(data) and (blocks or chunk.kind in _TEXTS):
        name = f"PNG {chunk.kind.decode()}"
        blocks = blocks or [Block(BlockKind.TEXT, name, chunk.body, b"")]
        yield from (replace(block, problem=CUT) for block in blocks)
    else:
        yield from blocks
        yield end("PNG", len(data), ENDS_EARLY)


def _text(data: bytes, chunk: PngChunk, budget: Budget) -> Iterator[Block]:
    keyword, _, rest = budget.cut(data, chunk.body, chunk.end).partition(b"\x00")
    key, container = keyword.decode("latin-1"), f"PNG {chunk.kind.decode()}"
    offset = chunk.body + len(keyword) + 1
    try:
        text = _unpacked(chunk.kind, rest, budget)
    except zlib.error as error:
        kind = BlockKind.XMP if key == _XMP_KEY else _profile_kind(key)
        yield Block(
            kind or BlockKind.TEXT, container, offset, b"", key, f"a damaged text: {error}" if kind else ""
        )
        return
    if key == _XMP_KEY:
        yield Block(BlockKind.XMP, container, offset, text)
    elif kind := _profile_kind(key):
        yield from _profile(kind, f"{container} {key}", offset, text)
    else:
        yield Block(BlockKind.TEXT, container, offset, text, key)


def _profile_kind(key: str) -> BlockKind | None:
    return _PROFILES.get(key.removeprefix(_PROFILE_KEY)) if key.startswith(_PROFILE_KEY) else None


def _unpacked(kind: bytes, rest: bytes, budget: Budget) -> bytes:
    if kind == b"zTXt":
        return _inflate(rest[1:], budget)
    if kind == b"iTXt":  # compression flag and method, then language and translated keyword
        text = rest[2:].partition(b"\x00")[2].partition(b"\x00")[2]
        return _inflate(text, budget) if rest[:1] == b"\x01" else text
    return rest


def _inflate(packed: bytes, budget: Budget) -> bytes:
    """An unpacked text; of one that is cut off, what there is.

    Raises:
        zlib.error: it is damaged.
    """
    text = zlib.decompressobj().decompress(packed, budget.left + 1)
    budget.take(len(text))
    return text


def _profile(kind: BlockKind, container: str, offset: int, text: bytes) -> Iterator[Block]:
    """A block written as hexadecimal digits; a profile of the type APP1 holds EXIF or XMP."""
    block = profile_content(text)
    if block is None:
        return
    if block.startswith(_APP1_XMP):
        kind, block = BlockKind.XMP, block.removeprefix(_APP1_XMP)
    if kind is BlockKind.PHOTOSHOP and not block.startswith(b"8BIM"):
        kind = BlockKind.IPTC
    yield Block(kind, container, offset, block.removeprefix(_EXIF))
