"""What the head of rine-b16 sees of a window: crops of random degradations to fit, a fixed one to measure.

Both labels go through the same procedure, so that compression and size cannot stand in for the label. Where
the whole image is at hand, a degradation starts from a region of it: a smaller copy of an image then has an
image's content up to its border, as in a scan, and not the black one of a window that has shrunk.
"""

from __future__ import annotations

import zlib
from pathlib import PurePosixPath

import numpy as np

from sidscan.config import SIDE
from sidscan.training.common.pixels import Pixels, padded
from sidscan.training.windows.conditions import centre_square
from sidscan.training.windows.corpus import Window, decode_original, decode_window
from sidscan.training.windows.degradation import random_crop, random_degradation, random_recompression

REGION = 640  # px a side, of a whole image
WINDOW = 256  # px a side, of a window: larger ones of one label must not tell it
REGION_SCALES = (0.4, 1.25)  # factors of a region's sides
WINDOW_SCALES = (0.8, 1.25)  # those of a window's, which seldom makes it smaller than a crop
SMALL_SCALES = (0.45, 0.8)  # and those of a few windows: small images have a black border in a scan, too
SMALL = 0.15  # share of windows that become so small
UNCHANGED = 0.4  # share of `upload_view` that is not saved again


def random_view(window: Window, number: int) -> Pixels:
    """One random degradation of a window, and a random crop of it: (224, 224, 3).

    It depends on the window's name and the number alone, not on other windows or on the order.
    """
    rng = _generator(f"r{number}", window)
    if window.original:
        region, scales = _random_region(decode_original(window), REGION, rng), REGION_SCALES
    else:
        region = _random_region(decode_window(window), WINDOW, rng)
        scales = WINDOW_SCALES if rng.random() < 1 - SMALL else SMALL_SCALES
    return random_crop(random_degradation(region, rng, scales), SIDE, rng)


def upload_view(window: Window, number: int) -> Pixels:
    """A random crop at the image's own size, as it is or saved once more as JPEG: (224, 224, 3)."""
    rng = _generator(f"u{number}", window)
    pixels = decode_original(window) if window.original else decode_window(window)
    region = _random_region(pixels, REGION if window.original else WINDOW, rng)
    if rng.random() >= UNCHANGED:
        region = random_recompression(region, rng)
    return random_crop(region, SIDE, rng)


def _generator(name: str, window: Window) -> np.random.Generator:
    """Random numbers that depend on a view's name and the window's."""
    of_window = window.repo + PurePosixPath(window.file).name
    return np.random.default_rng([zlib.crc32(name.encode()), zlib.crc32(of_window.encode())])


def centre_view(pixels: Pixels) -> Pixels:
    """The centre crop of an image, (224, 224, 3), padded with black where it is smaller."""
    return padded(centre_square(pixels, SIDE), SIDE)


def _random_region(pixels: Pixels, side: int, rng: np.random.Generator) -> Pixels:
    """A square of that side, or as much as there is of it."""
    height, width = pixels.shape[:2]
    top = int(rng.integers(0, max(height - side, 0) + 1))
    left = int(rng.integers(0, max(width - side, 0) + 1))
    return pixels[top : top + side, left : left + side]
