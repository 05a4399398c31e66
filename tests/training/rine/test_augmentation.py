"""The training view against the published distribution, and its parts against independent computations."""

from __future__ import annotations

import io
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from scipy import stats

from sidscan.config import SIDE
from sidscan.training.rine import augmentation
from sidscan.training.rine.augmentation import blurred, centre_view, training_view

DRAWS = 4000


@pytest.fixture(scope="module")
def drawn() -> dict[str, list[Any]]:
    """What 4,000 views did, seen through the operations they called and the pixels that came out.

    Red and green of the input tell every pixel's row and column, so that the crop can be read off.
    """
    rows, columns = np.mgrid[0:256, 0:256]
    picture = np.stack([rows, columns, np.zeros_like(rows)], axis=2).astype(np.uint8)
    seen: dict[str, list[Any]] = {
        "sigma": [],
        "jpeg": [],
        "quality": [],
        "top": [],
        "left": [],
        "mirrored": [],
    }
    order: list[str] = []

    def blur(pixels: NDArray[np.uint8], sigma: float) -> NDArray[np.uint8]:
        seen["sigma"].append(sigma)
        order.append("blur")
        return pixels

    def encoder(name: str) -> Any:
        def encode(pixels: NDArray[np.uint8], quality: int) -> NDArray[np.uint8]:
            seen["jpeg"].append(name)
            seen["quality"].append(quality)
            assert order[-1:] != ["crop"]
            return pixels

        return encode

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(augmentation, "blurred", blur)
        patch.setattr(augmentation, "jpeg_by_opencv", encoder("opencv"))
        patch.setattr(augmentation, "jpeg_by_pillow", encoder("pillow"))
        for number in range(DRAWS):
            view = training_view(picture, np.random.default_rng([0, 0, number]))
            assert view.shape == (SIDE, SIDE, 3)
            seen["top"].append(int(view[0, 0, 0]))
            seen["left"].append(int(view[0, :, 1].min()))
            seen["mirrored"].append(bool(view[0, 0, 1] > view[0, -1, 1]))
    return seen


def _share_is(count: int, of: int, share: float) -> None:
    """Within what 99.99 % of seeds would give."""
    assert stats.binomtest(count, of, share).pvalue > 1e-4, (count, of)


def test_half_of_the_views_are_blurred(drawn: dict[str, list[Any]]) -> None:
    _share_is(len(drawn["sigma"]), DRAWS, 0.5)


def test_sigma_is_uniform_from_0_to_3(drawn: dict[str, list[Any]]) -> None:
    assert stats.kstest(drawn["sigma"], stats.uniform(0, 3).cdf).pvalue > 1e-4
    assert min(drawn["sigma"]) < 0.05
    assert 2.95 < max(drawn["sigma"]) < 3


def test_half_of_the_views_are_compressed_by_either_encoder(drawn: dict[str, list[Any]]) -> None:
    _share_is(len(drawn["jpeg"]), DRAWS, 0.5)
    _share_is(drawn["jpeg"].count("opencv"), len(drawn["jpeg"]), 0.5)


def test_qualities_are_30_and_100_and_no_other(drawn: dict[str, list[Any]]) -> None:
    assert set(drawn["quality"]) == {30, 100}
    _share_is(drawn["quality"].count(30), len(drawn["quality"]), 0.5)


@pytest.mark.parametrize("side", ["top", "left"])
def test_crops_are_uniform(drawn: dict[str, list[Any]], side: str) -> None:
    counts = np.bincount(drawn[side], minlength=33)
    assert len(counts) == 33, "256 - 224 + 1 places"
    assert stats.chisquare(counts).pvalue > 1e-4


def test_half_of_the_views_are_mirrored(drawn: dict[str, list[Any]]) -> None:
    _share_is(sum(drawn["mirrored"]), DRAWS, 0.5)


def test_draws_are_independent_of_one_another(drawn: dict[str, list[Any]]) -> None:
    assert abs(np.corrcoef(drawn["top"], drawn["left"])[0, 1]) < 0.08
    assert abs(np.corrcoef(drawn["top"], drawn["mirrored"])[0, 1]) < 0.08


def _noise(height: int = 40, width: int = 50) -> NDArray[np.uint8]:
    return np.random.default_rng(1).integers(0, 256, (height, width, 3), dtype=np.uint8)


@pytest.mark.parametrize("sigma", [0.4, 1.3, 2.9])
def test_blur_is_a_truncated_gaussian_per_channel_and_axis(sigma: float) -> None:
    """scipy's: radius int(4 sigma + 0.5), mirrored at the border, cut to whole levels after each axis."""
    pixels, radius = _noise(), int(4 * sigma + 0.5)
    kernel = np.exp(-0.5 * (np.arange(-radius, radius + 1) / sigma) ** 2)
    kernel /= kernel.sum()
    expected = pixels.astype(np.float64)
    for axis in (0, 1):
        border = [(radius, radius) if place == axis else (0, 0) for place in range(3)]
        windows = np.lib.stride_tricks.sliding_window_view(
            np.pad(expected, border, "symmetric"), len(kernel), axis
        )
        expected = np.floor(windows @ kernel + 1e-9)
    difference = blurred(pixels, sigma).astype(int) - expected.astype(int)
    assert np.abs(difference).max() <= 1
    assert (difference != 0).mean() < 0.01


def test_blur_leaves_its_input_alone() -> None:
    pixels = _noise()
    before = pixels.copy()
    blurred(pixels, 2.0)
    assert (pixels == before).all()


@pytest.mark.parametrize("quality", [30, 100])
def test_jpeg_by_either_encoder_is_that_encoders(quality: int) -> None:
    pixels = _noise()
    data = io.BytesIO()
    Image.fromarray(pixels).save(data, "JPEG", quality=quality)
    assert (augmentation.jpeg_by_pillow(pixels, quality) == np.asarray(Image.open(data))).all()
    stored = cv2.imencode(
        ".jpg", cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, quality]
    )[1]
    assert (
        augmentation.jpeg_by_opencv(pixels, quality) == np.asarray(Image.open(io.BytesIO(stored.tobytes())))
    ).all()


@pytest.mark.parametrize(("height", "width"), [(100, 300), (223, 224), (225, 300), (256, 256), (1, 1)])
def test_centre_view_is_torchvisions(height: int, width: int) -> None:
    from torchvision.transforms import CenterCrop

    pixels = _noise(height, width)
    assert (centre_view(pixels) == np.asarray(CenterCrop(224)(Image.fromarray(pixels)))).all()


def test_small_pictures_are_padded() -> None:
    view = training_view(_noise(100, 100), np.random.default_rng(3))
    assert view.shape == (SIDE, SIDE, 3)
    assert (view[:60] == 0).all()


def test_a_view_follows_from_its_seed() -> None:
    pixels = _noise(256, 256)
    one, same, other = (training_view(pixels, np.random.default_rng([0, 0, number])) for number in (5, 5, 6))
    assert (one == same).all()
    assert (one != other).any()
