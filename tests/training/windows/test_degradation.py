"""Random degradations are reproducible and stay within their stated bounds."""

from __future__ import annotations

import numpy as np
import pytest

from sidscan.training.common.pixels import Pixels, padded
from sidscan.training.windows.degradation import (
    SCALES,
    random_crop,
    random_degradation,
    random_recompression,
)


def random_image(height: int, width: int) -> Pixels:
    return np.random.default_rng(0).integers(1, 256, size=(height, width, 3), dtype=np.uint8)


def test_the_same_seed_gives_the_same_degradation() -> None:
    window = random_image(200, 256)
    for seed in range(20):
        first, second = (random_degradation(window, np.random.default_rng(seed)) for _ in range(2))
        assert np.array_equal(first, second)


def test_degradations_keep_format_and_size_bounds() -> None:
    window = random_image(200, 256)
    for seed in range(60):
        result = random_degradation(window, np.random.default_rng(seed))
        assert result.dtype == np.uint8
        assert result.shape[2] == 3
        assert (200 - 8) * SCALES[0] <= result.shape[0] <= 200 * SCALES[1] + 1
        assert (256 - 8) * SCALES[0] <= result.shape[1] <= 256 * SCALES[1] + 1


def test_most_but_not_all_degradations_change_pixels() -> None:
    window = random_image(64, 64)
    same = [
        np.array_equal(random_degradation(window, np.random.default_rng(seed)), window) for seed in range(200)
    ]
    assert 10 <= sum(same) <= 70


def test_saving_once_more_changes_pixels_but_not_their_positions() -> None:
    window = np.full((40, 50, 3), 90, dtype=np.uint8)
    window[:, 25:] = 160
    first, second = (random_recompression(window, np.random.default_rng(3)) for _ in range(2))
    assert np.array_equal(first, second)
    assert not np.array_equal(first, window)
    assert np.abs(first.astype(int) - window).max() < 40


def test_random_crop_cuts_from_the_image_or_its_mirror_image() -> None:
    window = random_image(40, 50)
    crop = random_crop(window, 40, np.random.default_rng(1))
    candidates = [side[:, left : left + 40] for side in (window, window[:, ::-1]) for left in range(11)]
    assert any(np.array_equal(crop, candidate) for candidate in candidates)


@pytest.mark.parametrize(("height", "width"), [(5, 4), (4, 7), (9, 3)])
def test_padding_is_centred_with_the_odd_pixel_right_and_below(height: int, width: int) -> None:
    window = random_image(height, width)
    result = padded(window, 8)
    top, left = max(8 - height, 0) // 2, max(8 - width, 0) // 2
    assert result.shape == (max(height, 8), max(width, 8), 3)
    assert np.array_equal(result[top : top + height, left : left + width], window)
    assert result.sum() == window.sum()
