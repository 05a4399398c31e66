"""Localizers ready to make maps, by whichever runtime; and how tiles come to the size that encoders read."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from sidscan.records import CropRef
from sidscan.runtimes.cpu import CpuPool

Maps: TypeAlias = NDArray[np.float32]
"""Probabilities (b, side, side)."""


def resized(tiles: NDArray[np.uint8], side: int) -> NDArray[np.uint8]:
    """RGB (b, h, w, 3) -> (b, side, side, 3), as torchvision resizes PIL images: bilinear, antialiased."""
    if tiles.shape[1:3] == (side, side):
        return np.require(tiles, requirements=["C", "W"])  # torch wants memory it may write to
    scaled = [Image.fromarray(tile).resize((side, side), Image.Resampling.BILINEAR) for tile in tiles]
    return np.stack([np.asarray(image) for image in scaled])


def on_cores(
    pool: CpuPool, maps_of: Callable[[NDArray[np.uint8]], Maps], crops: NDArray[np.uint8], at_once: int
) -> Maps:
    """Maps of crops (b, read, read, 3): each core takes some of them.

    Args:
        at_once: crops that ``maps_of`` is given at most, which limits the memory of its layers.
    """

    def some(refs: Sequence[CropRef]) -> Maps:
        own = crops[[number for number, _ in refs]]
        return np.concatenate([maps_of(own[at : at + at_once]) for at in range(0, len(own), at_once)])

    return pool.compute(some, [(number, False) for number in range(len(crops))])
