"""What a picture may be at most, found out before its pixels are decoded.

OverLimit                 status
|-- TooLarge              too_large        more bytes than --max-bytes
|-- TooManyPixels         too_many_pixels  more of them than --max-pixels
|-- TooLong               too_long         a side longer than --max-side
`-- TooNarrow             too_narrow       sides that differ by more than --max-ratio
"""

from __future__ import annotations

import mmap

from sidscan.config import ReadLimits
from sidscan.records import Status


class OverLimit(Exception):
    """A picture beyond what was allowed.

    Attributes:
        status: how its input ended.
    """

    status: Status


class TooLarge(OverLimit):
    """Too many bytes."""

    status = Status.TOO_LARGE


class TooManyPixels(OverLimit):
    """Too many pixels."""

    status = Status.TOO_MANY_PIXELS


class TooLong(OverLimit):
    """Too long a side."""

    status = Status.TOO_LONG


class TooNarrow(OverLimit):
    """Sides too different."""

    status = Status.TOO_NARROW


def check_size(width: int, height: int, reading: ReadLimits) -> None:
    """Of a picture, in pixels, as its header states it.

    Raises:
        OverLimit: it is not to be decoded.
    """
    shape = f"{width} x {height} pixels"
    if max(width, height) > reading.max_side:
        raise TooLong(f"{shape}; raise the limit with --max-side")
    if width * height > reading.max_pixels:
        raise TooManyPixels(f"{shape}; raise the limit with --max-pixels")
    if max(width, height) > reading.max_ratio * min(width, height):
        raise TooNarrow(f"{shape}; raise the limit with --max-ratio")


def can_allocate(count: int) -> bool:
    """Whether there are so many bytes of memory besides what is held; yes where that can't be tried."""
    if not hasattr(mmap, "MAP_ANONYMOUS"):  # Windows
        return True
    try:
        mmap.mmap(-1, count, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS).close()
    except (MemoryError, OSError):
        return False
    return True
