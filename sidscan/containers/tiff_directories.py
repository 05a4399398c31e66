"""What the directories of a TIFF file say of its images: which is the photograph, which a small copy.

Pillow opens the first directory. Camera raw files put a small preview there, and the image itself into a
directory of its own (SubIFD; TIFF/EP, ISO 12234-2).
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass

from sidscan.containers.tiff_file import FIELD_BYTES, Directory, TiffFile

WIDTH, HEIGHT, COMPRESSION, PHOTOMETRIC = 256, 257, 259, 262
MAKE, STRIP_OFFSETS, STRIP_BYTE_COUNTS, TILE_OFFSETS, SUB_IFDS = 271, 273, 279, 324, 330
C2PA, XMP, IPTC, PHOTOSHOP = 52545, 700, 33723, 34377  # blocks of metadata
EXIF_IFD, EXIF_WIDTH, EXIF_HEIGHT = 34665, 40962, 40963
_MOST_PAGES, _MOST_SUB_IFDS, _MOST_VALUES = 8, 32, 1 << 16


@dataclass(frozen=True)
class Page:
    """One image of a file, or other facts. Values are read when they are asked for: many tags may share them.

    Attributes:
        is_child: whether it is a SubIFD of another one.
    """

    file: TiffFile
    directory: Directory
    is_child: bool = False

    def __contains__(self, tag: int) -> bool:
        return tag in self.directory.entries

    def numbers(self, tag: int) -> tuple[int, ...]:
        """The values of a tag; empty if it is missing or damaged, or has too many."""
        entry = self.directory.entries.get(tag)
        if entry is None or entry.count > _MOST_VALUES:
            return ()
        try:
            return self.file.values(self.directory, tag)
        except (struct.error, ValueError):
            return ()

    def number(self, tag: int) -> int:
        """The first value of a tag; 0 if it is missing."""
        return next(iter(self.numbers(tag)), 0)

    def text(self, tag: int) -> str:
        """The value of a tag of text."""
        entry = self.directory.entries.get(tag)
        if entry is None:
            return ""
        value = entry.value
        if entry.count > len(value):
            start = self.file.offset_of(entry)
            value = self.file.data[start : start + min(entry.count, _MOST_VALUES)]
        return value.split(b"\x00")[0].decode("latin-1").strip()

    def span(self, tag: int) -> tuple[int, int] | None:
        """Where the bytes of a tag begin and end; None where it is missing, short or beyond the file."""
        entry = self.directory.entries.get(tag)
        if entry is None or (size := entry.count * FIELD_BYTES.get(entry.type, 0)) <= len(entry.value):
            return None
        start = self.file.offset_of(entry)
        return (start, start + size) if start + size <= len(self.file.data) else None

    def is_cut(self, tag: int) -> bool:
        """Whether the bytes of a tag lie behind the end of the file, or some of them."""
        entry = self.directory.entries.get(tag)
        if entry is None or (size := entry.count * FIELD_BYTES.get(entry.type, 0)) <= len(entry.value):
            return False
        return self.file.offset_of(entry) + size > len(self.file.data)

    @property
    def size(self) -> tuple[int, int]:
        """Width and height, pixels; 0 where they are missing."""
        return self.number(WIDTH), self.number(HEIGHT)

    @property
    def area(self) -> int:
        """Pixels."""
        return self.number(WIDTH) * self.number(HEIGHT)


def read_pages(data: bytes, children: bool = True) -> list[Page]:
    """The first pages of a file, each followed by its SubIFDs; empty if even the first can't be read.

    Args:
        children: whether SubIFDs are read.
    """
    pages: list[Page] = []
    with suppress(struct.error, ValueError):
        pages.extend(_pages(TiffFile(data), children))
    return pages


def read_child(page: Page, tag: int) -> Page | None:
    """The directory that a tag names, e.g. `EXIF_IFD`."""
    return _child(page.file, page.number(tag))


def _pages(file: TiffFile, with_children: bool) -> Iterator[Page]:
    offset, seen = file.first, set[int]()
    while offset and offset not in seen and len(seen) < _MOST_PAGES:
        seen.add(offset)
        try:
            page = Page(file, file.directory(offset))
        except struct.error:
            return
        yield page
        if with_children:
            children = (_child(file, child) for child in page.numbers(SUB_IFDS)[:_MOST_SUB_IFDS])
            yield from filter(None, children)
        offset = page.directory.next_offset


def _child(file: TiffFile, offset: int) -> Page | None:
    try:
        return Page(file, file.directory(offset), is_child=True) if offset else None
    except struct.error:
        return None
