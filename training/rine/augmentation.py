"""RINE's training view of a picture, in the published order (published code: src/utils.py, data_augment).

Gaussian blur   half the time; sigma ~ U[0, 3) px, per channel
JPEG            half the time; by OpenCV or by Pillow, quality 30 or 100 and nothing in between: the
                published code calls random.choice on [30, 100]
crop            224 x 224 at a random place
mirror          half the time
"""

from __future__ import annotations

import io
from typing import TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy.ndimage import gaussian_filter

from sidscan.config import SIDE

Pixels: TypeAlias = NDArray[np.uint8]
"""(height, width, 3), RGB."""

BLURRED = 0.5  # share of views
SIGMA = 3.0  # pixels, upper end
COMPRESSED = 0.5  # share of views
QUALITIES = (30, 100)
MIRRORED = 0.5  # share of views


def training_view(pixels: Pixels, rng: np.random.Generator) -> Pixels:
    """One random view, (224, 224, 3). A picture smaller than that is padded with black, centred."""
    if rng.random() < BLURRED:
        pixels = blurred(pixels, rng.random() * SIGMA)
    if rng.random() < COMPRESSED:
        encode = (jpeg_by_opencv, jpeg_by_pillow)[rng.integers(2)]
        pixels = encode(pixels, QUALITIES[rng.integers(2)])
    pixels = padded(pixels)
    top, left = (int(rng.integers(length - SIDE + 1)) for length in pixels.shape[:2])
    view = pixels[top : top + SIDE, left : left + SIDE]
    return view[:, ::-1] if rng.random() < MIRRORED else view


def centre_view(pixels: Pixels) -> Pixels:
    """The view of validation and of the test sets: torchvision's CenterCrop, (224, 224, 3)."""
    pixels = padded(pixels)
    top, left = (round((length - SIDE) / 2.0) for length in pixels.shape[:2])
    return pixels[top : top + SIDE, left : left + SIDE]


def blurred(pixels: Pixels, sigma: float) -> Pixels:
    """scipy's Gaussian filter per channel, cut to whole grey levels after each axis, as published."""
    result = np.array(pixels)
    for channel in range(3):
        gaussian_filter(result[:, :, channel], sigma, output=result[:, :, channel])
    return result


def jpeg_by_opencv(pixels: Pixels, quality: int) -> Pixels:
    """Through OpenCV's JPEG encoder and decoder."""
    _, data = cv2.imencode(".jpg", pixels[:, :, ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])
    decoded = cv2.imdecode(data, cv2.IMREAD_COLOR)
    assert decoded is not None, "OpenCV reads what it wrote"
    return decoded[:, :, ::-1].astype(np.uint8, copy=False)


def jpeg_by_pillow(pixels: Pixels, quality: int) -> Pixels:
    """Through Pillow's JPEG encoder and decoder."""
    data = io.BytesIO()
    Image.fromarray(pixels).save(data, "JPEG", quality=quality)
    return np.asarray(Image.open(data))


def padded(pixels: Pixels) -> Pixels:
    """At least 224 a side; black around, the odd pixel right and below, as torchvision's CenterCrop pads."""
    tall, wide = (max(SIDE - length, 0) for length in pixels.shape[:2])
    if not tall and not wide:
        return pixels
    return np.pad(pixels, ((tall // 2, tall - tall // 2), (wide // 2, wide - wide // 2), (0, 0)))
