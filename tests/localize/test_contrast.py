"""How clearly one part of a map stands out."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from sidscan.localize.contrast import CELL, contrast
from sidscan.localize.tiles import SmallMap

Box = tuple[int, int, int, int]  # top, left, bottom, right, cells
LOW, HIGH = 0.1, 0.9
ODDS = 2 * np.log(9)  # between both


def map_of(*boxes: Box, low: float = LOW, high: float = HIGH, cells: int = 40) -> SmallMap:
    """A map of that many cells a side, high in boxes, low elsewhere."""
    values = np.full((cells, cells), low, np.float32)
    for top, left, bottom, right in boxes:
        values[top:bottom, left:right] = high
    return small_map(np.kron(values, np.ones((CELL, CELL), np.float32)))


def small_map(values: NDArray[np.float32]) -> SmallMap:
    return SmallMap(values, values.shape[1], values.shape[0])


SQUARE = (10, 10, 20, 20)
SQUARENESS = 3 / np.pi  # how much of the ellipse with its moments a square fills
CASES = {
    "a square that stands alone": (map_of(SQUARE), SQUARENESS * ODDS),
    "one in a corner": (map_of((0, 0, 10, 10)), SQUARENESS * ODDS),
    "a whole map as high": (map_of((0, 0, 40, 40)), 0.0),
    "a part of more than half": (map_of((0, 0, 40, 21)), 0.0),
    "nothing above the level": (map_of(SQUARE, high=0.69), 0.0),
    "a part that is too small": (map_of((10, 10, 13, 13)), 0.0),
    "two alike: each has half of what is high": (map_of(SQUARE, (25, 25, 35, 35)), SQUARENESS * ODDS / 2),
    "so many that a tenth of the rest is as high": (
        map_of(*((top, left, top + 6, left + 6) for top in range(0, 40, 10) for left in range(0, 40, 10))),
        0.0,
    ),
    "probabilities of 0 and 1 are clipped": (map_of(SQUARE, low=0.0, high=1.0), SQUARENESS * 2 * np.log(99)),
}


@pytest.mark.parametrize(("small", "expected"), CASES.values(), ids=CASES)
def test_contrast(small: SmallMap, expected: float) -> None:
    assert contrast(small) == pytest.approx(expected, rel=1e-5, abs=1e-9)


def test_a_ragged_part_stands_out_less() -> None:
    cross = map_of((18, 2, 22, 38), (2, 18, 38, 22))
    assert 0 < contrast(cross) < 0.7 * contrast(map_of((12, 12, 29, 29)))


def test_a_part_among_others_that_are_nearly_as_high_stands_out_less() -> None:
    values = map_of(SQUARE).values.copy()
    values[200:] = 0.65
    assert 0 < contrast(small_map(values)) < 0.5 * contrast(map_of(SQUARE))


@given(st.integers(1, 12), st.integers(1, 12), st.randoms(use_true_random=False))
def test_it_is_a_number_from_0_for_any_map(height: int, width: int, random: object) -> None:
    values = np.random.default_rng(random.getrandbits(32)).random((height, width), np.float32)  # type: ignore[attr-defined]
    for scaled in (values, np.kron(values, np.ones((CELL, CELL), np.float32))):
        assert 0 <= contrast(small_map(scaled)) < 20


@given(st.integers(1, 25), st.integers(1, 25))
def test_it_does_not_depend_on_where_a_part_lies(top: int, left: int) -> None:
    assert contrast(map_of((top, left, top + 10, left + 10))) == pytest.approx(SQUARENESS * ODDS, rel=1e-5)
