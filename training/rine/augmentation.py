"""RINE's augmentation of a training image, in the published order (src/utils.py, data_augment).

Gaussian blur   half the time; sigma ~ U[0, 3) px, per channel
JPEG            half the time; by OpenCV or by Pillow, quality 30 or 100 and nothing in between: the
                published code calls random.choice on [30, 100]
crop            224 x 224 at a random position
mirror          half the time

These are the recipe's defaults; it has every number.
"""

from __future__ import annotations

import numpy as np
from scipy.ndimage import gaussian_filter

from sidscan.config import SIDE
from sidscan.training.common.pixels import Pixels, padded, recoded, recoded_by_opencv

from .recipe import Recipe

PUBLISHED = Recipe()


def training_crop(pixels: Pixels, rng: np.random.Generator, recipe: Recipe = PUBLISHED) -> Pixels:
    """One randomly augmented crop, (224, 224, 3). A smaller image is padded with black and centred."""
    if rng.random() < recipe.blur_probability:
        pixels = blurred(pixels, rng.random() * recipe.blur_max_sigma)
    if rng.random() < recipe.jpeg_probability:
        by_pillow = rng.integers(2)
        quality = recipe.jpeg_qualities[rng.integers(len(recipe.jpeg_qualities))]
        pixels = recoded(pixels, quality=quality) if by_pillow else recoded_by_opencv(pixels, quality)
    pixels = padded(pixels, SIDE)
    top, left = (int(rng.integers(length - SIDE + 1)) for length in pixels.shape[:2])
    crop = pixels[top : top + SIDE, left : left + SIDE]
    return crop[:, ::-1] if rng.random() < recipe.mirror_probability else crop


def centre_crop(pixels: Pixels) -> Pixels:
    """The crop that validation and the test sets use: torchvision's CenterCrop, (224, 224, 3)."""
    pixels = padded(pixels, SIDE)
    top, left = (round((length - SIDE) / 2.0) for length in pixels.shape[:2])
    return pixels[top : top + SIDE, left : left + SIDE]


def blurred(pixels: Pixels, sigma: float) -> Pixels:
    """scipy's Gaussian filter per channel, truncated to whole grey levels after each axis, as published."""
    result = np.array(pixels)
    for channel in range(3):
        gaussian_filter(result[:, :, channel], sigma, output=result[:, :, channel])
    return result
