"""Samples of more than 8 bits become 8 bits, or are refused where nothing says how."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from sidscan.images.errors import UnsupportedImage

_TIFF_PHOTOMETRIC = 262  # TIFF 6.0, section 8
_MIN_WHITE = 32  # floats with decimals must reach this value to be taken for 0..255


def check_samples(image: Image.Image) -> None:
    """Refuse 32-bit samples that are not 0..255: no range is stated, so nothing says how to scale them."""
    if image.mode not in ("I", "F"):
        return
    values: NDArray[np.int32 | np.float32] = np.asarray(image)
    if not np.isfinite(values).all():
        raise UnsupportedImage("pixels are not finite numbers (NaN or infinity)")
    lowest, highest = values.min(), values.max()
    if lowest < 0 or highest > 255 or (image.mode == "F" and _is_fraction(values, float(highest))):
        raise UnsupportedImage(
            f"32-bit samples from {lowest} to {highest} can't be reduced to 8 bits; "
            "convert the image to 8 or 16 bits per sample"
        )


def _is_fraction(values: NDArray[np.int32 | np.float32], highest: float) -> bool:
    """Whether floats are likely to be shares of full light, 0 to 1 or somewhat more, instead of 0 to 255."""
    return 0 < highest <= 1 or (highest < _MIN_WHITE and bool((values % 1 != 0).any()))


def to_8_bit_grey(image: Image.Image, bits: int) -> Image.Image:
    """16-bit grey as its upper 8 bits; Pillow's own conversion would clip at 255, and forget WhiteIsZero."""
    if not image.mode.startswith("I;16"):
        return image
    values = (np.asarray(image).astype(np.uint16) >> (bits - 8)).astype(np.uint8)
    white_is_zero = getattr(image, "tag_v2", {}).get(_TIFF_PHOTOMETRIC) == 0
    grey = Image.fromarray(~values if white_is_zero else values)
    grey.info = image.info  # EXIF and other metadata
    return grey
