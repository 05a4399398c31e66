"""TIFF, DNG and camera raw files built like them: tags of the first pages."""

from __future__ import annotations

from collections.abc import Iterator

from sidscan.containers import tiff_directories as tiff
from sidscan.containers.tiff_directories import EXIF_IFD, Page, read_child, read_pages
from sidscan.provenance.blocks import CUT, CUT_BEFORE, ENDS_EARLY, Block, BlockKind, Budget, end
from sidscan.provenance.exif import EXIF_TAGS, TAGS
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
    pages = read_pages(data, children=False)
    if not pages:
        yield end("TIFF", len(data), CUT_BEFORE)
        return
    for page in pages:
        for tag, (container, kind) in _TAGS.items():
            if page.is_cut(tag):
                yield Block(kind, container, page.directory.offset, b"", problem=CUT)
            for offset, value in _value(page, tag, budget, seen):
                yield Block(kind, container, offset, value)
        yield from _cut_exif(page)
    if pages[-1].directory.next_offset >= len(data):
        yield end("TIFF", len(data), ENDS_EARLY)


def _cut_exif(page: Page) -> Iterator[Block]:
    """That a text of EXIF lies behind the end of the file, or the directory that holds others."""
    child = read_child(page, EXIF_IFD)
    is_cut = any(map(page.is_cut, TAGS)) or (EXIF_IFD in page and child is None)
    if is_cut or (child is not None and any(map(child.is_cut, EXIF_TAGS))):
        yield Block(BlockKind.EXIF, "TIFF", page.directory.offset, b"", problem=CUT)


def _value(page: Page, tag: int, budget: Budget, seen: set[int]) -> Iterator[tuple[int, bytes]]:
    """Where the bytes of a tag begin, and the bytes; once, although several pages may share them."""
    span = page.span(tag)
    if span is not None and span[0] not in seen:
        seen.add(span[0])
        yield span[0], budget.cut(page.file.data, *span)
