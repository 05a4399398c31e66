"""Regions of a mask, and the figures of a map."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from numpy.typing import NDArray

from sidscan.localize.regions import Region, largest_region, measure
from sidscan.localize.tiles import SmallMap

DRAWN = {
    "nothing": ("....", None),
    "one pixel": ("....\n..#.\n....", Region((2, 1, 3, 2), 1)),
    "all": ("##\n##", Region((0, 0, 2, 2), 4)),
    "the larger of two": ("##..#\n....#\n....#", Region((4, 0, 5, 3), 3)),
    "corners alone do not touch": ("#.\n.#", Region((0, 0, 1, 1), 1)),
    "a ring": ("####\n#..#\n####", Region((0, 0, 4, 3), 10)),
    "arms that meet below": ("#.#.#\n#.#.#\n#####", Region((0, 0, 5, 3), 11)),
    "a spiral": ("#####\n....#\n###.#\n#...#\n#####", Region((0, 0, 5, 5), 17)),
    "the end of a row and the start of the next": ("..##\n##..", Region((2, 0, 4, 1), 2)),
}


def mask_of(drawing: str) -> NDArray[np.bool_]:
    return np.array([[cell == "#" for cell in row] for row in drawing.split("\n")])


@pytest.mark.parametrize(("drawing", "region"), DRAWN.values(), ids=DRAWN)
def test_the_largest_region(drawing: str, region: Region | None) -> None:
    assert largest_region(mask_of(drawing)) == region


@given(arrays.arrays(bool, arrays.array_shapes(min_dims=2, max_dims=2, max_side=12), elements=st.booleans()))
def test_it_is_the_one_that_filling_finds(mask: NDArray[np.bool_]) -> None:
    filled = by_filling(mask)
    region = largest_region(mask)
    assert (region.pixels if region else 0) == max(map(len, filled), default=0)
    assert region is None or region in [region_of(pixels) for pixels in filled]


def by_filling(mask: NDArray[np.bool_]) -> list[set[tuple[int, int]]]:
    left = set(map(tuple, np.argwhere(mask).tolist()))
    regions = []
    while left:
        region, edge = set(), [left.pop()]
        while edge:
            row, column = edge.pop()
            region.add((row, column))
            near = {(row + 1, column), (row - 1, column), (row, column + 1), (row, column - 1)} & left
            left -= near
            edge += near
        regions.append(region)
    return regions


def region_of(pixels: set[tuple[int, int]]) -> Region:
    rows, columns = zip(*pixels, strict=True)
    return Region((min(columns), min(rows), max(columns) + 1, max(rows) + 1), len(pixels))


def full(values: NDArray[np.float32]) -> SmallMap:
    return SmallMap(values, values.shape[1], values.shape[0])


def test_figures_of_a_map() -> None:
    values = np.linspace(0, 1, 1000, dtype=np.float32).reshape(10, 100)
    measured = measure(full(values), 100, 10, 0.5, None)
    assert measured.area == 0.5
    assert measured.maximum == 1
    assert measured.p99 == pytest.approx(np.quantile(values, 0.99), abs=2e-3)
    assert measured.region == Region((0, 5, 100, 10), 500)
    assert measured.agreement is None
    assert measured.levels[0, 0] == 0
    assert measured.levels[9, 99] == 255
    np.testing.assert_array_equal(measured.mask, values > 0.5)


def test_the_threshold_itself_is_not_above() -> None:
    measured = measure(full(np.full((20, 20), 0.5, np.float32)), 20, 20, 0.5, None)
    assert (measured.area, measured.region) == (0, None)


@pytest.mark.parametrize(
    ("ours", "theirs", "agreement"),
    [("##..", "##..", 1.0), ("##..", "..##", 0.0), ("##..", ".##.", 1 / 3), ("....", "....", None)],
    ids=["the same", "elsewhere", "in part", "neither"],
)
def test_agreement_of_two_maps(ours: str, theirs: str, agreement: float | None) -> None:
    first, second = (full(mask_of(each).astype(np.float32)) for each in (ours, theirs))
    assert measure(first, 4, 1, 0.5, second).agreement == agreement


def test_large_images_are_measured_in_bands_as_they_are_whole() -> None:
    values = np.random.default_rng(2).random((1000, 37), np.float32)
    measured = measure(full(values), 37, 1000, 0.75, None)
    np.testing.assert_array_equal(measured.levels, np.rint(values * 255).astype(np.uint8))
    assert measured.area == (values > 0.75).mean()
