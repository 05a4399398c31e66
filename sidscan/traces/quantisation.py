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
    comparisons = {
        index: _compare(observed[:, index], shifted[:, index], step, noise)
        for index, step in enumerate(steps)
        if step <= COARSEST_STEP
    }
    usable = {index: each for index, each in comparisons.items() if each is not None}
    return _summary(usable) if len(usable) >= _COUNTED_FREQUENCIES else None


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


def _compare(observed: Floats, shifted: Floats, step: int, noise: float) -> _Comparison | None:
    """How likely the histogram of one frequency is under each earlier step, without zeros."""
    bins = _LARGEST // step
    levels = np.minimum(np.rint(np.abs(observed) / step), bins + 1).astype(np.intp)
    histogram = np.bincount(levels, minlength=bins + 2)[1 : bins + 1].astype(float)
    count = int(histogram.sum())
    if count < _MIN_COEFFICIENTS:
        return None
    predicted = _predictions(step, noise) @ _smooth_histogram(shifted) + 0.5
    predicted /= predicted.sum(1, keepdims=True)
    likelihoods = np.log(predicted) @ histogram / count
    gains = likelihoods[1:] - likelihoods[0]
    gains[step - 1] = 0  # the same step again leaves no trace
    share = histogram[histogram > 0] / count
    return _Comparison(gains, float(share @ np.log(share) - likelihoods[0]), count)


def _smooth_histogram(coefficients: Floats) -> NDArray[np.float64]:
    """Of sizes, in half units up to `_LARGEST`."""
    halves = np.minimum(np.rint(np.abs(coefficients) * 2), 2 * _LARGEST).astype(np.intp)
    counts = np.bincount(halves, minlength=2 * _LARGEST + 1)
    margin = len(_SMOOTHING) // 2
    padded = np.concatenate([counts[margin:0:-1], counts, np.zeros(margin)])
    return np.convolve(padded, _SMOOTHING, "valid")


@lru_cache(maxsize=32)
def _predictions(step: int, noise: float) -> NDArray[np.float32]:
    """Chances that a coefficient ends in each bin: (1 + earlier steps, bins, sizes in half units).

    The first is without an earlier step.
    """
    sizes = np.arange(2 * _LARGEST + 1) / 2
    offsets = np.linspace(-3, 3, 25) * noise
    weights = np.exp(-((offsets / noise) ** 2) / 2)
    bins = _LARGEST // step
    columns = np.broadcast_to(np.arange(len(sizes)), (len(offsets), len(sizes)))
    chances = np.repeat(weights / weights.sum(), len(sizes))
    tables = []
    for rounded in (sizes, *(np.rint(sizes / earlier) * earlier for earlier in _EARLIER_STEPS)):
        levels = np.minimum(np.abs(np.rint((rounded + offsets[:, None]) / step)), bins + 1).astype(np.intp)
        cells = np.bincount((levels * len(sizes) + columns).ravel(), chances, (bins + 2) * len(sizes))
        tables.append(cells.reshape(bins + 2, len(sizes))[1 : bins + 1])
    return np.array(tables, np.float32)


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
def _basis() -> Floats:
    """(pixels of a block, frequencies)."""
    table = cosines()
    return np.stack([np.outer(table[row], table[column]).ravel() for row, column in FREQUENCIES], 1).astype(
        np.float32
    )


def _coefficients(luma: Floats, top: int, left: int) -> Floats:
    """DCT coefficients (blocks, frequencies) on the grid that begins there."""
    part = luma[top:, left:]
    rows, columns = part.shape[0] // SIDE, part.shape[1] // SIDE
    blocks = part[: rows * SIDE, : columns * SIDE].reshape(rows, SIDE, columns, SIDE).swapaxes(1, 2)
    return np.asarray(blocks.reshape(-1, SIDE * SIDE) @ _basis())
