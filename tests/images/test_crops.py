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
from sidscan.images.crops import crop, crop_positions, needed_rows, padding_flags
from sidscan.images.decode import SourceImage, decode
from sidscan.isolation.reader import MAX_CROPS


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
