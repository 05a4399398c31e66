"""Make the picture that a detector reads of a whole image, as its publication makes it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from sidscan.images.decode import SourceImage
from sidscan.records.views import ImageView, ResizeFilter

_FILTERS: dict[ResizeFilter, Image.Resampling] = {
    "nearest": Image.Resampling.NEAREST,
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
    "lanczos": Image.Resampling.LANCZOS,
}


def make_views(source: SourceImage, views: Sequence[ImageView]) -> dict[ImageView, NDArray[np.uint8]]:
    """The pictures of an image, each as `make_view` makes it.

    Raises:
        MemoryError: memory is too short for one of them.
    """
    return {view: make_view(source, view) for view in views}


def make_view(source: SourceImage, view: ImageView) -> NDArray[np.uint8]:
    """The picture (rows, columns, 3), RGB, of an image.

    Resizing is Pillow's, which torchvision's Resize calls for an image of Pillow; the centre lies where
    torchvision's CenterCrop takes it, with black where the image is smaller.
    """
    width, height = source.width, source.height
    columns, rows = view.size(width, height)
    if view.resize is None:
        return np.ascontiguousarray(
            source.window(_start(width, columns), _start(height, rows), columns, rows)
        )
    return _centre(np.asarray(resize(_part(source, view), view)), columns, rows)


def resize(image: Image.Image, view: ImageView) -> Image.Image:
    """All of an image, RGB, at the size that a view has before anything is cut."""
    return image.resize(view.resized(*image.size), _FILTERS[view.filter])


def needed_rows(height: int, views: Sequence[ImageView]) -> list[range]:
    """The rows of an image of that height that views are made of, one range for each; none resizes."""
    rows = [view.size(height, height)[1] for view in views]
    starts = [_start(height, count) for count in rows]
    return [range(max(top, 0), min(top + count, height)) for top, count in zip(starts, rows, strict=True)]


def _part(source: SourceImage, view: ImageView) -> Image.Image:
    """What is resized, in RGB; not copied where it is the whole image and has that mode already."""
    width, height = view.part(source.width, source.height)
    if (width, height) == (source.width, source.height):
        part = source.image
    else:
        left, top = _start(source.width, width), _start(source.height, height)
        part = source.region(left, top, left + width, top + height)
    return part if part.mode == "RGB" else part.convert("RGB")


def _start(length: int, wanted: int) -> int:
    """Where the centre begins along a side; negative where an image is smaller, odd padding at the end."""
    return -((wanted - length) // 2) if length < wanted else round((length - wanted) / 2)


def _centre(pixels: NDArray[np.uint8], width: int, height: int) -> NDArray[np.uint8]:
    pixels = _padded(pixels, width, height)
    top, left = round((pixels.shape[0] - height) / 2), round((pixels.shape[1] - width) / 2)
    return np.ascontiguousarray(pixels[top : top + height, left : left + width])


def _padded(pixels: NDArray[np.uint8], width: int, height: int) -> NDArray[np.uint8]:
    """At least that large; an odd pixel of padding goes to the end."""
    missing = [max(height - pixels.shape[0], 0), max(width - pixels.shape[1], 0)]
    if not any(missing):
        return pixels
    return np.pad(pixels, [*((each // 2, each - each // 2) for each in missing), (0, 0)])
