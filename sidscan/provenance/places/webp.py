"""WebP: its chunks EXIF, XMP and C2PA."""

from __future__ import annotations

from collections.abc import Iterator

from sidscan.containers.riff import riff_chunks
from sidscan.provenance.blocks import Block, BlockKind, Budget, MetadataLimit
from sidscan.provenance.pixel_bits import read_webp_bits
from sidscan.provenance.places import place

_KINDS = {b"C2PA": BlockKind.C2PA, b"EXIF": BlockKind.EXIF, b"XMP ": BlockKind.XMP}
_EXIF = b"Exif\x00\x00"  # which some writers put before the block, as in JPEG
_MOST_CHUNKS = 1 << 17


@place(rb"RIFF....WEBP")
def read_webp(data: bytes, budget: Budget) -> Iterator[Block]:
    """Blocks of all chunks."""
    for count, chunk in enumerate(riff_chunks(data)):
        if count == _MOST_CHUNKS:
            raise MetadataLimit
        if kind := _KINDS.get(chunk.kind):
            block = budget.cut(data, chunk.body, chunk.end).removeprefix(_EXIF)
            container = f"WebP {chunk.kind.decode().strip()}"
            yield Block(kind, container, chunk.end - len(block), block)
    yield from read_webp_bits(data, budget)
