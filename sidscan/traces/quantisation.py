"""Whether DCT coefficients bear the steps of an earlier JPEG, by their histograms.

Saving a JPEG rounds each coefficient of 8 x 8 pixels to multiples of a step. When the pixels are saved again
with other steps, multiples of the earlier ones pile up in some bins of the histogram and leave others empty
(Lukáš & Fridrich 2003; Popescu & Farid 2004). What the histogram would be without an earlier JPEG is seen on
a grid that is shifted by half a block (Bianchi & Piva 2012), where rounding leaves no trace. From those
coefficients this module predicts the histogram for each earlier step, and compares how likely the observed
one is under each prediction.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from sidscan.images.decode import SourceImage
from sidscan.images.jpeg_quality import luma_table

SIDE = 8  # pixels of a block
HALF = SIDE // 2
# Rows and columns of a block's coefficients: the nine lowest frequencies but the mean, which has no smooth
# histogram.
FREQUENCIES = ((0, 1), (1, 0), (2, 0), (1, 1), (0, 2), (0, 3), (1, 2), (2, 1), (3, 0))
COARSEST_STEP = 16  # of the last saving; coarser ones leave too few bins to compare
_MOST_PIXELS = 1 << 17
_MIN_BLOCKS = 256
_MIN_COEFFICIENTS = 100  # not zero, of a frequency
_LARGEST = 64  # coefficients beyond are rare
_EARLIER_STEPS = np.arange(1, 29)
_SIZES = 2 * _LARGEST + 1  # of coefficients, in half units
_REACH = _SIZES + int(_EARLIER_STEPS[-1])  # of sizes that an earlier step has moved
_QUALITIES = range(30, 99)  # of libjpeg; above, all steps are 1
_COUNTED_FREQUENCIES = 5  # those that gain most; an earlier step of 1, or the same, gains nothing
_WEIGHT = 600  # most coefficients of a frequency that count towards a quality
_SMOOTHING = np.array([1, 2, 3, 4, 5, 4, 3, 2, 1]) / 25  # of half units

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class EarlierSteps:
    """The earlier steps that explain a histogram best.

    Attributes:
        gain: how much likelier they make the coefficients, nats per coefficient that is not zero.
        explained: share of what differs from a histogram without earlier steps.
        steps: in the order of `FREQUENCIES`.
        quality: of libjpeg whose steps explain it nearly as well; None if none does.
        quality_gain, quality_explained: the same for the best quality.
    """

    gain: float
    explained: float
    steps: tuple[int, ...]
    quality: int | None
    quality_gain: float
    quality_explained: float

    @property
    def is_sure(self) -> bool:
        """Whether they are more than chance: benchmarks/double_jpeg.py measured these limits."""
        return (self.gain >= 0.1 and self.explained >= 0.6) or (
            self.quality_gain >= 0.03 and self.quality_explained >= 0.3
        )


def luma_window(source: SourceImage) -> Floats | None:
    """Luma of a part of an image (rows, columns) on its grid of blocks; None if there is too little.

    It is taken from the rows that were decoded, around their middle.
    """
    ranges = [each.rows for each in source.decoded_rows] or [range(source.height)]
    rows = min(ranges, key=lambda each: abs((each.start + each.stop) - source.height))
    height = min(len(rows), 224) // SIDE * SIDE
    width = min(source.width, _MOST_PIXELS // max(height, 1)) // SIDE * SIDE
    if height * width < _MIN_BLOCKS * SIDE**2:
        return None
    top = rows.start + (len(rows) - height) // 2 // SIDE * SIDE
    left = (source.width - width) // 2 // SIDE * SIDE
    return np.asarray(source.region(left, top, left + width, top + height).convert("L"), np.float32)


def find_earlier_steps(
    luma: Floats, steps: Sequence[int], grid: tuple[int, int] = (0, 0), noise: float = 0.4
) -> EarlierSteps | None:
    """The earlier steps that explain an image's coefficients best.

    Args:
        luma: (rows, columns), from 0 to 255.
        steps: of the last saving, in the order of `FREQUENCIES`; 1 where there was none.
        grid: row and column where blocks begin, 0 to 7.
        noise: standard deviation of the coefficients before the last rounding, by rounded pixels.

    Returns:
        None if too few coefficients are not zero, as in flat images.
    """
    fine = [index for index, step in enumerate(steps) if step <= COARSEST_STEP]
    if len(fine) < _COUNTED_FREQUENCIES:
        return None
    shifted = _coefficients(luma, (grid[0] + HALF) % SIDE, (grid[1] + HALF) % SIDE)
    usable = _compare(
        _coefficients(luma, *grid)[fine], _expected(shifted[fine]), [steps[index] for index in fine], noise
    )
    kept = np.flatnonzero(usable.counts >= _MIN_COEFFICIENTS)
    if len(kept) < _COUNTED_FREQUENCIES:
        return None
    indices = np.array(fine)[kept]
    return _summary(indices, _Comparison(usable.gains[kept], usable.unexplained[kept], usable.counts[kept]))


@dataclass(frozen=True)
class _Comparison:
    """Of each frequency: the gain of each earlier step, what there is to explain, number of coefficients."""

    gains: NDArray[np.float64]
    unexplained: NDArray[np.float64]
    counts: NDArray[np.float64]


def _summary(indices: NDArray[np.intp], comparison: _Comparison) -> EarlierSteps:
    gains, unexplained = comparison.gains, comparison.unexplained
    weights = np.minimum(comparison.counts, _WEIGHT)
    best = gains.max(1)
    tables = _quality_steps()[:, indices]
    by_quality = np.take_along_axis(gains.T, tables - 1, axis=0) @ weights
    winner = len(by_quality) - 1 - int(by_quality[::-1].argmax())  # of equal ones the highest
    quality_gain = by_quality[winner] / weights.sum()
    steps = dict(zip(indices, (int(step) for step in _EARLIER_STEPS[gains.argmax(1)]), strict=True))
    return EarlierSteps(
        gain=float(np.sort(best)[-_COUNTED_FREQUENCIES:].mean()),
        explained=float(best.sum() / max(unexplained.sum(), 1e-9)),
        steps=tuple(steps.get(index, 0) for index in range(len(FREQUENCIES))),
        quality=_QUALITIES[winner] if by_quality[winner] >= 0.8 * (best @ weights) else None,
        quality_gain=float(quality_gain),
        quality_explained=float(by_quality[winner] / max(float(unexplained @ weights), 1e-9)),
    )


def _compare(observed: Floats, expected: Floats, steps: Sequence[int], noise: float) -> _Comparison:
    """How likely histograms without zeros are under each earlier step, of each frequency.

    Args:
        observed: coefficients (frequencies, blocks).
        expected: histograms after each earlier rounding, as of `_expected`.
        steps: of the last saving.
    """
    numbers = np.arange(len(steps))
    bins = _LARGEST // np.array(steps, np.float32)[:, np.newaxis]
    most = _LARGEST // min(steps)
    levels = np.rint(np.abs(observed) * (1 / np.array(steps, np.float32))[:, np.newaxis])
    histograms = _histograms(np.minimum(levels, bins + 1), most + 2)[:, 1:-1] * (np.arange(most) < bins)
    counts = histograms.sum(1)
    predicted = np.full((len(steps), most, expected.shape[2]), 0.5, np.float32)
    for number, step in enumerate(steps):
        predicted[number, : _LARGEST // step] += _chances(step, noise) @ expected[number]
    totals = predicted.sum(1) - (most - bins) / 2  # without what lies beyond the last bin
    shares = histograms / np.maximum(counts, 1)[:, np.newaxis]
    likelihoods = (shares[:, np.newaxis] @ np.log(predicted))[:, 0]
    likelihoods -= shares.sum(1, keepdims=True) * np.log(totals)
    gains = likelihoods[:, 1:] - likelihoods[:, :1]
    gains[numbers, np.array(steps, np.intp) - 1] = 0  # the same step again leaves no trace
    unexplained = (shares * np.log(np.where(shares, shares, 1))).sum(1) - likelihoods[:, 0]
    return _Comparison(gains, unexplained, counts)


def _histograms(levels: Floats, size: int) -> NDArray[np.float64]:
    """How many of each row have each level (rows, size), of levels (rows, any number)."""
    rows = len(levels)
    cells = levels + (size * np.arange(rows, dtype=np.float32))[:, np.newaxis]
    return np.bincount(cells.astype(np.intp).ravel(), minlength=size * rows).reshape(rows, size).astype(float)


def _expected(coefficients: Floats) -> Floats:
    """Histograms after each earlier rounding: (frequencies, sizes in half units, 1 + earlier steps).

    The first is without one. A step moves neighbouring sizes to one, so sums are differences of running sums.
    """
    counts = _histograms(np.minimum(np.rint(np.abs(coefficients) * 2), 2 * _LARGEST), _SIZES)
    running = counts @ _smooth_running_sums()
    starts, stops, cells = _movements()
    moved = np.zeros((len(counts), _REACH * (1 + len(_EARLIER_STEPS))), np.float32)
    moved[:, cells] = running[:, stops] - running[:, starts]
    return moved.reshape(len(counts), _REACH, -1)


@lru_cache(maxsize=1)
def _smooth_running_sums() -> NDArray[np.float64]:
    """What makes running sums of a smooth histogram of a histogram: (sizes, 1 + sizes)."""
    counts, margin = np.eye(_SIZES), len(_SMOOTHING) // 2
    padded = np.concatenate([counts[margin:0:-1], counts, np.zeros((margin, _SIZES))])
    smooth = sum(weight * padded[shift : shift + _SIZES] for shift, weight in enumerate(_SMOOTHING))
    return np.ascontiguousarray(np.concatenate([np.zeros((1, _SIZES)), np.cumsum(smooth, 0)]).T)


@lru_cache(maxsize=1)
def _movements() -> tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.intp]]:
    """Runs of sizes that an earlier rounding moves to one: start, stop, cell of that size and step."""
    sizes, runs = np.arange(_SIZES), []
    for number, step in enumerate([0.5, *_EARLIER_STEPS]):  # half a unit moves none
        targets = (2 * step * np.rint(sizes / 2 / step)).astype(np.intp)
        starts = np.flatnonzero(np.diff(targets, prepend=-1))
        stops = np.append(starts[1:], _SIZES)
        runs.append(np.stack([starts, stops, targets[starts] * (1 + len(_EARLIER_STEPS)) + number]))
    starts, stops, cells = np.concatenate(runs, 1)
    return starts, stops, cells


@lru_cache(maxsize=64)
def _chances(step: int, noise: float) -> Floats:
    """Chances that a coefficient of each size ends in each bin but zero: (bins, sizes in half units)."""
    offsets = np.linspace(-3, 3, 25) * noise
    weights = np.exp(-((offsets / noise) ** 2) / 2)
    bins = _LARGEST // step
    sizes = np.arange(_REACH)
    levels = np.abs(np.rint((sizes / 2 + offsets[:, np.newaxis]) / step))
    cells = np.minimum(levels, bins + 1).astype(np.intp) * _REACH + sizes
    chances = np.repeat(weights / weights.sum(), _REACH)
    table = np.bincount(cells.ravel(), chances, (bins + 2) * _REACH).reshape(bins + 2, _REACH)
    return np.asarray(table[1 : bins + 1], np.float32)


@lru_cache(maxsize=1)
def _quality_steps() -> NDArray[np.intp]:
    """libjpeg's luma steps (qualities, frequencies)."""
    tables = [
        [luma_table(quality)[SIDE * row + column] for row, column in FREQUENCIES] for quality in _QUALITIES
    ]
    return np.asarray(np.minimum(np.array(tables, np.intp), _EARLIER_STEPS[-1]))


@lru_cache(maxsize=1)
def cosines() -> NDArray[np.float64]:
    """The orthonormal DCT of eight samples (frequencies, samples); ITU-T T.81, A.3.3."""
    index = np.arange(SIDE)
    table = np.cos((2 * index + 1) * index[:, None] * np.pi / (2 * SIDE)) / 2
    table[0] /= np.sqrt(2)
    return table


@lru_cache(maxsize=1)
def _lowest_cosines() -> Floats:
    """(frequencies up to the highest of `FREQUENCIES`, samples)."""
    return cosines()[: 1 + max(max(each) for each in FREQUENCIES)].astype(np.float32)


def _coefficients(luma: Floats, top: int, left: int) -> Floats:
    """DCT coefficients (frequencies, blocks) on the grid that begins there."""
    part = luma[top:, left:]
    rows, columns = part.shape[0] // SIDE, part.shape[1] // SIDE
    table = _lowest_cosines()
    down = table @ part[: rows * SIDE, : columns * SIDE].reshape(rows, SIDE, columns * SIDE)
    both = down.reshape(rows, len(table), columns, SIDE) @ table.T
    return np.stack([both[:, row, :, column].ravel() for row, column in FREQUENCIES])
