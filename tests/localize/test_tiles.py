"""Tiles, and one map made of their maps."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from sidscan.localize.tiles import Map, Pixels, map_of_tiles, map_of_whole, tile_grid

SIDE, STRIDE = 32, 16


def red(tiles: Pixels) -> Map:
    """A localizer that says what the red channel says."""
    red_values: Map = tiles[..., 0].astype(np.float32) / np.float32(255)
    return red_values


def no_progress(_: int) -> None:
    """Show nothing."""


@pytest.mark.parametrize(
    ("width", "height", "most", "scale", "tiles"),
    [
        pytest.param(1024, 768, 10_000, 1, 35, id="1024x768"),
        pytest.param(1920, 1080, 10_000, 1, 112, id="1920x1080"),
        pytest.param(4000, 3000, 10_000, 1, 713, id="4000x3000"),
        pytest.param(6000, 4000, 10_000, 1, 1426, id="24 megapixels, all tiles"),
        pytest.param(6000, 4000, 512, 2, 345, id="24 megapixels on a GPU"),
        pytest.param(6000, 4000, 64, 8, 15, id="24 megapixels on a CPU"),
        pytest.param(256, 256, 64, 1, 1, id="one tile"),
        pytest.param(257, 256, 64, 1, 2, id="one pixel more"),
        pytest.param(40_000, 300, 64, 1, 624, id="too narrow to be halved"),
    ],
)
def test_the_grid_of_known_sizes(width: int, height: int, most: int, scale: int, tiles: int) -> None:
    grid = tile_grid(width, height, 256, 128, most)
    assert (grid.scale, len(grid)) == (scale, tiles)


@given(st.integers(SIDE, 700), st.integers(SIDE, 700), st.integers(1, 400))
def test_tiles_cover_every_pixel_and_end_at_the_edges(width: int, height: int, most: int) -> None:
    grid = tile_grid(width, height, SIDE, STRIDE, most)
    for starts, length in ((grid.lefts, grid.width), (grid.tops, grid.height)):
        covered = np.zeros(length, bool)
        for start in starts:
            assert 0 <= start <= length - SIDE
            covered[start : start + SIDE] = True
        assert covered.all()
        assert starts[-1] == length - SIDE
    assert len(grid) <= most or (min(grid.width, grid.height) + 1) // 2 < SIDE


@given(st.integers(SIDE, 200), st.integers(SIDE, 200), st.integers(1, 60), st.integers(0, 255))
def test_a_constant_map_stays_constant(width: int, height: int, most: int, value: int) -> None:
    pixels = np.full((height, width, 3), value, np.uint8)
    grid = tile_grid(width, height, SIDE, STRIDE, most)
    blended = map_of_tiles(pixels, grid, red, 7, no_progress)
    rows = blended.rows(0, height, width, height)
    assert rows.shape == (height, width)
    np.testing.assert_allclose(rows, value / 255, atol=1e-5)


def test_at_full_size_tiles_that_agree_give_the_map_pixel_by_pixel() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (123, 217, 3), np.uint8)
    blended = map_of_tiles(pixels, tile_grid(217, 123, SIDE, STRIDE, 1000), red, 5, no_progress)
    np.testing.assert_allclose(blended.rows(0, 123, 217, 123), pixels[..., 0] / 255, atol=1e-5)


def test_a_tile_counts_most_where_it_is_central() -> None:
    """Two tiles disagree: the map goes from one to the other across what they share."""
    answers = iter([np.zeros((SIDE, SIDE)), np.ones((SIDE, SIDE))])

    def disagree(tiles: Pixels) -> Map:
        return np.stack([next(answers) for _ in tiles]).astype(np.float32)

    pixels = np.zeros((SIDE, SIDE + STRIDE, 3), np.uint8)
    grid = tile_grid(SIDE + STRIDE, SIDE, SIDE, STRIDE, 10)
    row = map_of_tiles(pixels, grid, disagree, 2, no_progress).values[SIDE // 2]
    assert (row[:STRIDE] == 0).all()
    assert (row[SIDE:] == 1).all()
    assert (np.diff(row[STRIDE:SIDE]) > 0).all()
    assert row[STRIDE:SIDE].mean() == pytest.approx(0.5, abs=1e-4)


@pytest.mark.parametrize("size", [(640, 480), (641, 479)], ids=["even", "odd"])
def test_a_region_keeps_its_place_where_the_image_was_halved(size: tuple[int, int]) -> None:
    width, height = size
    pixels = np.zeros((height, width, 3), np.uint8)
    pixels[120:340, 200:520] = 255
    grid = tile_grid(width, height, SIDE, STRIDE, 100)
    assert grid.scale == 4
    above = map_of_tiles(pixels, grid, red, 8, no_progress).rows(0, height, width, height) > 0.5
    assert edges_of(above) == pytest.approx((200, 120, 520, 340), abs=1)


def edges_of(mask: NDArray[np.bool_]) -> tuple[int, int, int, int]:
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    return int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1


def test_the_whole_image_is_one_square() -> None:

    def seen(images: Pixels) -> Map:
        assert images.shape == (1, 300, 500, 3)
        return red(images)[:, ::20, ::20][:, :SIDE, :SIDE]

    pixels = np.zeros((300, 500, 3), np.uint8)
    pixels[:, 250:] = 255
    whole = map_of_whole(pixels, seen, no_progress)
    rows = whole.rows(0, 300, 500, 300)
    assert (rows[:, :240] < 0.5).all()
    assert (rows[:, 260:] > 0.5).all()


def test_bands_of_rows_are_the_rows_of_the_whole_map() -> None:
    values = np.random.default_rng(1).random((50, 71), np.float32)
    pixels = np.zeros((199, 281, 3), np.uint8)
    grid = tile_grid(281, 199, SIDE, STRIDE, 12)
    small = map_of_tiles(pixels, grid, red, 8, no_progress)
    assert small.values.shape == values.shape
    small = type(small)(values, small.width, small.height)
    whole = small.rows(0, 199, 281, 199)
    bands = [small.rows(top, min(top + 60, 199), 281, 199) for top in range(0, 199, 60)]
    np.testing.assert_allclose(np.concatenate(bands), whole, atol=1e-5)
