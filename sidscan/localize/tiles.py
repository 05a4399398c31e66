"""An image becomes square tiles, and the maps of its tiles become one map.

A localizer reads squares of a few hundred pixels. ``tiles`` covers the image with them, at its own size or,
where that takes too many, halved until they suffice; ``global`` squashes the whole image into one, as
localizers are published (docs/howto/localize.md).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import product
from math import ceil

import numpy as np
from numpy.typing import NDArray
from PIL import Image

FLOOR = 1e-3
"""Least weight of a tile's pixel, across and down, so that what only rims of tiles cover has a value, too."""
_BAND = 256  # rows of the reduced image that are made at once

Pixels = NDArray[np.uint8]
Map = NDArray[np.float32]
MapsOf = Callable[[Pixels], Map]
"""`models.localizers.Localizer.maps`: RGB (n, height, width, 3) -> probabilities (n, side, side)."""
Done = Callable[[int], object]
"""Called with the number of tiles that were read since the last call."""


@dataclass(frozen=True)
class TileGrid:
    """Where tiles lie in an image.

    Attributes:
        scale: pixels of the image, across and down, that one pixel of a tile stands for: 1, 2, 4 ...
        width, height: of the reduced image, pixels.
        side: of a tile, pixels of the reduced image.
        lefts, tops: where the columns and rows of tiles begin in it, pixels.
    """

    scale: int
    width: int
    height: int
    side: int
    lefts: tuple[int, ...]
    tops: tuple[int, ...]

    def __len__(self) -> int:
        return len(self.lefts) * len(self.tops)


@dataclass(frozen=True)
class SmallMap:
    """A map at the size at which it was computed.

    Attributes:
        values: probabilities (height, width).
        width, height: how much of it the image covers, pixels of ``values``; a part of the last pixel may lie
            beyond the image.
    """

    values: Map
    width: float
    height: float

    def rows(self, first: int, last: int, width: int, height: int) -> Map:
        """The rows ``first`` to ``last`` of the map at the image's size, interpolated between pixels."""
        if self.values.shape == (height, width):
            return self.values[first:last]
        box = (0.0, first * self.height / height, self.width, last * self.height / height)
        resized = Image.fromarray(self.values).resize(
            (width, last - first), Image.Resampling.BILINEAR, box=box
        )
        return np.asarray(resized)


def tile_grid(width: int, height: int, side: int, stride: int, most: int) -> TileGrid:
    """The grid of an image; each pixel lies in a tile, and the last ones end at the image's edge.

    The image is halved until ``most`` tiles cover it. One that would then be narrower than a tile gets more.

    Args:
        width, height: at least ``side``.
    """
    scale = 1
    while True:
        lefts, tops = (_starts(ceil(length / scale), side, stride) for length in (width, height))
        if len(lefts) * len(tops) <= most or ceil(min(width, height) / (2 * scale)) < side:
            return TileGrid(scale, ceil(width / scale), ceil(height / scale), side, lefts, tops)
        scale *= 2


def map_of_tiles(pixels: Pixels, grid: TileGrid, maps_of: MapsOf, batch: int, done: Done) -> SmallMap:
    """The maps of all tiles, blended: each pixel is the mean of its tiles, weighted by how central it lies.

    Args:
        pixels: (height, width, 3), RGB.
        batch: tiles that are read at once.

    Raises:
        ValueError: a map has another side than its tile.
    """
    height, width, _ = pixels.shape
    reduced = _reduced(pixels, grid.scale)
    weight = _raised_cosine(grid.side)
    window = np.outer(weight, weight)
    blended = np.zeros((grid.height, grid.width), np.float32)
    for places in _batches(grid, batch):
        tiles = np.stack([reduced[top : top + grid.side, left : left + grid.side] for top, left in places])
        for (top, left), values in zip(places, maps_of(tiles), strict=True):
            blended[top : top + grid.side, left : left + grid.side] += window * values
        done(len(places))
    blended /= _total(grid.tops, weight, grid.height)[:, None]
    blended /= _total(grid.lefts, weight, grid.width)[None, :]
    return SmallMap(np.clip(blended, 0.0, 1.0), width / grid.scale, height / grid.scale)


def map_of_whole(pixels: Pixels, maps_of: MapsOf, done: Done) -> SmallMap:
    """The map of the whole image squashed into one square, as localizers are published."""
    values = maps_of(pixels[None])[0]
    done(1)
    return SmallMap(np.clip(values, 0.0, 1.0), values.shape[1], values.shape[0])


def _starts(length: int, side: int, stride: int) -> tuple[int, ...]:
    last = length - side
    return (*range(0, last, stride), last)


def _reduced(pixels: Pixels, scale: int) -> Pixels:
    """The image smaller by a whole number: each pixel is the mean of a block, as of `PIL.Image.reduce`."""
    if scale == 1:
        return pixels
    height, width, _ = pixels.shape
    reduced = np.empty((ceil(height / scale), ceil(width / scale), 3), np.uint8)
    for top in range(0, len(reduced), _BAND):  # so that Pillow needs no second copy of a large image
        band = Image.fromarray(pixels[top * scale : (top + _BAND) * scale])
        reduced[top : top + _BAND] = np.asarray(band.reduce(scale))
    return reduced


def _raised_cosine(side: int) -> Map:
    places = (np.arange(side) + 0.5) / side
    return np.maximum(0.5 - 0.5 * np.cos(2 * np.pi * places), FLOOR).astype(np.float32)


def _total(starts: tuple[int, ...], weight: Map, length: int) -> Map:
    """The weights of all tiles in one direction, summed."""
    total = np.zeros(length, np.float32)
    for start in starts:
        total[start : start + len(weight)] += weight
    return total


def _batches(grid: TileGrid, size: int) -> Iterator[list[tuple[int, int]]]:
    places = list(product(grid.tops, grid.lefts))
    for start in range(0, len(places), size):
        yield places[start : start + size]
