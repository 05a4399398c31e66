"""What people have without a localizer: grids of a detector's window scores, and error-level analysis."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sidscan.config import SIDE
from sidscan.images.windows import cut_window, window_grid
from sidscan.training.common.pixels import Pixels, recoded
from sidscan.training.mini.train import load_weights as load_mini

from .regions import Mask

INSPECTED = 256  # windows at most, as `sidscan inspect` does by default
ELA_QUALITY = 90  # of the JPEG that the image is compared with
ELA_BLUR = 17  # px: people look at patches of error, not at pixels
Scores = Callable[[Pixels], NDArray[np.float32]]
"""Windows (n, 224, 224, 3) -> scores (n,)."""


def inspected_map(pixels: Pixels, scores: Scores, budget: int = INSPECTED) -> Mask:
    """The score map of ``sidscan inspect``, drawn: cells end halfway between the centres of windows."""
    height, width = pixels.shape[:2]
    lefts, tops = window_grid(width, height, budget)
    windows = np.stack([cut_window(pixels, left, top) for top in tops for left in lefts])
    cells = scores(windows).reshape(len(tops), len(lefts))
    drawn = cells[np.ix_(_cell_of(tops, height), _cell_of(lefts, width))]
    return np.asarray(drawn, np.float32)


def _cell_of(starts: Sequence[int], length: int) -> NDArray[np.intp]:
    """The cell of every pixel along one side."""
    centres = np.array(starts) + SIDE / 2
    return np.searchsorted((centres[1:] + centres[:-1]) / 2, np.arange(length) + 0.5)


def error_level_map(pixels: Pixels) -> Mask:
    """The difference from the image saved as JPEG once more, 1 where it is greatest, blurred."""
    difference = np.abs(pixels.astype(np.int16) - recoded(pixels, "JPEG", quality=ELA_QUALITY)).max(axis=2)
    blurred = cv2.blur(difference.astype(np.float32), (ELA_BLUR, ELA_BLUR))
    return np.asarray(blurred / max(float(blurred.max()), 1e-6), np.float32)


@cache
def mini_scores(weights: Path) -> Scores:
    """The scores of mini, fitted on all repositories: in its favour."""
    encoder, head, _ = load_mini(weights)

    def scores(windows: Pixels) -> NDArray[np.float32]:
        crops = torch.from_numpy(windows).permute(0, 3, 1, 2).contiguous()
        with torch.inference_mode():
            parts: list[Tensor] = [
                head(encoder(crops[i : i + 16])).sigmoid() for i in range(0, len(crops), 16)
            ]
        return torch.cat(parts).float().numpy()

    return scores
