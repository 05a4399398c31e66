"""Localizers ready to make maps, by whichever runtime; and how tiles come to the size that encoders read."""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Maps: TypeAlias = NDArray[np.float32]
"""Probabilities (b, side, side)."""


def resized(tiles: NDArray[np.uint8], side: int) -> NDArray[np.uint8]:
    """RGB (b, h, w, 3) -> (b, side, side, 3), as torchvision resizes PIL images: bilinear, antialiased."""
    if tiles.shape[1:3] == (side, side):
        return np.require(tiles, requirements=["C", "W"])  # torch wants memory it may write to
    scaled = [Image.fromarray(tile).resize((side, side), Image.Resampling.BILINEAR) for tile in tiles]
    return np.stack([np.asarray(image) for image in scaled])
