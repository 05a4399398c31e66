"""Windows of a closer look cover every pixel, within the budget where they can, and cut as crops are cut."""

from __future__ import annotations

from itertools import pairwise, product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sample_images import photo

from sidscan.config import SIDE
from sidscan.images.crops import crop_positions
from sidscan.images.decode import source_from_pillow
from sidscan.images.windows import MIN_STRIDE, cut_window, window_grid

lengths = st.integers(1, 5000)


@given(lengths, lengths, st.integers(1, 2000))
def test_every_pixel_lies_in_a_window(width: int, height: int, budget: int) -> None:
    for starts, length in zip(window_grid(width, height, budget), (width, height), strict=True):
        assert starts[0] <= 0
        assert starts[-1] + SIDE >= length
        assert all(0 < right - left <= SIDE for left, right in pairwise(starts))
        if length > SIDE:
            assert (starts[0], starts[-1]) == (0, length - SIDE), "no padding where none is needed"


@given(lengths, lengths, st.integers(1, 2000))
def test_the_budget_holds_where_it_covers_the_image(width: int, height: int, budget: int) -> None:
    lefts, tops = window_grid(width, height, budget)
    least = -(-max(width, SIDE) // SIDE) * -(-max(height, SIDE) // SIDE)
    assert len(lefts) * len(tops) <= max(budget, least)


@pytest.mark.parametrize(
    ("size", "budget", "expected"),
    [
        pytest.param((100, 80), 256, ((-62,), (-72,)), id="smaller than a window"),
        pytest.param((224, 225), 256, ((0,), (0, 1)), id="one pixel more"),
        pytest.param((400, 100), 256, ((0, 64, 128, 176), (-62,)), id="a strip"),
        pytest.param((1024, 1024), 256, ((*range(0, 769, 64), 800),) * 2, id="within the budget"),
        pytest.param((672, 448), 1, ((0, 224, 448), (0, 224)), id="more than the budget, to cover it"),
    ],
)
def test_grids(size: tuple[int, int], budget: int, expected: tuple[tuple[int, ...], ...]) -> None:
    assert window_grid(*size, budget) == expected


def test_windows_lie_no_closer_than_they_need() -> None:
    lefts, _ = window_grid(3000, 224, 1_000_000)
    assert max(right - left for left, right in pairwise(lefts)) == MIN_STRIDE


@pytest.mark.parametrize("size", [(300, 260), (100, 300), (31, 50)], ids=["large", "narrow", "small"])
def test_windows_are_cut_as_crops_are(size: tuple[int, int]) -> None:
    source = source_from_pillow(photo(*size))
    pixels = source.pixels()
    assert np.array_equal(pixels, np.asarray(source.image))
    places = [*product(*window_grid(*size, 256)), *(place for place, _ in crop_positions(*size, "ten"))]
    for left, top in places:
        assert np.array_equal(cut_window(pixels, left, top), source.window(left, top, SIDE))
