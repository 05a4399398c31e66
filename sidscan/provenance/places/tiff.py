"""TIFF, DNG and camera raw files built like them: tags of the first pages."""

from __future__ import annotations

from collections.abc import Iterator

from sidscan.containers import tiff_directories as tiff
from sidscan.containers.tiff_directories import Page, read_pages
from sidscan.provenance.blocks import Block, BlockKind, Budget
from sidscan.provenance.places import place

_TAGS = {
    tiff.C2PA: ("TIFF tag 52545", BlockKind.C2PA),
    tiff.XMP: ("TIFF tag 700", BlockKind.XMP),
    tiff.IPTC: ("TIFF tag 33723", BlockKind.IPTC),
    tiff.PHOTOSHOP: ("TIFF tag 34377", BlockKind.PHOTOSHOP),
}


@place(rb"II[*+]\x00|MM\x00[*+]")
def read_tiff(data: bytes, budget: Budget) -> Iterator[Block]:
    """Blocks of the tags of all pages; the file itself is its EXIF block."""
    yield Block(BlockKind.EXIF, "TIFF", 0, data)
    seen = set[int]()
    for page in read_pages(data, children=False):
        for tag, (container, kind) in _TAGS.items():
            for offset, value in _value(page, tag, budget, seen):
                yield Block(kind, container, offset, value)


def _value(page: Page, tag: int, budget: Budget, seen: set[int]) -> Iterator[tuple[int, bytes]]:
    """Where the bytes of a tag begin, and the bytes; once, although several pages may share them."""
    span = page.span(tag)
    if span is not None and span[0] not in seen:
        seen.add(span[0])
        yield span[0], budget.cut(page.file.data, *span)
