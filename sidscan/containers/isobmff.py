"""Boxes of ISO base media and JPEG 2000 files (ISO/IEC 14496-12), and how HEIC says that an image is to be
turned.

Items of a file are associated with properties (ISO/IEC 23008-12, section 6.5): among them `irot`, a rotation,
and `imir`, a mirroring. EXIF's orientation has no say.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice

C2PA_UUID = bytes.fromhex("d8fec3d61b0e483c92975828877ec481")
XMP_UUID = bytes.fromhex("be7acfcb97a942e89c71999491e3afac")
_FULL_BOXES = (b"meta",)  # the same, behind four bytes of version and flags
_MOST_BOXES, _MOST_ENTRIES = 1 << 16, 1 << 16  # of one level, among which one is looked for; of items


@dataclass(frozen=True)
class Box:
    """A box: its kind, where it begins, and where its body begins and ends."""

    kind: bytes
    start: int
    body: int
    end: int


def boxes(data: bytes, start: int = 0, end: int | None = None) -> Iterator[Box]:
    """The boxes from ``start`` to ``end``, as far as their lengths can be followed."""
    end = len(data) if end is None else end
    while end - start >= 8:
        size, kind = struct.unpack_from(">I4s", data, start)
        body = start + 8
        if size == 1 and end - start >= 16:
            size, body = int.from_bytes(data[start + 8 : start + 16], "big"), start + 16
        stop = end if size == 0 else start + size
        if not body <= stop <= end:
            return
        yield Box(kind, start, body, stop)
        start = stop


def cut_box(data: bytes) -> Box | None:
    """The box at the top within which a file ends, with the end that it states; None where none is cut."""
    start = max((box.end for box in boxes(data)), default=0)
    if len(data) - start < 8:
        return None
    size, kind = struct.unpack_from(">I4s", data, start)
    body = start + 8
    if size == 1:
        size, body = int.from_bytes(data[start + 8 : start + 16], "big"), start + 16
    return Box(kind, start, body, start + size) if start + size > len(data) else None


def find_box(data: bytes, *path: bytes) -> Box | None:
    """The first box with this path of kinds."""
    box, start, end = None, 0, len(data)
    for kind in path:
        box = next((each for each in islice(boxes(data, start, end), _MOST_BOXES) if each.kind == kind), None)
        if box is None:
            return None
        start, end = box.body + 4 * (kind in _FULL_BOXES), box.end
    return box


def content(data: bytes, *path: bytes) -> bytes:
    """The content of the first box with this path of kinds; empty if there is none."""
    box = find_box(data, *path)
    return data[box.body : box.end] if box else b""


def is_turned(data: bytes) -> bool:
    """Whether the primary image has a rotation or mirroring; False where the file can't be followed."""
    try:
        properties = _primary_properties(data)
    except struct.error:
        return False
    return any(
        box.kind == b"imir" or (box.kind == b"irot" and data[box.body] & 3 != 0)
        for box in properties
        if box.body < box.end
    )


def _primary_properties(data: bytes) -> list[Box]:
    primary, association = find_box(data, b"meta", b"pitm"), find_box(data, b"meta", b"iprp", b"ipma")
    container = find_box(data, b"meta", b"iprp", b"ipco")
    if primary is None or association is None or container is None:
        return []
    item = _number(data, primary.body + 4, 4 if data[primary.body] else 2)
    properties = list(islice(boxes(data, container.body, container.end), _MOST_BOXES))
    indices = _associations(data, association, item)
    return [properties[index - 1] for index in indices if 0 < index <= len(properties)]


def _associations(data: bytes, box: Box, wanted: int) -> list[int]:
    """Numbers of an item's properties, counted from 1 (ISO/IEC 23008-12, section 9.3)."""
    version, flags = data[box.body], _number(data, box.body + 1, 3)
    id_bytes, index_bytes = 4 if version else 2, 2 if flags & 1 else 1
    count, at = _number(data, box.body + 4, 4), box.body + 8
    found = list[int]()
    for _ in range(min(count, _MOST_ENTRIES)):
        if at >= box.end:
            break
        item, at = _number(data, at, id_bytes), at + id_bytes
        total, at = _number(data, at, 1), at + 1
        if item == wanted:
            essential = 1 << (8 * index_bytes - 1)
            numbers = (_number(data, at + index * index_bytes, index_bytes) for index in range(total))
            found.extend(number & ~essential for number in numbers)
        at += total * index_bytes
    return found


def _number(data: bytes, at: int, size: int) -> int:
    """A whole number; struct.error behind the end of the file."""
    if at + size > len(data):
        raise struct.error("the file ends within a box")
    return int.from_bytes(data[at : at + size], "big")
