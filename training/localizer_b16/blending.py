"""Pixels of one image into another: colours matched or not, blended as editors and tools do."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from sidscan.training.common.pixels import Pixels

from .regions import Mask

MATCHED = 0.65  # share of donors whose colours are moved towards the host's
POISSON = 0.12  # share blended by Poisson's equation (OpenCV's seamlessClone)


def random_paste(host: Pixels, donor: Pixels, region: Mask, rng: np.random.Generator) -> Pixels:
    """The host with the donor's pixels where the region is; all three have the same size."""
    if rng.random() < MATCHED:
        donor = with_colours_of(donor, host, region, float(rng.uniform(0.4, 1.0)))
    if rng.random() < POISSON and (cloned := _poisson(host, donor, region)) is not None:
        return cloned
    return pasted(host, donor, region)


def pasted(host: Pixels, donor: Pixels, region: Mask) -> Pixels:
    """Weighted by the region, rounded."""
    weight = region[:, :, None]
    return np.rint(host * (1 - weight) + donor * weight).astype(np.uint8)


def with_colours_of(donor: Pixels, host: Pixels, region: Mask, strength: float) -> Pixels:
    """The donor with mean and deviation of its colours (Lab) moved towards those that the host has there.

    Contrast changes by a factor of 2 at most.
    """
    inside = region > 0.5
    if inside.sum() < 16:
        return donor
    source, target = _lab(donor), _lab(host)
    mean, deviation = source[inside].mean(axis=0), source[inside].std(axis=0) + 1
    wanted_mean, wanted_deviation = target[inside].mean(axis=0), target[inside].std(axis=0) + 1
    gain = np.clip(wanted_deviation / deviation, 0.5, 2.0)
    moved = (source - mean) * gain + wanted_mean
    mixed = source + strength * (moved - source)
    return np.asarray(cv2.cvtColor(np.clip(mixed, 0, 255).astype(np.uint8), cv2.COLOR_LAB2RGB))


def _lab(pixels: Pixels) -> NDArray[np.float32]:
    return np.asarray(cv2.cvtColor(np.ascontiguousarray(pixels), cv2.COLOR_RGB2LAB), np.float32)


def _poisson(host: Pixels, donor: Pixels, region: Mask) -> Pixels | None:
    """None where the region touches the border, which OpenCV can't clone."""
    mask = (region > 0.5).astype(np.uint8) * 255
    rows, columns = np.nonzero(mask)
    side = mask.shape[0]
    if not rows.size or min(rows.min(), columns.min()) < 2 or max(rows.max(), columns.max()) > side - 3:
        return None
    centre = (int(columns.min() + columns.max()) // 2, int(rows.min() + rows.max()) // 2)
    return np.asarray(
        cv2.seamlessClone(
            np.ascontiguousarray(donor), np.ascontiguousarray(host), mask, centre, cv2.NORMAL_CLONE
        )
    )
