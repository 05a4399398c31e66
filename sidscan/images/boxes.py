"""Boxes of files in the layout of ISO base media (ISO/IEC 14496-12, 4.2), JPEG 2000 and JPEG XL."""

from __future__ import annotations

from collections.abc import Iterator

_MAX_BOXES = 10_000  # of one level; a malformed file may hold as many as it has bytes


def boxes(data: bytes, start: int = 0, end: int | None = None) -> Iterator[tuple[bytes, range]]:
    """Type and place of the content of each box in ``data[start:end]``; none after a malformed one."""
    end = len(data) if end is None else min(end, len(data))
    for _ in range(_MAX_BOXES):
        if start + 8 > end:
            return
        size, kind, head = int.from_bytes(data[start : start + 4], "big"), data[start + 4 : start + 8], 8
        if size == 1:
            size, head = int.from_bytes(data[start + 8 : start + 16], "big"), 16
        stop = end if size == 0 else start + size
        if not start + head <= stop <= end:
            return
        yield kind, range(start + head, stop)
        start = stop


def content(data: bytes, place: range) -> bytes:
    """The bytes at a place that `boxes` gave."""
    return data[place.start : place.stop]


def find_box(data: bytes, *path: bytes, start: int = 0, end: int | None = None) -> bytes | None:
    """The content of the first box with this path of types, e.g. ``jp2h``, ``colr``; None without one."""
    wanted, *rest = path
    for kind, place in boxes(data, start, end):
        if kind == wanted:
            if not rest:
                return content(data, place)
            return find_box(data, *rest, start=place.start, end=place.stop)
    return None
