"""How much decoders mark of whole photographs, and the share of an image above which `localize` speaks of it.

A map that marks nothing of a photograph is rare: pixels are many. So an image is worth a look only where more
of it is marked than of 99 in 100 whole photographs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from sidscan.models.backbones.clip import ClipEncoder
from sidscan.models.heads.token_decoder import TokenDecoder
from sidscan.training.rine_b16.features import open_encoder
from sidscan.training.windows.corpus import Window, decode_window
from sidscan.training.windows.parallel import map_windows
from sidscan.training.windows.sampling_weights import REPOSITORY_POWER, sampling_weights

from .agreement import agreement
from .measure import blended, decoded_maps, photograph_grid, tiles_of
from .tokens import TokenScale, read_tiles

ALARM_RATE = 0.01  # share of whole photographs, weighted by repository, that an alarm may be wrong about
STRIDE = 224  # px between tiles; half of that, as in `localize`, takes four times as long
PER_REPOSITORY = 12
PHOTOGRAPHS = 520


@dataclass
class MarkedShares:
    """(index, photograph) -> share of it above each of THRESHOLDS, by the decoder of its fold, (n,)."""

    decoders: Sequence[TokenDecoder]
    blocks: tuple[int, ...]
    scale: TokenScale
    fold_of: dict[str, int]
    stride: int = STRIDE

    def __post_init__(self) -> None:
        self._encoder: ClipEncoder | None = None  # opened in each process: it is large

    def __call__(self, numbered: tuple[int, Window]) -> NDArray[np.float16]:
        window = numbered[1]
        pixels = decode_window(window)
        if self._encoder is None:
            self._encoder = open_encoder()
        grid = photograph_grid(pixels, self.stride)
        tiles, decoder, maps = tiles_of(pixels, grid), self.decoders[self.fold_of[window.repo]], []
        for start in range(0, len(tiles), 8):
            tokens, _ = read_tiles(self._encoder, tiles[start : start + 8], self.blocks)
            maps.append(decoded_maps(decoder, self.scale.packed(tokens)))
        return np.array(agreement(blended(np.concatenate(maps), grid), None)["marked"], np.float16)


def marked_shares(task: MarkedShares, photographs: Sequence[Window], workers: int) -> NDArray[np.float64]:
    """Of each photograph, (photographs, thresholds)."""
    return np.stack(map_windows(task, photographs, workers, "photographs")).astype(np.float64)


def alarm_area(shares: NDArray[np.float64], photographs: Sequence[Window]) -> float:
    """The share of an image that ALARM_RATE of photographs exceed: shares (photographs,).

    A repository of n photographs weighs n ** REPOSITORY_POWER.
    """
    weights = sampling_weights(
        [False] * len(photographs), [each.repo for each in photographs], REPOSITORY_POWER
    )
    order = np.argsort(-shares, kind="stable")
    above = torch.cumsum(weights[torch.from_numpy(order)], dim=0)
    first_below = int((above <= ALARM_RATE * above[-1]).sum())
    return float(shares[order[first_below]])
