"""Score maps have one scale of colours for every image, turned as the image is shown."""

from __future__ import annotations

import io
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

from sidscan.records.score_map import ScoreMap
from sidscan.review.score_map_image import colour, draw_score_maps

# Two windows side by side: the drawing has a map of 420 x 210 pixels, halves of 210.
WIDE = ScoreMap("m", "d", 0.5, 224, 448, 224, (0, 224), (0,), ((0.2, 0.9),), ((False, False),))
SHA256 = "ab" * 32


def drawn(score_map: ScoreMap, pixels: NDArray[np.uint8] | None = None) -> NDArray[np.uint8]:
    with Image.open(io.BytesIO(draw_score_maps([score_map], SHA256, pixels))) as image:
        assert image.format == "PNG"
        return np.asarray(image)


def has(drawing: NDArray[np.uint8], rgb: tuple[int, int, int]) -> NDArray[np.bool_]:
    same: NDArray[np.bool_] = np.all(drawing == rgb, axis=-1)
    return same


def place_of(drawing: NDArray[np.uint8], rgb: tuple[int, int, int]) -> tuple[float, float]:
    """The median x and y of a colour, in the part above the legend."""
    y, x = np.nonzero(has(drawing, rgb)[: -7 * 19])
    return float(np.median(x)), float(np.median(y))


def lightness(rgb: tuple[int, int, int]) -> float:
    """ITU-R BT.709."""
    return 0.2126 * rgb[0] + 0.7152 * rgb[1] + 0.0722 * rgb[2]


def test_lighter_is_higher() -> None:
    scale = [lightness(colour(score / 100)) for score in range(101)]
    assert all(low < high for low, high in pairwise(scale))
    assert (colour(0.0), colour(1.0)) == ((0, 32, 81), (253, 234, 69))


@settings(max_examples=15)
@given(st.floats(0, 1), st.floats(0, 0.4))
def test_a_score_has_one_colour_whatever_the_others_are(score: float, other: float) -> None:
    rgb = colour(score)
    for scores in ((score, other), (score, 1 - other)):
        drawing = drawn(replace(WIDE, scores=(scores,)))
        assert has(drawing, rgb)[: -7 * 19].sum() > 2_000


@pytest.mark.parametrize(
    ("orientation", "order"),
    [
        (None, "low left"),
        (1, "low left"),
        (2, "low right"),
        (3, "low right"),
        (6, "low above"),
        (8, "low below"),
    ],
    ids=str,
)
def test_maps_are_turned_as_the_image_is_shown(orientation: int | None, order: str) -> None:
    drawing = drawn(replace(WIDE, orientation=orientation))
    (low_x, low_y), (high_x, high_y) = (place_of(drawing, colour(score)) for score in (0.2, 0.9))
    assert {
        "low left": low_x < high_x and low_y == high_y,
        "low right": low_x > high_x and low_y == high_y,
        "low above": low_x == high_x and low_y < high_y,
        "low below": low_x == high_x and low_y > high_y,
    }[order]


def test_the_image_stands_in_grey_beside_the_map_or_not_at_all() -> None:
    pixels = np.full((224, 448, 3), (250, 10, 10), np.uint8)
    grey = int(np.asarray(Image.fromarray(pixels).convert("L"))[0, 0])
    with_image, without = drawn(WIDE, pixels), drawn(WIDE)
    assert has(with_image, (grey, grey, grey)).sum() > 50_000
    assert has(without, (grey, grey, grey)).sum() == 0
    assert not has(with_image, (250, 10, 10)).any()


@pytest.mark.parametrize(
    ("threshold", "lines"), [(0.1, False), (0.5, True), (0.95, False)], ids=["below both", "between", "above"]
)
def test_a_line_runs_where_scores_cross_the_threshold(threshold: float, lines: bool) -> None:
    three = replace(
        WIDE,
        threshold=threshold,
        width=672,
        lefts=(0, 224, 448),
        scores=((0.9, 0.8, 0.2),),
        flat=((False,) * 3,),
    )
    middle = drawn(three)[3 * 19 + 16 - 8 + 70, 16:]  # a row of pixels, from the map's left edge
    expected = {True: (255, 255, 255), False: colour(0.2)}[lines]
    assert tuple(middle[280]) == expected


def test_flat_windows_are_striped_and_get_no_colour() -> None:
    drawing = drawn(replace(WIDE, flat=((False, True),)))
    assert has(drawing, colour(0.9)).sum() < 100, "only in the legend"
    assert has(drawing, (150, 150, 150)).sum() > 20_000


@pytest.mark.parametrize("size", [(1, 5000), (5000, 1), (1, 1)], ids=str)
def test_extreme_shapes_are_drawn(size: tuple[int, int]) -> None:
    width, height = size
    tops = tuple(range(0, height - 223, 224)) if height > 224 else (0,)
    lefts = tuple(range(0, width - 223, 224)) if width > 224 else (0,)
    rows = tuple(tuple(0.5 for _ in lefts) for _ in tops)
    flat = tuple(tuple(False for _ in lefts) for _ in tops)
    shape = ScoreMap("m", "d", 0.5, 224, width, height, lefts, tops, rows, flat)
    assert drawn(shape, np.zeros((height, width, 3), np.uint8)).shape[1] >= 800
