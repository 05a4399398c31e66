"""The index of a JPEG with several images (CIPA DC-007, Multi-Picture Format)."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from contextlib import suppress
from typing import NamedTuple

from sidscan.containers.jpeg import jpeg_segments
from sidscan.containers.tiff_file import TiffFile

_APP2, _IDENTIFIER, _ENTRIES = 0xE2, b"MPF\x00", 0xB002
_ENTRY_BYTES, _MOST_ENTRIES = 16, 1000
_TYPE_BITS = 0xFFFFFF
_PREVIEWS = (0x010001, 0x010002)  # large thumbnails, class 1 and 2


class IndexedImage(NamedTuple):
    """An image behind the first one: where it begins and ends, and whether it is a preview of the first."""

    start: int
    end: int
    is_preview: bool


def indexed_images(data: bytes) -> list[IndexedImage]:
    """The images that the index of a JPEG names besides the first, as far as they lie within the file."""
    for segment in jpeg_segments(data)[0]:
        if segment.marker == _APP2 and data.startswith(_IDENTIFIER, segment.body):
            with suppress(struct.error, ValueError, KeyError):
                return list(_entries(data, segment.body + len(_IDENTIFIER), segment.end))
    return []


def _entries(data: bytes, base: int, end: int) -> Iterator[IndexedImage]:
    """Offsets count from the header of the index."""
    file = TiffFile(data[base:end])
    entry = file.directory(file.first).entries[_ENTRIES] if file.first else None
    if entry is None or entry.count < 2 * _ENTRY_BYTES:
        return
    at = file.offset_of(entry)
    for index in range(min(entry.count // _ENTRY_BYTES, _MOST_ENTRIES)):
        attributes, size, offset = struct.unpack_from(
            f"{file.order}III", file.data, at + _ENTRY_BYTES * index
        )
        start = base + offset
        if offset and size and start + size <= len(data):
            yield IndexedImage(start, start + size, attributes & _TYPE_BITS in _PREVIEWS)
