"""Crops equal torchvision's, and no crop is computed twice."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from PIL import Image
from sample_images import encoded, photo
from torchvision import transforms

from sidscan.config import Crops
from sidscan.images.crops import (
    crop,
    crop_positions,
    needed_rows,
    padding_flags,
    share_covered,
    view_names,
)
from sidscan.images.decode import SourceImage, decode
from sidscan.isolation.protocol import MAX_CROPS


def _source(image: Image.Image) -> SourceImage:
    return decode(encoded(image, "PNG"))


@pytest.mark.parametrize(
    "size", [(224, 224), (225, 300), (301, 228), (227, 229), (640, 480), (1001, 777)], ids=str
)
def test_ten_crop_equals_torchvision(size: tuple[int, int]) -> None:
    image = photo(*size)
    expected = [np.asarray(crop) for crop in transforms.TenCrop(224)(image)]
    crop_set = crop(_source(image), "ten")
    assert np.array_equal(crop_set.pixels(), np.stack(expected))


@pytest.mark.parametrize("size", [(224, 224), (640, 481), (225, 100), (99, 300), (101, 57), (1, 1)], ids=str)
def test_centre_crop_equals_torchvision(size: tuple[int, int]) -> None:
    image = photo(*size)
    expected = np.asarray(transforms.CenterCrop(224)(image))
    crop_set = crop(_source(image), "center")
    assert crop_set.order == ((0, False),)
    assert np.array_equal(crop_set.crops[0], expected)


@pytest.mark.parametrize("size", [(300, 100), (100, 300), (60, 61)], ids=str)
def test_small_images_are_padded_then_ten_cropped(size: tuple[int, int]) -> None:
    """torchvision's TenCrop refuses small images; ours first pads them as CenterCrop does."""
    image = photo(*size)
    padded = transforms.CenterCrop((max(224, size[1]), max(224, size[0])))(image)
    expected = np.stack([np.asarray(crop) for crop in transforms.TenCrop(224)(padded)])
    crop_set = crop(_source(image), "ten")
    assert np.array_equal(crop_set.pixels(), expected)
    assert padding_flags(_source(image)) == ("padded",)


def _noise(width: int, height: int) -> Image.Image:
    values = np.random.default_rng(width * 1009 + height).integers(0, 256, (height, width, 3), dtype=np.uint8)
    return Image.fromarray(values)


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 600), st.integers(1, 600))
@example(223, 225)
@example(224, 1)
def test_crops_of_any_size_equal_torchvisions(width: int, height: int) -> None:
    """The image is mirrored first, then padded: the order matters if an odd number of columns is missing."""
    image = _noise(width, height)
    source = SourceImage(image, "PNG", ())
    pad = transforms.CenterCrop((max(224, height), max(224, width)))
    both = image, image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    expected = [np.asarray(each) for side in both for each in transforms.FiveCrop(224)(pad(side))]
    if width >= 224:
        assert all(map(np.array_equal, expected, map(np.asarray, transforms.TenCrop(224)(pad(image)))))
    ten, center = crop(source, "ten"), crop(source, "center")
    assert np.array_equal(ten.pixels(), np.stack(expected))
    assert np.array_equal(center.pixels(), np.asarray(transforms.CenterCrop(224)(image))[None])
    assert len(ten.crops) <= MAX_CROPS["ten"]
    assert (padding_flags(source) == ("padded",)) is (min(width, height) < 224)


@settings(max_examples=100, deadline=None)
@given(st.integers(1, 5000), st.integers(1, 5000), st.sampled_from(("ten", "center")))
def test_the_needed_rows_contain_all_crops(width: int, height: int, crops: Crops) -> None:
    rows = {row for wanted in needed_rows(height, crops) for row in wanted}
    for (_, top), _ in crop_positions(width, height, crops):
        assert rows >= set(range(max(top, 0), min(top + 224, height)))


def _symmetric(image: Image.Image) -> Image.Image:
    """An image twice as wide, whose right half mirrors the left half."""
    doubled = Image.new("RGB", (2 * image.width, image.height))
    doubled.paste(image)
    doubled.paste(image.transpose(Image.Transpose.FLIP_LEFT_RIGHT), (image.width, 0))
    return doubled


@pytest.mark.parametrize(
    ("image", "crops", "refs"),
    [
        pytest.param(photo(224, 224), 1, 2, id="one window and its mirror image"),
        pytest.param(photo(300, 224), 3, 6, id="corners coincide in pairs"),
        pytest.param(photo(400, 400), 5, 10, id="all differ"),
        pytest.param(photo(401, 400), 6, 10, id="the mirrored centre is off by one pixel"),
        pytest.param(
            _symmetric(photo(200, 400)), 3, 5, id="right windows mirror the left, and the centre itself"
        ),
        pytest.param(Image.new("RGB", (400, 400), "grey"), 1, 1, id="flat"),
    ],
)
def test_equal_crops_are_stored_once_and_share_a_reference(image: Image.Image, crops: int, refs: int) -> None:
    crop_set = crop(_source(image), "ten")
    assert (len(crop_set.crops), len(set(crop_set.order)), len(crop_set.order)) == (crops, refs, 10)
    assert len({pixels.tobytes() for pixels in crop_set.pixels()}) == refs
    assert crop_set.crops.dtype == np.uint8


def test_no_image_has_more_crops_than_a_worker_may_send() -> None:
    sides = (1, 99, 100, 223, 224, 225, 226, 227, 300, 301, 448, 449)
    for crops, expected in MAX_CROPS.items():
        counts = {
            len({position for position, _ in crop_positions(width, height, crops)})
            for width in sides
            for height in sides
        }
        assert max(counts) == expected


@pytest.mark.parametrize(
    ("width", "height", "count", "expected"),
    [
        pytest.param(224, 224, 1, 1.0, id="one crop is all"),
        pytest.param(100, 60, 10, 1.0, id="smaller than a crop"),
        pytest.param(448, 448, 1, 0.25, id="the centre of four"),
        pytest.param(448, 448, 5, 1.0, id="four corners"),
        pytest.param(672, 672, 5, 5 / 9, id="five of nine"),
        pytest.param(672, 672, 10, 5 / 9, id="mirror images lie in the same places"),
        pytest.param(672, 224, 5, 1.0, id="three in a row"),
        pytest.param(100, 672, 1, 1 / 3, id="narrower than a crop"),
        pytest.param(4000, 3000, 5, 5 * 224**2 / 12e6, id="twelve megapixels"),
    ],
)
def test_the_share_of_an_image_that_is_seen(width: int, height: int, count: int, expected: float) -> None:
    assert share_covered(width, height, count) == pytest.approx(expected, abs=1e-6)


@given(st.integers(1, 700), st.integers(1, 700), st.sampled_from([1, 5, 10]))
@settings(max_examples=40)
def test_the_share_is_that_of_the_pixels_in_crops(width: int, height: int, count: int) -> None:
    seen = np.zeros((height, width), bool)
    positions = crop_positions(width, height, "ten" if count > 1 else "center")[:count]
    for (left, top), _ in positions:
        seen[max(top, 0) : max(top + 224, 0), max(left, 0) : max(left + 224, 0)] = True
    assert share_covered(width, height, count) == pytest.approx(seen.mean(), abs=1e-6)


def test_views_are_named_by_where_they_lie() -> None:
    columns, rows = {0: "left", 276: "right", 138: "centre"}, {0: "top", 476: "bottom", 238: "centre"}
    for ((left, top), mirrored), name in zip(crop_positions(500, 700, "ten"), view_names(10), strict=True):
        place = "centre" if columns[left] == "centre" else f"{rows[top]} {columns[left]}"
        assert name == place + (", mirrored" if mirrored else "")
    assert view_names(5) == view_names(10)[:5]
    assert view_names(1) == ("centre",)
