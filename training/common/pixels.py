"""Pixels in training: the one round trip through a codec, and the one way to pad."""

from __future__ import annotations

import io
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Pixels: TypeAlias = NDArray[np.uint8]
"""(height, width, 3), RGB."""


def recoded(pixels: Pixels, container: str = "JPEG", **options: int) -> Pixels:
    """Pixels after Pillow wrote and read them.

    JPEG and lossy WebP halve the chroma resolution (4:2:0), Pillow's default.

    Args:
        options: for Pillow's writer, e.g. ``quality``.
    """
    with io.BytesIO() as data:
        Image.fromarray(pixels).save(data, container, **options)
        with Image.open(data) as image:
            return np.asarray(image.convert("RGB"))


def recoded_by_opencv(pixels: Pixels, quality: int) -> Pixels:
    """Pixels after OpenCV wrote and read them as JPEG; the published code uses OpenCV.

    Raises:
        ValueError: OpenCV can't write these pixels as JPEG.
    """
    import cv2  # here: only the train extra has it

    written, data = cv2.imencode(".jpg", pixels[:, :, ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])
    if not written:
        raise ValueError("OpenCV can't write this image as JPEG")
    decoded = cv2.imdecode(data, cv2.IMREAD_COLOR)
    assert decoded is not None, "OpenCV reads what it wrote"
    return decoded[:, :, ::-1].astype(np.uint8, copy=False)


def padded(pixels: Pixels, side: int) -> Pixels:
    """Pixels with a black border, if needed, so that both sides are at least ``side``.

    An odd pixel goes to the right and to the bottom, as in torchvision.transforms.CenterCrop.
    """
    tall, wide = (max(side - length, 0) for length in pixels.shape[:2])
    if not tall and not wide:
        return pixels
    return np.pad(pixels, ((tall // 2, tall - tall // 2), (wide // 2, wide - wide // 2), (0, 0)))
