"""Files and drawings of maps: one scale of colours for every image, nothing moved, nothing stretched."""

from __future__ import annotations

import io
from itertools import pairwise

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from sidscan.localize.drawings import colour, map_png, mask_png, overlay_png, page_drawings
from sidscan.localize.regions import Measured, measure
from sidscan.localize.tiles import SmallMap
from sidscan.records.localization import Localization

WIDTH, HEIGHT = 600, 400
PIXELS = np.full((HEIGHT, WIDTH, 3), 100, np.uint8)
FACTS = Localization("red", "ab", "tiles", 1, 9, 128, 64, WIDTH, HEIGHT, 0.5, None, 0.1, (300, 100, 500, 250))


def opened(data: bytes) -> NDArray[np.uint8]:
    with Image.open(io.BytesIO(data)) as image:
        return np.asarray(image)


def measured(inside: float, outside: float = 0.1, threshold: float = 0.5) -> Measured:
    """A map with one rectangle, x 300 to 500 and y 100 to 250."""
    values = np.full((HEIGHT, WIDTH), outside, np.float32)
    values[100:250, 300:500] = inside
    return measure(SmallMap(values, WIDTH, HEIGHT), WIDTH, HEIGHT, threshold, None)


def test_map_and_mask_are_grey_and_as_large_as_the_image() -> None:
    grey, mask = (opened(made(measured(0.8), FACTS)) for made in (map_png, mask_png))
    assert grey.shape == mask.shape == (HEIGHT, WIDTH)
    assert set(np.unique(grey)) == {26, 204}
    assert set(np.unique(mask)) == {0, 255}
    assert (mask[100:250, 300:500] == 255).all()


def test_files_say_what_made_them() -> None:
    for data in (map_png(measured(0.8), FACTS), overlay_png(PIXELS, measured(0.8), FACTS)):
        with Image.open(io.BytesIO(data)) as image:
            assert image.info["Software"] == "sidscan"
            assert image.info["Comment"] == "red (ab): tiles, 9 tiles of 128 px at native size; threshold 0.5"


def test_lighter_is_higher() -> None:
    luma = np.array((0.2126, 0.7152, 0.0722), np.float32)
    scale = (colour(np.linspace(0, 1, 101, dtype=np.float32)) @ luma).tolist()
    assert all(low < high for low, high in pairwise(scale))


def test_below_the_threshold_the_image_shows_as_it_is() -> None:
    drawn = opened(overlay_png(PIXELS, measured(0.5, 0.49), FACTS))[:HEIGHT, :WIDTH]
    assert (drawn == 100).all()


@pytest.mark.parametrize("other", [0.1, 0.49], ids=["a low map", "a higher map"])
def test_a_probability_has_one_colour_whatever_the_rest_of_the_map_is(other: float) -> None:
    drawn = opened(overlay_png(PIXELS, measured(0.8, other), FACTS))
    expected = 100 * (1 - 0.36) + colour(np.float32(204 / 255)[None])[0] * 0.36
    np.testing.assert_allclose(drawn[175, 400], expected, atol=2)


def test_the_contour_runs_around_the_region() -> None:
    drawn = opened(overlay_png(PIXELS, measured(0.8), FACTS))
    assert drawn[175, 297:300].tolist() == [[100] * 3, [0] * 3, [255] * 3]
    assert drawn[175, 500:503].tolist() == [[255] * 3, [0] * 3, [100] * 3]


def test_a_single_pixel_is_seen_in_a_large_image() -> None:
    values = np.zeros((3000, 4500), np.float32)
    values[1234, 3210] = 0.9
    single = measure(SmallMap(values, 4500, 3000), 4500, 3000, 0.5, None)
    pixels = np.full((3000, 4500, 3), 100, np.uint8)
    with Image.open(io.BytesIO(overlay_png(pixels, single, FACTS))) as drawn:
        assert drawn.width == 1500  # a third
        assert drawn.getpixel((3210 // 3 - 2, 1234 // 3)) == (255, 255, 255)


@pytest.mark.parametrize(
    ("orientation", "size", "place"),
    [
        (1, (600, 400), (400, 175)),
        (6, (400, 600), (224, 400)),
        (3, (600, 400), (199, 224)),
        (None, (600, 400), (400, 175)),
    ],
    ids=str,
)
def test_pages_show_image_and_map_turned_alike(
    orientation: int | None, size: tuple[int, int], place: tuple[int, int]
) -> None:
    facts = Localization(
        **{**{name: getattr(FACTS, name) for name in FACTS.__slots__}, "orientation": orientation}
    )
    drawing, grey = (Image.open(io.BytesIO(data)) for data in page_drawings(PIXELS, measured(0.9), facts))
    assert grey.size == size
    assert (drawing.width, drawing.height > size[1]) == (size[0], True)
    red, _, blue = np.asarray(drawing)[place[1], place[0]]
    assert red > 150 > blue  # coloured there, and grey at the opposite place
    plain = np.asarray(drawing)[size[1] - 1 - place[1], size[0] - 1 - place[0]].tolist()
    assert max(plain) - min(plain) < 12


@pytest.mark.parametrize("size", [(30, 900), (900, 30), (5, 5)], ids=str)
def test_narrow_images_can_be_drawn(size: tuple[int, int]) -> None:
    width, height = size
    values = np.ones((height, width), np.float32)
    made = measure(SmallMap(values, width, height), width, height, 0.5, None)
    drawn = opened(overlay_png(np.zeros((height, width, 3), np.uint8), made, FACTS))
    assert drawn.shape[0] > height
    assert drawn.shape[1] >= width
