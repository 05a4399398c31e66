"""Windows of the crops' size that cover a whole image, without any resizing: for a closer look at it."""

from __future__ import annotations

from math import ceil

import numpy as np
from numpy.typing import NDArray

from sidscan.config import SIDE

_STEP = 16
"""Pixels, the largest block that JPEG stores at once: windows a multiple of this apart cut its blocks alike.

Scores depend on where a window cuts the blocks; a map of other strides has stripes that only show that.
"""
MIN_STRIDE = 64
"""Pixels: windows that lie closer than this show nearly the same, so small images get fewer of them."""


def window_grid(width: int, height: int, budget: int) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Where the columns and rows of windows begin, pixels; each pixel of the image lies in a window.

    Neighbours are as close as the budget allows, `MIN_STRIDE` to `SIDE` pixels apart; the last one ends at
    the image's edge. A side shorter than a window has one, centred as crops are, with padding around.

    Args:
        budget: most windows; an image that needs more to be covered gets those.
    """
    stride = next(
        (
            stride
            for stride in range(MIN_STRIDE, SIDE, _STEP)
            if _count(width, stride) * _count(height, stride) <= budget
        ),
        SIDE,
    )
    return _starts(width, stride), _starts(height, stride)


def cut_window(pixels: NDArray[np.uint8], left: int, top: int) -> NDArray[np.uint8]:
    """One window (224, 224, 3) of an image (height, width, 3); black outside of it, as crops are."""
    height, width, _ = pixels.shape
    x0, y0 = max(left, 0), max(top, 0)
    content = pixels[y0 : min(top + SIDE, height), x0 : min(left + SIDE, width)]
    if content.shape == (SIDE, SIDE, 3):
        return content
    canvas = np.zeros((SIDE, SIDE, 3), np.uint8)
    canvas[y0 - top : y0 - top + content.shape[0], x0 - left : x0 - left + content.shape[1]] = content
    return canvas


def _count(length: int, stride: int) -> int:
    return max(ceil((length - SIDE) / stride), 0) + 1


def _starts(length: int, stride: int) -> tuple[int, ...]:
    last = length - SIDE
    return (*range(0, last, stride), last) if last > 0 else (-((SIDE - length) // 2),)
