"""Make the picture that a detector reads of a whole image, as its publication makes it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from sidscan.records import DecodedImage, Failure, Stage, Status
from sidscan.records.views import ImageView, ResizeFilter

_FILTERS: dict[ResizeFilter, Image.Resampling] = {
    "nearest": Image.Resampling.NEAREST,
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
    "lanczos": Image.Resampling.LANCZOS,
}


def with_views(entry: DecodedImage | Failure, views: Sequence[ImageView]) -> DecodedImage | Failure:
    """The same entry with these pictures of its image, and without its pixels, which nobody needs then.

    Args:
        entry: an image comes with all its pixels, if there are views.
    """
    if isinstance(entry, Failure) or not views:
        return entry
    if entry.pixels is None:
        raise ValueError("views are made of all pixels of an image")
    try:
        made = {view: make_view(entry.pixels, view) for view in views}
    except MemoryError:
        message = "memory is too short to make the picture that a model reads of the whole image"
        return Failure(entry.item, Stage.DECODE, "MemoryError", message, entry.facts, Status.MEMORY_LIMIT)
    return replace(entry, pixels=None, views=made)


def make_view(pixels: NDArray[np.uint8], view: ImageView) -> NDArray[np.uint8]:
    """The picture (rows, columns, 3) of an image (height, width, 3), RGB.

    Resizing is Pillow's, which torchvision's Resize calls for an image of Pillow; the centre lies where
    torchvision's CenterCrop takes it, with black where the image is smaller.
    """
    height, width, _ = pixels.shape
    if view.resize is not None:
        image = Image.fromarray(np.ascontiguousarray(_centre(pixels, *view.part(width, height))))
        pixels = np.asarray(image.resize(view.resized(width, height), _FILTERS[view.filter]))
    return np.ascontiguousarray(_centre(pixels, *view.size(width, height)))


def _centre(pixels: NDArray[np.uint8], width: int, height: int) -> NDArray[np.uint8]:
    pixels = _padded(pixels, width, height)
    top, left = round((pixels.shape[0] - height) / 2), round((pixels.shape[1] - width) / 2)
    return pixels[top : top + height, left : left + width]


def _padded(pixels: NDArray[np.uint8], width: int, height: int) -> NDArray[np.uint8]:
    """At least that large; an odd pixel of padding goes to the end."""
    missing = [max(height - pixels.shape[0], 0), max(width - pixels.shape[1], 0)]
    if not any(missing):
        return pixels
    return np.pad(pixels, [*((each // 2, each - each // 2) for each in missing), (0, 0)])
