"""What a map says in figures: how much of it lies above the threshold, and where most of that is."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sidscan.localize.tiles import SmallMap

Box = tuple[int, int, int, int]
"""Left, top, right and bottom, pixels; the last two just outside."""
_BINS = 1 << 16  # of the histogram from which percentiles are read
_BAND = 256  # rows of the image that are measured at once
_Runs = NDArray[np.int64]


@dataclass(frozen=True)
class Region:
    """Pixels above the threshold that touch one another, by their edges.

    Attributes:
        pixels: how many.
    """

    box: Box
    pixels: int


@dataclass(frozen=True)
class Measured:
    """A map at the image's size, and its figures.

    Attributes:
        levels: probabilities (height, width), 0 to 255; one scale for every image.
        mask: the pixels above the threshold.
        maximum, p99: highest probability, and the one that 99 % of the pixels do not exceed.
        region: the largest one; None where no pixel is above the threshold.
        agreement: of the pixels that this map or the other one has above the threshold, the share that both
            have; None without another map, or where neither has any.
    """

    levels: NDArray[np.uint8]
    mask: NDArray[np.bool_]
    maximum: float
    p99: float
    region: Region | None
    agreement: float | None

    @property
    def area(self) -> float:
        """The share of the image's pixels above the threshold."""
        return float(self.mask.mean())


def measure(small: SmallMap, width: int, height: int, threshold: float, other: SmallMap | None) -> Measured:
    """A map at the image's size with its figures, a few rows at a time.

    Args:
        other: the map by the other protocol.
    """
    levels, mask = np.empty((height, width), np.uint8), np.empty((height, width), bool)
    percentiles, maximum, both, either = _Percentiles(), 0.0, 0, 0
    for top in range(0, height, _BAND):
        bottom = min(top + _BAND, height)
        values = small.rows(top, bottom, width, height)
        above = values > threshold
        levels[top:bottom], mask[top:bottom] = np.rint(values * 255), above
        percentiles.add(values)
        maximum = max(maximum, float(values.max()))
        if other is not None:
            theirs = other.rows(top, bottom, width, height) > threshold
            both += int((above & theirs).sum())
            either += int((above | theirs).sum())
    agreement = both / either if either else None
    return Measured(levels, mask, maximum, percentiles.percentile(99), largest_region(mask), agreement)


def largest_region(mask: NDArray[np.bool_]) -> Region | None:
    """The region of the most pixels, the topmost of equals; None where nothing is set.

    Args:
        mask: (height, width).
    """
    rows, starts, ends, labels = _labelled_runs(mask)
    if not len(rows):
        return None
    pixels = np.bincount(labels, weights=ends - starts)
    largest = int(np.argmax(pixels))
    of = labels == largest
    box = starts[of].min(), rows[of].min(), ends[of].max(), rows[of].max() + 1
    left, top, right, bottom = map(int, box)
    return Region((left, top, right, bottom), int(pixels[largest]))


def labelled(mask: NDArray[np.bool_]) -> NDArray[np.int64]:
    """0 where nothing is set, elsewhere the number of the region, from 1, topmost first; (height, width)."""
    rows, starts, ends, labels = _labelled_runs(mask)
    numbers = np.zeros(mask.shape, np.int64)
    for row, start, end, number in zip(
        rows, starts, ends, np.unique(labels, return_inverse=True)[1], strict=True
    ):
        numbers[row, start:end] = number + 1
    return numbers


def _labelled_runs(mask: NDArray[np.bool_]) -> tuple[_Runs, _Runs, _Runs, _Runs]:
    """Row, start and end of each run of set pixels, and the lowest number of a run in its region."""
    rows, starts, ends = _runs(mask)
    if not len(rows):
        return rows, starts, ends, rows
    return rows, starts, ends, _joined(len(rows), *_touching(rows, starts, ends, mask.shape[1]))


def _runs(mask: NDArray[np.bool_]) -> tuple[_Runs, _Runs, _Runs]:
    """Row, start and end of each run of set pixels, by rows."""
    height, width = mask.shape
    framed = np.zeros((height, width + 2), bool)
    framed[:, 1:-1] = mask
    rows, edges = np.nonzero(framed[:, 1:] != framed[:, :-1])
    return rows[::2], edges[::2], edges[1::2]


def _touching(rows: _Runs, starts: _Runs, ends: _Runs, width: int) -> tuple[_Runs, _Runs]:
    """Pairs of runs, by number, that lie below one another and share a column."""
    step = width + 2
    first = np.searchsorted(rows * step + ends, (rows + 1) * step + starts, side="right")
    beyond = np.searchsorted(rows * step + starts, (rows + 1) * step + ends, side="left")
    counts = np.maximum(beyond - first, 0)
    upper = np.repeat(np.arange(len(rows)), counts)
    offset = np.arange(len(upper)) - np.repeat(np.cumsum(counts) - counts, counts)
    return upper, np.repeat(first, counts) + offset


def _joined(count: int, first: _Runs, second: _Runs) -> _Runs:
    """The lowest number of all that are joined to each, directly or not."""
    labels = np.arange(count)
    while np.any(labels[first] != labels[second]):
        lower = np.minimum(labels[first], labels[second])
        for each in (first, second):
            np.minimum.at(labels, labels[each], lower)
        while np.any(labels[labels] != labels):
            labels = labels[labels]
    return labels


class _Percentiles:
    """Percentiles of many values from 0 to 1, to four decimals, without keeping the values."""

    def __init__(self) -> None:
        self._counts = np.zeros(_BINS + 1, np.int64)

    def add(self, values: NDArray[np.float32]) -> None:
        """Take in values."""
        bins = np.rint(values.ravel() * _BINS).astype(np.int64)
        self._counts += np.bincount(bins, minlength=_BINS + 1)

    def percentile(self, percent: float) -> float:
        """The lowest value that so many percent of all do not exceed."""
        reached = np.cumsum(self._counts)
        return int(np.searchsorted(reached, percent / 100 * reached[-1])) / _BINS
