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
class Directory:
    """One image of a file, or other facts: the values of its tags.

    Attributes:
        is_child: whether it is a SubIFD of another one.
    """

    tags: Mapping[int, bytes]
    sizes: Mapping[int, int]
    order: _Order
    is_child: bool = False

    def numbers(self, tag: int) -> tuple[int, ...]:
        """The values of a tag; empty if it is missing."""
        raw, size = self.tags.get(tag, b""), self.sizes.get(tag, 1)
        return tuple(
            int.from_bytes(raw[i : i + size], self.order) for i in range(0, len(raw) - size + 1, size)
        )

    def number(self, tag: int, default: int = 0) -> int:
        """The first value of a tag."""
        return next(iter(self.numbers(tag)), default)

    def text(self, tag: int) -> str:
        """The value of a tag of text."""
        return self.tags.get(tag, b"").split(b"\x00")[0].decode("latin-1").strip()

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
    reader, offset = _Reader(data), parent.number(tag)
    found = reader.read(offset, is_child=True) if offset else None
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
            for child in page.numbers(SUB_IFDS)[:_MOST_SUB_IFDS]:
                if sub := self.read(child, is_child=True):
                    yield sub[0]

    def read(self, offset: int, is_child: bool = False) -> tuple[Directory, int] | None:
        """A directory, and the offset of the next one; None where there is none."""
        count_size, entry_size = (8, 20) if self._big else (2, 12)
        count = self._number(offset, count_size)
        start = offset + count_size
        if not 0 < count <= _MOST_ENTRIES or start + count * entry_size > len(self._data):
            return None
        tags, sizes = {}, {}
        for position in range(start, start + count * entry_size, entry_size):
            kind = self._number(position + 2, 2)
            if kind in _SIZES:
                tag = self._number(position, 2)
                tags[tag], sizes[tag] = self._value(position + 4, _SIZES[kind]), _SIZES[kind]
        return Directory(tags, sizes, self._order, is_child), self._number(
            start + count * entry_size, self._width
        )

    def _value(self, position: int, size: int) -> bytes:
        count = min(self._number(position, self._width), _MOST_VALUES)
        place = position + self._width
        if count * size > self._width:
            place = self._number(place, self._width)
        return self._data[place : place + count * size]

    def _number(self, position: int, count: int) -> int:
        return int.from_bytes(self._data[position : position + count], self._order)
