"""WebP: its chunks EXIF, XMP and C2PA."""

from __future__ import annotations

from collections.abc import Iterator

from sidscan.containers.riff import riff_chunks
from sidscan.provenance.blocks import (
    CUT,
    CUT_BEFORE,
    ENDS_EARLY,
    Block,
    BlockKind,
    Budget,
    MetadataLimit,
    end,
)
from sidscan.provenance.pixel_bits import read_webp_bits
from sidscan.provenance.places import place

_KINDS = {b"C2PA": BlockKind.C2PA, b"EXIF": BlockKind.EXIF, b"XMP ": BlockKind.XMP}
_FRAME = b"ANMF"
_HEAD, _FILE_HEAD = 8, 8  # bytes
_EXIF = b"Exif\x00\x00"  # which some writers put before the block, as in JPEG
_MOST_CHUNKS = 1 << 17


@place(rb"RIFF....WEBP")
def read_webp(data: bytes, budget: Budget) -> Iterator[Block]:
    """Blocks of all chunks."""
    chunks_end, last = 12, b""
    for count, chunk in enumerate(riff_chunks(data, with_cut=True)):
        if count == _MOST_CHUNKS:
            raise MetadataLimit
        if kind := _KINDS.get(chunk.kind):
            block = budget.cut(data, chunk.body, chunk.end).removeprefix(_EXIF)
            container = f"WebP {chunk.kind.decode().strip()}"
            offset = min(chunk.end, len(data)) - len(block)
            problem = CUT if chunk.end > len(data) else ""
            yield Block(kind, container, offset, block, problem=problem)
        chunks_end, last = chunk.end + chunk.end % 2, chunk.kind
    yield from _lost(data, chunks_end, last)
    yield from read_webp_bits(data, budget)


def _lost(data: bytes, chunks_end: int, last: bytes) -> Iterator[Block]:
    """Whether the file states chunks behind its end: behind pixels these are metadata, or more frames."""
    stated_end = _FILE_HEAD + int.from_bytes(data[4:8], "little")
    if len(data) < stated_end and stated_end - chunks_end >= _HEAD:
        yield end("WebP", len(data), ENDS_EARLY if last == _FRAME else CUT_BEFORE)
