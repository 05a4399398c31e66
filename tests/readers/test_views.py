"""Crops equal torchvision's, and none is computed twice."""

from __future__ import annotations

import numpy as np
import pytest
from pictures import encoded, photo
from PIL import Image
from torchvision import transforms

from sidscan.readers.decode import Picture, decode
from sidscan.readers.views import cut, flags


def _picture(image: Image.Image) -> Picture:
    return decode(encoded(image, "PNG"))


@pytest.mark.parametrize("size", [(224, 224), (225, 300), (301, 228), (640, 480), (1001, 777)], ids=str)
def test_ten_crop_equals_torchvision(size: tuple[int, int]) -> None:
    image = photo(*size)
    expected = [np.asarray(crop) for crop in transforms.TenCrop(224)(image)]
    views = cut(_picture(image), "ten")
    assert np.array_equal(views.crops[list(views.order)], np.stack(expected))


@pytest.mark.parametrize("size", [(224, 224), (640, 481), (225, 100), (99, 300), (101, 57), (1, 1)], ids=str)
def test_centre_crop_equals_torchvision(size: tuple[int, int]) -> None:
    image = photo(*size)
    expected = np.asarray(transforms.CenterCrop(224)(image))
    views = cut(_picture(image), "center")
    assert views.order == (0,)
    assert np.array_equal(views.crops[0], expected)


@pytest.mark.parametrize("size", [(300, 100), (100, 300), (60, 61)], ids=str)
def test_small_pictures_are_padded_then_ten_cropped(size: tuple[int, int]) -> None:
    """torchvision's TenCrop refuses these; ours pads as CenterCrop does and goes on from there."""
    image = photo(*size)
    padded = transforms.CenterCrop((max(224, size[1]), max(224, size[0])))(image)
    expected = np.stack([np.asarray(crop) for crop in transforms.TenCrop(224)(padded)])
    views = cut(_picture(image), "ten")
    assert np.array_equal(views.crops[list(views.order)], expected)
    assert flags(_picture(image)) == ("padded",)


@pytest.mark.parametrize(
    ("image", "distinct"),
    [
        pytest.param(photo(224, 224), 2, id="one window and its mirror image"),
        pytest.param(photo(300, 224), 6, id="corners coincide in pairs"),
        pytest.param(photo(400, 400), 10, id="all differ"),
        pytest.param(Image.new("RGB", (400, 400), "grey"), 1, id="flat"),
    ],
)
def test_equal_crops_are_stored_once(image: Image.Image, distinct: int) -> None:
    views = cut(_picture(image), "ten")
    assert len(views.crops) == distinct
    assert len(views.order) == 10
    assert views.crops.dtype == np.uint8
