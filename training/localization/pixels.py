"""Image files -> the squashed pixels that an encoder reads."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from sidscan.errors import SidscanError, UsageError
from sidscan.images import decode
from sidscan.training.common.pixels import Pixels

READ_SIDE = 224  # pixels that an encoder reads
BILINEAR = Image.Resampling.BILINEAR


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
        raise unreadable(path, str(error)) from error


def squashed(pixels: Pixels, side: int = READ_SIDE) -> Pixels:
    """An image in the size that the encoder reads; the ratio of its sides is not kept (as published).

    Bilinear on Pillow's image, which averages where it shrinks, as torchvision's Resize does by default.
    """
    return np.asarray(Image.fromarray(pixels).resize((side, side), BILINEAR))


def unreadable(path: Path, why: str) -> UnreadableFile:
    """The error for a file that can't be decoded."""
    return UnreadableFile(
        f"{path} can't be read: {why}",
        "Repair or remove the file, or leave such images out with --skip-unreadable.",
    )
