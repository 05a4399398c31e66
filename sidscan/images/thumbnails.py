"""Small images for reports: crops at full size, and thumbnails.

Thumbnails are small, turned as EXIF states, made of the decoded pixels and of nothing else.

The thumbnail that a camera stores in EXIF is not used: software that changes an image may leave it as it was.
"""

from __future__ import annotations

import io

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from sidscan.images.decode import SourceImage

SIDE = 160
"""Pixels of the longer side, at most."""
_QUALITY, _CROP_QUALITY = 60, 75
_METHOD = 2  # libwebp: slower methods save a tenth of the bytes
_NOT_REDUCED = ("1", "P", "PA")  # modes whose numbers are no colours, so Pillow can't average them
# EXIF 2.3, tag 0x0112: how the stored pixels are turned for display
TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


def small_image(source: SourceImage, data: bytes, orientation: int | None) -> Image.Image:
    """An image at most `SIDE` pixels wide and high, RGB, turned as it is shown.

    Args:
        data: the original bytes. Where only some rows of a large JPEG were decoded, libjpeg decodes all once
            more at an eighth of its size or more; that takes about as long as those rows took.
        orientation: as EXIF states it.

    Raises:
        Exception: whatever Pillow raises on images that it can't reduce.
    """
    image = _reduced_jpeg(data) if source.decoded_rows else source.image
    if image.mode in _NOT_REDUCED:
        image = _rgb(image)
    small = _rgb(image.reduce(max(1, max(image.size) // (2 * SIDE))))
    small.thumbnail((SIDE, SIDE), Image.Resampling.BICUBIC)
    if orientation in TURNS:
        small = small.transpose(TURNS[orientation])
    return small


def thumbnail(small: Image.Image) -> bytes:
    """A small image as WebP."""
    file = io.BytesIO()
    small.save(file, "WEBP", quality=_QUALITY, method=_METHOD)
    return file.getvalue()


def crop_webp(crop: NDArray[np.uint8]) -> bytes:
    """A crop (224, 224, 3), RGB, as WebP: some 8 kB, 3 ms."""
    file = io.BytesIO()
    Image.fromarray(crop).save(file, "WEBP", quality=_CROP_QUALITY, method=_METHOD)
    return file.getvalue()


def _reduced_jpeg(data: bytes) -> Image.Image:
    image = Image.open(io.BytesIO(data), formats=("JPEG", "MPO"))
    image.draft("RGB", (2 * SIDE, 2 * SIDE))
    return image


def _rgb(image: Image.Image) -> Image.Image:
    """In colours that WebP has; what is transparent shows on grey."""
    if image.has_transparency_data:
        image = image.convert("RGBA")
        canvas = Image.new("RGBA", image.size, (160, 160, 160, 255))
        canvas.alpha_composite(image)
        image = canvas
    return image.convert("RGB")
