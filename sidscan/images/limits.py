"""Limits of an image's size, checked before its pixels are decoded.

OverLimit                 status
|-- TooLarge              too_large        more bytes than --max-bytes
|-- TooManyPixels         too_many_pixels  more pixels than --max-pixels
|-- TooLong               too_long         a side longer than --max-side
`-- TooNarrow             too_narrow       sides that differ by more than --max-ratio
"""

from __future__ import annotations

import mmap

from sidscan.config import ReadLimits
from sidscan.records import Status


class OverLimit(Exception):
    """An image exceeds a limit.

    Attributes:
        status: how its input ended.
    """

    status: Status


class TooLarge(OverLimit):
    """The file has too many bytes."""

    status = Status.TOO_LARGE


class TooManyPixels(OverLimit):
    """The image has too many pixels."""

    status = Status.TOO_MANY_PIXELS


class TooLong(OverLimit):
    """A side of the image is too long."""

    status = Status.TOO_LONG


class TooNarrow(OverLimit):
    """The sides of the image differ too much."""

    status = Status.TOO_NARROW


def check_size(width: int, height: int, limits: ReadLimits) -> None:
    """Check an image's size in pixels, as its header states it.

    Raises:
        OverLimit: the image is not to be decoded.
    """
    shape = f"{width} x {height} pixels"
    if max(width, height) > limits.max_side:
        raise TooLong(f"{shape}; raise the limit with --max-side")
    if width * height > limits.max_pixels:
        raise TooManyPixels(f"{shape}; raise the limit with --max-pixels")
    if max(width, height) > limits.max_ratio * min(width, height):
        raise TooNarrow(f"{shape}; raise the limit with --max-ratio")


def can_allocate(count: int) -> bool:
    """Whether ``count`` more bytes of memory can be allocated; True where the system can't be asked."""
    if not hasattr(mmap, "MAP_ANONYMOUS"):  # Windows
        return True
    try:
        mmap.mmap(-1, count, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS).close()
    except (MemoryError, OSError):
        return False
    return True
