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
    observed = _coefficients(luma, *grid)
    shifted = _coefficients(luma, (grid[0] + HALF) % SIDE, (grid[1] + HALF) % SIDE)
    expected = _move(_smooth_histograms(shifted))
    usable = dict[int, _Comparison]()
    for step in {step for step in steps if step <= COARSEST_STEP}:
        indices = [index for index, each in enumerate(steps) if each == step]
        usable |= _compare(observed[:, indices], expected[..., indices], step, noise, indices)
    if len(usable) < _COUNTED_FREQUENCIES:
        return None
    return _summary(dict(sorted(usable.items())))


@dataclass(frozen=True)
class _Comparison:
    """One frequency: the gain of each earlier step, what there is to explain, and number of coefficients."""

    gains: NDArray[np.float64]
    unexplained: float
    count: int


def _summary(by_frequency: dict[int, _Comparison]) -> EarlierSteps:
    indices, comparisons = list(by_frequency), list(by_frequency.values())
    gains = np.array([each.gains for each in comparisons])
    unexplained = np.array([each.unexplained for each in comparisons])
    weights = np.array([min(each.count, _WEIGHT) for each in comparisons], float)
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


def _compare(
    observed: Floats, expected: Floats, step: int, noise: float, indices: Sequence[int]
) -> dict[int, _Comparison]:
    """How likely histograms without zeros are under each earlier step, of the frequencies of one last step.

    Args:
        observed: coefficients (blocks, frequencies).
        expected: histograms after each earlier rounding, as of `_move`.
        indices: of these frequencies, which are left out where too few coefficients are not zero.
    """
    bins = _LARGEST // step
    levels = np.minimum(np.rint(np.abs(observed) * np.float32(1 / step)), bins + 1)
    histograms = _histograms(levels, bins + 2)[1 : bins + 1].astype(np.float64)
    counts = histograms.sum(0)
    predicted = (_chances(step, noise) @ expected.reshape(_REACH, -1)).reshape(
        bins, *expected.shape[1:]
    ) + 0.5
    predicted /= predicted.sum(0, keepdims=True)
    likelihoods = np.einsum("bef,bf->ef", np.log(predicted), histograms) / np.maximum(counts, 1)
    gains = likelihoods[1:] - likelihoods[0]
    gains[step - 1] = 0  # the same step again leaves no trace
    shares = histograms / np.maximum(counts, 1)
    unexplained = (shares * np.log(np.where(shares, shares, 1))).sum(0) - likelihoods[0]
    return {
        index: _Comparison(gains[:, column], float(unexplained[column]), int(counts[column]))
        for column, index in enumerate(indices)
        if counts[column] >= _MIN_COEFFICIENTS
    }


def _histograms(levels: Floats, size: int) -> NDArray[np.intp]:
    """How many of each column have each level (size, columns), of levels (any number, columns)."""
    columns = levels.shape[1]
    cells = levels.astype(np.intp) * columns + np.arange(columns)
    return np.bincount(cells.ravel(), minlength=size * columns).reshape(size, columns)


def _smooth_histograms(coefficients: Floats) -> Floats:
    """Of sizes in half units up to `_LARGEST` (sizes, frequencies)."""
    counts = _histograms(np.minimum(np.rint(np.abs(coefficients) * 2), 2 * _LARGEST), _SIZES)
    margin = len(_SMOOTHING) // 2
    padded = np.concatenate([counts[margin:0:-1], counts, np.zeros((margin, counts.shape[1]))])
    smooth = sum(weight * padded[shift : shift + _SIZES] for shift, weight in enumerate(_SMOOTHING))
    return np.asarray(smooth, np.float32)


def _move(expected: Floats) -> Floats:
    """Histograms after each earlier rounding: (sizes in half units, 1 + earlier steps, frequencies).

    The first is without one. A step moves neighbouring sizes to one, so sums are differences of running sums.
    """
    running = np.concatenate([np.zeros((1, expected.shape[1])), np.cumsum(expected, 0)])
    starts, stops, numbers, targets = _movements()
    moved = np.zeros((_REACH, 1 + len(_EARLIER_STEPS), expected.shape[1]), np.float32)
    moved[targets, numbers] = running[stops] - running[starts]
    return moved


@lru_cache(maxsize=1)
def _movements() -> tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.intp], NDArray[np.intp]]:
    """Runs of sizes that an earlier rounding moves to one: start, stop, number of the step, that size."""
    sizes, runs = np.arange(_SIZES), []
    for number, step in enumerate([0.5, *_EARLIER_STEPS]):  # half a unit moves none
        targets = (2 * step * np.rint(sizes / 2 / step)).astype(np.intp)
        starts = np.flatnonzero(np.diff(targets, prepend=-1))
        stops = np.append(starts[1:], _SIZES)
        runs.append(np.stack([starts, stops, np.full_like(starts, number), targets[starts]]))
    starts, stops, numbers, targets = np.concatenate(runs, 1)
    return starts, stops, numbers, targets


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
    """DCT coefficients (blocks, frequencies) on the grid that begins there."""
    part = luma[top:, left:]
    rows, columns = part.shape[0] // SIDE, part.shape[1] // SIDE
    table = _lowest_cosines()
    down = table @ part[: rows * SIDE, : columns * SIDE].reshape(rows, SIDE, columns * SIDE)
    both = down.reshape(rows, len(table), columns, SIDE) @ table.T
    return np.stack([both[:, row, :, column].ravel() for row, column in FREQUENCIES], 1)
