"""The training crop has the published distribution, and its parts equal independent computations."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, TypedDict

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from scipy import stats

from sidscan.config import SIDE
from sidscan.training.rine import augmentation
from sidscan.training.rine.augmentation import blurred, centre_crop, training_crop

DRAWS = 4000


class Draws(TypedDict):
    """The random choices of many crops."""

    sigma: list[float]
    jpeg: list[str]
    quality: list[int]
    top: list[int]
    left: list[int]
    mirrored: list[bool]


@pytest.fixture(scope="module")
def draws() -> Draws:
    """The choices of 4,000 crops, observed through the operations they call and the resulting pixels.

    Red and green of the input encode every pixel's row and column, which reveals the crop's position.
    """
    rows, columns = np.mgrid[0:256, 0:256]
    image = np.stack([rows, columns, np.zeros_like(rows)], axis=2).astype(np.uint8)
    seen: Draws = {"sigma": [], "jpeg": [], "quality": [], "top": [], "left": [], "mirrored": []}
    compressed: list[int] = []  # numbers of the crops that JPEG compressed

    def blur(pixels: NDArray[np.uint8], sigma: float) -> NDArray[np.uint8]:
        assert number not in compressed, "blur comes before JPEG"
        seen["sigma"].append(sigma)
        return pixels

    def encoder(name: str) -> Callable[[NDArray[np.uint8], int], NDArray[np.uint8]]:
        def encode(pixels: NDArray[np.uint8], quality: int) -> NDArray[np.uint8]:
            seen["jpeg"].append(name)
            seen["quality"].append(quality)
            assert pixels.shape == image.shape, "JPEG comes before the crop"
            compressed.append(number)
            return pixels

        return encode

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(augmentation, "blurred", blur)
        patch.setattr(augmentation, "recoded_by_opencv", encoder("opencv"))
        patch.setattr(augmentation, "recoded", encoder("pillow"))
        for number in range(DRAWS):
            crop = training_crop(image, np.random.default_rng([0, 0, number]))
            assert crop.shape == (SIDE, SIDE, 3)
            seen["top"].append(int(crop[0, 0, 0]))
            seen["left"].append(int(crop[0, :, 1].min()))
            seen["mirrored"].append(bool(crop[0, 0, 1] > crop[0, -1, 1]))
    return seen


def _check_share(count: int, of: int, share: float) -> None:
    """For 99.99 % of seeds, the count is this close to the expected one."""
    assert stats.binomtest(count, of, share).pvalue > 1e-4, (count, of)


def test_half_of_the_crops_are_blurred(draws: Draws) -> None:
    _check_share(len(draws["sigma"]), DRAWS, 0.5)


def test_sigma_is_uniform_from_0_to_3(draws: Draws) -> None:
    assert stats.kstest(draws["sigma"], stats.uniform(0, 3).cdf).pvalue > 1e-4
    assert min(draws["sigma"]) < 0.05
    assert 2.95 < max(draws["sigma"]) < 3


def test_half_of_the_crops_are_compressed_by_either_encoder(draws: Draws) -> None:
    _check_share(len(draws["jpeg"]), DRAWS, 0.5)
    _check_share(draws["jpeg"].count("opencv"), len(draws["jpeg"]), 0.5)


def test_jpeg_qualities_are_30_and_100_only(draws: Draws) -> None:
    assert set(draws["quality"]) == {30, 100}
    _check_share(draws["quality"].count(30), len(draws["quality"]), 0.5)


@pytest.mark.parametrize("side", ["top", "left"])
def test_positions_are_uniform(draws: Draws, side: Literal["top", "left"]) -> None:
    counts = np.bincount(draws[side], minlength=33)
    assert len(counts) == 33, "256 - 224 + 1 positions"
    assert stats.chisquare(counts).pvalue > 1e-4


def test_half_of_the_crops_are_mirrored(draws: Draws) -> None:
    _check_share(sum(draws["mirrored"]), DRAWS, 0.5)


def test_draws_are_independent(draws: Draws) -> None:
    assert abs(np.corrcoef(draws["top"], draws["left"])[0, 1]) < 0.08
    assert abs(np.corrcoef(draws["top"], draws["mirrored"])[0, 1]) < 0.08


def _noise(height: int = 40, width: int = 50) -> NDArray[np.uint8]:
    return np.random.default_rng(1).integers(0, 256, (height, width, 3), dtype=np.uint8)


@pytest.mark.parametrize("sigma", [0.4, 1.3, 2.9])
def test_blur_is_a_truncated_gaussian_per_channel_and_axis(sigma: float) -> None:
    """As in scipy: radius int(4 sigma + 0.5), mirrored at the border, truncated after each axis."""
    pixels, radius = _noise(), int(4 * sigma + 0.5)
    kernel = np.exp(-0.5 * (np.arange(-radius, radius + 1) / sigma) ** 2)
    kernel /= kernel.sum()
    expected = pixels.astype(np.float64)
    for axis in (0, 1):
        border = [(radius, radius) if index == axis else (0, 0) for index in range(3)]
        windows = np.lib.stride_tricks.sliding_window_view(
            np.pad(expected, border, "symmetric"), len(kernel), axis
        )
        expected = np.floor(windows @ kernel + 1e-9)
    difference = blurred(pixels, sigma).astype(int) - expected.astype(int)
    assert np.abs(difference).max() <= 1
    assert (difference != 0).mean() < 0.01


def test_blur_does_not_change_its_input() -> None:
    pixels = _noise()
    before = pixels.copy()
    blurred(pixels, 2.0)
    assert (pixels == before).all()


@pytest.mark.parametrize(("height", "width"), [(100, 300), (223, 224), (225, 300), (256, 256), (1, 1)])
def test_centre_crop_is_torchvisions(height: int, width: int) -> None:
    from torchvision.transforms import CenterCrop

    pixels = _noise(height, width)
    assert (centre_crop(pixels) == np.asarray(CenterCrop(224)(Image.fromarray(pixels)))).all()


def test_small_images_are_padded() -> None:
    crop = training_crop(_noise(100, 100), np.random.default_rng(3))
    assert crop.shape == (SIDE, SIDE, 3)
    assert (crop[:60] == 0).all()


def test_a_crop_is_determined_by_its_seed() -> None:
    pixels = _noise(256, 256)
    first, same, other = (training_crop(pixels, np.random.default_rng([0, 0, seed])) for seed in (5, 5, 6))
    assert (first == same).all()
    assert (first != other).any()
