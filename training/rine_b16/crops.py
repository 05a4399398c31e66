"""Whole images -> CLS tokens of their ten crops, as a scan cuts them, under conditions that they meet."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from sidscan.images import crops as crops_module
from sidscan.models.backbones.clip import ClipEncoder
from sidscan.training.common import pixels as pixels_module
from sidscan.training.common.pixels import Pixels, recoded
from sidscan.training.windows import corpus
from sidscan.training.windows.cache import cached
from sidscan.training.windows.conditions import unchanged
from sidscan.training.windows.corpus import Window, decode_window
from sidscan.training.windows.parallel import map_windows
from sidscan.training.windows.window_score import ten_crops

from .features import ENCODER, open_encoder

WHOLE_CONDITIONS: dict[str, Callable[[Pixels], Pixels]] = {
    "clean": unchanged,
    "jpeg75": partial(recoded, container="JPEG", quality=75),
}
"""Cards measure whole images under these."""


class TenCropExtractor:
    """(index, image) -> (10, n, d) float16; crops that show the same pixels are read once."""

    def __init__(self, change: Callable[[Pixels], Pixels]) -> None:
        self.change = change
        self._encoder: ClipEncoder | None = None  # opened in each process: it is large

    def __call__(self, numbered: tuple[int, Window]) -> NDArray[np.float16]:
        if self._encoder is None:
            self._encoder = open_encoder()
        _, crops, indices = ten_crops(self.change(decode_window(numbered[1])), mirror_invariant=False)
        with torch.inference_mode():
            tokens: NDArray[np.float16] = self._encoder(crops)[indices].half().numpy()
        return tokens


def ten_crop_tokens(
    images: Sequence[Window], condition: str, workers: int, cache: Path | None = None
) -> torch.Tensor:
    """CLS tokens (images, 10, n, d), float16.

    Args:
        condition: of `WHOLE_CONDITIONS`.
        cache: a folder that holds them for the next command on the same images (184 kB an image).
    """
    extractor = TenCropExtractor(WHOLE_CONDITIONS[condition])
    array = cached(
        lambda: np.stack(map_windows(extractor, images, workers, f"ten crops, {condition}")),
        cache,
        f"ten-{condition}",
        images,
        (condition, ENCODER, crops_module, pixels_module, corpus, sys.modules[__name__]),
    )
    return torch.from_numpy(array)
