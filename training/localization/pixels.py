"""Files -> what a localizer is trained on: squashed images, and soft masks."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from sidscan.errors import SidscanError, UsageError
from sidscan.images import decode
from sidscan.training.common.pixels import Pixels

from .examples import MaskedImage

READ_SIDE = 224  # pixels that an encoder reads
_BILINEAR = Image.Resampling.BILINEAR
_WHITE = 255
_MOST_CLASSES = 15  # masks with no higher value hold numbers of classes, and would read as black all over


class UnreadableFile(SidscanError):
    """An image or a mask can't be decoded, or the two don't fit."""

    exit_code = UsageError.exit_code


def read_image(data: bytes, path: Path) -> Pixels:
    """Pixels (height, width, 3), RGB, as a scan decodes them: a truncated file is an error.

    Raises:
        UnreadableFile: it can't be decoded.
    """
    try:
        return decode.decode(data).pixels()
    except Exception as error:  # codecs raise errors of any class
        raise _unreadable(path, str(error)) from error


def read_mask(image: MaskedImage) -> NDArray[np.uint8]:
    """The mask (height, width); 255 is synthetic, whatever the file has.

    Raises:
        UnreadableFile: it can't be read, or holds numbers of classes instead of black and white.
    """
    assert image.mask is not None, "a real image has no mask"
    try:
        decoded = decode.decode(image.mask.read_bytes())
        grey = np.asarray(decoded.image.convert("L"))
    except Exception as error:
        raise _unreadable(image.mask, str(error)) from error
    if 0 < grey.max() <= _MOST_CLASSES:
        raise UnreadableFile(
            f"{image.mask} has no value above {grey.max()}: it is nearly black",
            "Masks are black and white, 0 and 255. Multiply masks of 0 and 1 by 255.",
        )
    return _WHITE - grey if image.black_is_synthetic else grey


def squashed(pixels: Pixels, side: int = READ_SIDE) -> Pixels:
    """An image in the size that the encoder reads; the ratio of its sides is not kept (as published).

    Bilinear on Pillow's image, which averages where it shrinks, as torchvision's Resize does by default.
    """
    return np.asarray(Image.fromarray(pixels).resize((side, side), _BILINEAR))


def soft_target(mask: NDArray[np.uint8], side: int) -> NDArray[np.float32]:
    """A mask (height, width) in the map's size, 0 to 1; its edges stay soft (as published)."""
    resized = np.asarray(Image.fromarray(mask).resize((side, side), _BILINEAR))
    target: NDArray[np.float32] = resized.astype(np.float32) / np.float32(_WHITE)
    return target


def synthetic_region(mask: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Whether each pixel is synthetic, for metrics: the mask in its own size, above one half."""
    region: NDArray[np.bool_] = mask.astype(np.float32) / _WHITE > 0.5
    return region


def _unreadable(path: Path, why: str) -> UnreadableFile:
    return UnreadableFile(
        f"{path} can't be read: {why}",
        "Repair or remove the file, or leave such images out with --skip-unreadable.",
    )
