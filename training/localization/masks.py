"""Mask files -> where an image is synthetic: soft, as a target of training, or in its own size, for metrics.

A mask is read only where its meaning is plain. Colours, transparent parts and dark values may mean many
things: numbers of classes, a drawing over the image, a region in the alpha channel.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from sidscan.images import decode
from sidscan.training.datasets.content import read_content
from sidscan.training.datasets.rows import LabelledImage

from .pixels import BILINEAR, UnreadableFile, unreadable

Mask = NDArray[np.uint8]
"""(height, width)"""
_WHITE = 255
_HALF = 127  # above it, a pixel counts as white
_MOST_COLOUR = 16  # difference of a pixel's channels that JPEG may have made of grey
_WITH_ALPHA = ("LA", "La", "PA", "RGBA", "RGBa")


def read_mask(image: LabelledImage) -> Mask:
    """The mask (height, width); 255 is synthetic, whatever the file has.

    Of 16 bits per sample, the upper 8 are read. Channels of one value, palettes of greys, 1-bit files and an
    alpha channel that is opaque all over are plain.

    Raises:
        UnreadableFile: it can't be read, or its meaning is not plain.
    """
    assert image.mask is not None, "a real image has no mask"
    try:
        decoded = decode.decode(read_content(image.mask))
        stored = decoded.image
        stored.load()
        fault = _fault(stored)
        grey = np.asarray(stored.convert("L"))
    except Exception as error:  # codecs raise errors of any class
        raise unreadable(image.mask, str(error)) from error
    if fault:
        raise _ambiguous(image.mask, fault)
    if fault := _fault_of_values(grey, "reduced_to_8_bit" in decoded.flags, image.black_is_synthetic):
        raise _ambiguous(image.mask, fault)
    return _WHITE - grey if image.black_is_synthetic else grey


def soft_target(mask: Mask, side: int) -> NDArray[np.float32]:
    """A mask (height, width) in the map's size, 0 to 1; its edges stay soft (as published)."""
    resized = np.asarray(Image.fromarray(mask).resize((side, side), BILINEAR))
    target: NDArray[np.float32] = resized.astype(np.float32) / np.float32(_WHITE)
    return target


def synthetic_region(mask: Mask) -> NDArray[np.bool_]:
    """Whether each pixel is synthetic, for metrics: the mask in its own size, above one half."""
    region: NDArray[np.bool_] = mask.astype(np.float32) / _WHITE > 0.5
    return region


def _fault(stored: Image.Image) -> str:
    """Why the mask may mean several things; empty if it is plain."""
    if stored.mode in ("1", "L") and "transparency" not in stored.info:
        return ""
    if (stored.mode in _WITH_ALPHA or "transparency" in stored.info) and (
        np.asarray(stored.convert("RGBA"))[..., 3].min() < _WHITE
    ):
        return "has transparent pixels"
    channels = np.asarray(stored.convert("RGB"))
    if int((channels.max(axis=2) - channels.min(axis=2)).max()) > _MOST_COLOUR:
        return "is in colour"
    return ""


def _fault_of_values(grey: Mask, was_deeper: bool, black_is_synthetic: bool) -> str:
    """Why black and white are not plain; a mask that is black or white all over is."""
    lowest, highest = int(grey.min()), int(grey.max())
    if 0 < highest <= _HALF:
        return f"has no value above {highest}: it is dark all over"
    if highest == 0 and was_deeper:
        return "has more than 8 bits per sample, and no value that shows in the upper 8"
    if black_is_synthetic and _HALF < lowest < _WHITE:
        return f"has no value below {lowest}: it is light all over"
    return ""


def _ambiguous(path: Path, why: str) -> UnreadableFile:
    return UnreadableFile(
        f"{path} {why}",
        "Save masks in grey, black 0 and white 255, without transparency: multiply masks of 0 and 1 by 255.",
    )
