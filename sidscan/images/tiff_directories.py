"""The directories of a TIFF file (TIFF 6.0, section 2; BigTIFF), as far as they tell what its images are.

Pillow opens the first directory. Camera raw files put a small preview there, and the image itself into a
directory of its own (SubIFD; TIFF/EP, ISO 12234-2).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

NEW_SUBFILE_TYPE, WIDTH, HEIGHT, COMPRESSION, PHOTOMETRIC = 254, 256, 257, 259, 262
MAKE, STRIP_OFFSETS, STRIP_BYTE_COUNTS, TILE_OFFSETS, SUB_IFDS = 271, 273, 279, 324, 330
EXIF_IFD, EXIF_WIDTH, EXIF_HEIGHT = 34665, 40962, 40963
_SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 7: 1, 13: 4, 16: 8, 18: 8}  # bytes of a value of the types that are read
_MOST_PAGES, _MOST_SUB_IFDS, _MOST_ENTRIES, _MOST_VALUES = 8, 32, 4096, 1 << 16

_Order = Literal["little", "big"]


@dataclass(frozen=True, slots=True)
class _Values:
    """Where the values of a tag are. They are read when they are asked for: many tags may share them."""

    size: int  # bytes of each
    count: int
    place: int


@dataclass(frozen=True, slots=True)
class Directory:
    """One image of a file, or other facts.

    Attributes:
        tags: what a directory states, by number.
        is_child: whether it is a SubIFD of another one.
    """

    data: bytes
    tags: Mapping[int, _Values]
    order: _Order
    is_child: bool = False

    def numbers(self, tag: int, most: int = _MOST_VALUES) -> tuple[int, ...]:
        """The values of a tag; empty if it is missing."""
        values = self.tags.get(tag, _Values(1, 0, 0))
        end = min(values.place + values.size * min(values.count, most), len(self.data))
        starts = range(values.place, end - values.size + 1, values.size)
        return tuple(int.from_bytes(self.data[at : at + values.size], self.order) for at in starts)

    def number(self, tag: int) -> int:
        """The first value of a tag; 0 if it is missing."""
        return next(iter(self.numbers(tag, most=1)), 0)

    def text(self, tag: int) -> str:
        """The value of a tag of text."""
        return bytes(self.numbers(tag)).split(b"\x00")[0].decode("latin-1").strip()

    @property
    def size(self) -> tuple[int, int]:
        """Width and height, pixels; 0 where they are missing."""
        return self.number(WIDTH), self.number(HEIGHT)

    @property
    def area(self) -> int:
        """Pixels."""
        return self.number(WIDTH) * self.number(HEIGHT)


def read_directories(data: bytes) -> list[Directory]:
    """The first pages of a file, each followed by its SubIFDs; empty if even the first can't be read.

    The third and fourth byte are not checked: raw files have others there.
    """
    return list(_Reader(data).pages())


def read_child(data: bytes, parent: Directory, tag: int) -> Directory | None:
    """The directory that a tag names, e.g. `EXIF_IFD`."""
    offset = parent.number(tag)
    found = _Reader(data).read(offset, is_child=True) if offset else None
    return found[0] if found else None


class _Reader:
    def __init__(self, data: bytes) -> None:
        self._data = data
        self._order: _Order = "big" if data[:2] == b"MM" else "little"
        self._big = self._number(2, 2) == 43  # BigTIFF
        self._width = 8 if self._big else 4  # bytes of an offset

    def pages(self) -> Iterator[Directory]:
        offset, seen = self._number(self._width, self._width), set[int]()
        while offset and offset not in seen and len(seen) < _MOST_PAGES:
            seen.add(offset)
            found = self.read(offset)
            if found is None:
                return
            page, offset = found
            yield page
            for child in page.numbers(SUB_IFDS, most=_MOST_SUB_IFDS):
                if sub := self.read(child, is_child=True):
                    yield sub[0]

    def read(self, offset: int, is_child: bool = False) -> tuple[Directory, int] | None:
        """A directory, and the offset of the next one; None where there is none."""
        count_size, entry_size = (8, 20) if self._big else (2, 12)
        count = self._number(offset, count_size)
        start = offset + count_size
        end = start + count * entry_size
        if not 0 < count <= _MOST_ENTRIES or end > len(self._data):
            return None
        tags = {}
        for at in range(start, end, entry_size):
            kind = self._number(at + 2, 2)
            if kind in _SIZES:
                tags[self._number(at, 2)] = self._values(at + 4, _SIZES[kind])
        return Directory(self._data, tags, self._order, is_child), self._number(end, self._width)

    def _values(self, at: int, size: int) -> _Values:
        count, place = self._number(at, self._width), at + self._width
        return _Values(
            size, count, place if count * size <= self._width else self._number(place, self._width)
        )

    def _number(self, at: int, count: int) -> int:
        return int.from_bytes(self._data[at : at + count], self._order)
