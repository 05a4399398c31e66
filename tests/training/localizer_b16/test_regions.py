"""Regions are about as large as asked for, and lie in the square."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("cv2")

from sidscan.training.localizer_b16.blending import pasted, with_colours_of
from sidscan.training.localizer_b16.regions import random_region


@pytest.mark.parametrize("area", [0.01, 0.05, 0.2])
def test_regions_have_about_the_area(area: float) -> None:
    rng = np.random.default_rng(0)
    shares = [float(random_region(224, area, rng).mean()) for _ in range(60)]
    assert area / 2 < np.median(shares) < area * 2


def test_regions_are_weights() -> None:
    rng = np.random.default_rng(0)
    for _ in range(20):
        region = random_region(160, 0.1, rng)
        assert region.shape == (160, 160)
        assert region.dtype == np.float32
        assert 0 <= region.min() <= region.max() <= 1


def test_pasting_keeps_the_host_outside() -> None:
    host, donor = np.full((8, 8, 3), 10, np.uint8), np.full((8, 8, 3), 200, np.uint8)
    region = np.zeros((8, 8), np.float32)
    region[2:5, 2:5] = 1
    region[5, 5] = 0.5
    result = pasted(host, donor, region)
    assert (result[2:5, 2:5] == 200).all()
    assert (result[5, 5] == 105).all()
    assert (result[6:] == 10).all()


def test_matched_colours_have_the_hosts_mean() -> None:
    rng = np.random.default_rng(0)
    host = np.clip(rng.normal((200, 120, 60), 5, (64, 64, 3)), 0, 255).astype(np.uint8)
    donor = np.clip(rng.normal((90, 100, 110), 5, (64, 64, 3)), 0, 255).astype(np.uint8)
    matched = with_colours_of(donor, host, np.ones((64, 64), np.float32), 1.0)
    assert np.abs(matched.mean(axis=(0, 1)) - host.mean(axis=(0, 1))).max() < 6
