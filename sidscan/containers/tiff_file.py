"""Directories of TIFF and BigTIFF files, read and written (TIFF 6.0, section 2; BigTIFF as libtiff's)."""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import dataclass

HEADERS = (b"II*\x00", b"MM\x00*", b"II+\x00", b"MM\x00+")
_INTEGERS = {1: "B", 3: "H", 4: "I", 13: "I", 16: "Q", 18: "Q"}  # field types -> struct's codes
SHORT = 3
FIELD_BYTES = {
    1: 1,
    2: 1,
    3: 2,
    4: 4,
    5: 8,
    6: 1,
    7: 1,
    8: 2,
    9: 4,
    10: 8,
    11: 4,
    12: 8,
    13: 4,
    16: 8,
    17: 8,
    18: 8,
}


@dataclass(frozen=True)
class Entry:
    """A field of a directory; `value` holds the values, or where they are."""

    tag: int
    type: int
    count: int
    value: bytes


@dataclass(frozen=True)
class Directory:
    """A page's fields by tag, where the directory begins, and where the next one does."""

    offset: int
    entries: Mapping[int, Entry]
    next_offset: int


class TiffFile:
    """Directories of a TIFF or BigTIFF file.

    Raises:
        ValueError: its header is none.
    """

    def __init__(self, data: bytes) -> None:
        if data[:4] not in HEADERS:
            raise ValueError("no TIFF header")
        self.data = data
        self.order = "<" if data.startswith(b"II") else ">"
        self._big = data[:4] in HEADERS[2:]
        self._count, self._offset = ("Q", "Q") if self._big else ("H", "I")
        self._first_at = 8 if self._big else 4
        self.first = self._number(self._offset, self._first_at)

    def directory(self, offset: int) -> Directory:
        """Read a directory.

        Raises:
            struct.error: it does not lie within the file.
        """
        width = struct.calcsize(self._offset)
        count = self._number(self._count, offset)
        start, size = offset + struct.calcsize(self._count), 4 + 2 * width
        end = start + count * size
        next_offset = self._number(self._offset, end)  # first, so that no absurd count is followed
        entries = {}
        for at in range(start, end, size):
            tag, kind, values = struct.unpack_from(f"{self.order}HH{self._offset}", self.data, at)
            entries[tag] = Entry(tag, kind, values, self.data[at + 4 + width : at + size])
        return Directory(offset, entries, next_offset)

    def values(self, directory: Directory, tag: int, default: tuple[int, ...] = ()) -> tuple[int, ...]:
        """The whole numbers of a field."""
        entry = directory.entries.get(tag)
        if entry is None or entry.type not in _INTEGERS or not entry.count:
            return default
        layout = f"{self.order}{entry.count}{_INTEGERS[entry.type]}"
        source, start = (entry.value, 0) if self._is_inline(entry) else (self.data, self.offset_of(entry))
        if struct.calcsize(layout) > len(source):
            raise ValueError("a field has more values than the file")
        return struct.unpack_from(layout, source, start)

    def value(self, directory: Directory, tag: int, default: int) -> int:
        """The first whole number of a field."""
        return (self.values(directory, tag) or (default,))[0]

    def offset_of(self, entry: Entry) -> int:
        """Where the values of a field begin that do not fit into it."""
        return int(struct.unpack(self.order + self._offset, entry.value)[0])

    def number(self, tag: int, value: int) -> Entry:
        """A field of one number, which must fit into 16 bits."""
        return Entry(tag, SHORT, 1, struct.pack(self.order + "H", value).ljust(self._width, b"\x00"))

    def part(self, entry: Entry, index: int, parts: int) -> Entry:
        """One of equally long parts of a field's values."""
        count = entry.count // parts
        size = count * FIELD_BYTES[entry.type]
        if self._is_inline(entry):
            value = entry.value[index * size : (index + 1) * size]
        elif size <= self._width:  # the part fits into the field itself
            start = self.offset_of(entry) + index * size
            value = self.data[start : start + size]
        else:
            value = struct.pack(self.order + self._offset, self.offset_of(entry) + index * size)
        return Entry(entry.tag, entry.type, count, value.ljust(self._width, b"\x00"))

    def with_directory(
        self, directory: Directory, entries: Mapping[int, Entry], next_offset: int | None = None
    ) -> bytes:
        """The file with this directory as its first one, which has these fields and no more than before."""
        fields = b"".join(
            struct.pack(f"{self.order}HH{self._offset}", entry.tag, entry.type, entry.count) + entry.value
            for _, entry in sorted(entries.items())
        )
        following = directory.next_offset if next_offset is None else next_offset
        block = struct.pack(self.order + self._count, len(entries)) + fields
        block += struct.pack(self.order + self._offset, following)
        changed = bytearray(self.data)
        changed[directory.offset : directory.offset + len(block)] = block
        struct.pack_into(self.order + self._offset, changed, self._first_at, directory.offset)
        return bytes(changed)

    @property
    def _width(self) -> int:
        return struct.calcsize(self._offset)

    def _is_inline(self, entry: Entry) -> bool:
        return entry.count * FIELD_BYTES[entry.type] <= self._width

    def _number(self, code: str, at: int) -> int:
        return int(struct.unpack_from(self.order + code, self.data, at)[0])
