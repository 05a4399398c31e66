"""Tiles -> CLIP's patch tokens after chosen blocks, kept as bytes: float16 would need twice the disk.

A channel is kept in steps of 1/16 of its deviation, up to 8 deviations; that error is far below what JPEG
does to tokens.
"""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray

from sidscan.models.backbones import PatchTokens
from sidscan.models.backbones.clip import ClipEncoder
from sidscan.training.common.pixels import Pixels
from sidscan.training.rine_b16.features import open_encoder
from sidscan.util.progress import track

STEPS = 16  # per deviation
TILE = 224  # px a side
_BATCH = 8  # tiles that the encoder reads at once
TileSource: TypeAlias = Callable[[int], Sequence[Pixels]]
"""Index -> its tiles, (224, 224, 3) each. Pickled: every process makes its own tiles."""


class Encoded(NamedTuple):
    """What is kept of the tiles of one index."""

    tokens: NDArray[np.int8]  # (tiles, g, g, taps * d)
    cls: NDArray[np.float16]  # (tiles, blocks, d), of every block's ln_2, as RINE reads it; or (tiles, 0, 0)


@dataclass(frozen=True)
class TokenScale:
    """Mean and deviation of every channel of every tap, (taps, d) float32."""

    mean: NDArray[np.float32]
    deviation: NDArray[np.float32]

    def packed(self, tokens: NDArray[np.float32]) -> NDArray[np.int8]:
        """Tokens (b, taps, d, g, g) -> bytes (b, g, g, taps * d)."""
        shape = (1, *self.mean.shape, 1, 1)
        normal = (tokens - self.mean.reshape(shape)) / self.deviation.reshape(shape)
        steps = np.clip(np.rint(normal * STEPS), -127, 127).astype(np.int8)
        return np.ascontiguousarray(steps.reshape(len(steps), -1, *steps.shape[3:]).transpose(0, 2, 3, 1))


def measured_scale(tokens: NDArray[np.float32]) -> TokenScale:
    """From tokens of some tiles, (b, taps, d, g, g)."""
    return TokenScale(tokens.mean(axis=(0, 3, 4)), tokens.std(axis=(0, 3, 4)) + 1e-4)


def read_tiles(
    encoder: ClipEncoder, tiles: Sequence[Pixels], blocks: Sequence[int], with_cls: bool = False
) -> tuple[NDArray[np.float32], NDArray[np.float16]]:
    """Tokens after these blocks, (b, taps, d, g, g), and CLS features (b, n, d), if wanted."""
    crops = torch.from_numpy(np.stack(tiles)).permute(0, 3, 1, 2).contiguous()
    taps = [PatchTokens(block) for block in blocks]
    with torch.inference_mode():
        found = encoder.read(crops, {*taps, "blocks"} if with_cls else set(taps))
    tokens = torch.stack([found[tap] for tap in taps], dim=1).float().numpy()
    cls = found["blocks"].half().numpy() if with_cls else np.zeros((len(tiles), 0, 0), np.float16)
    return tokens, cls


@dataclass
class TileEncoder:
    """Index -> `Encoded`, in a process of its own."""

    source: TileSource
    blocks: tuple[int, ...]
    scale: TokenScale
    with_cls: bool = False

    def __post_init__(self) -> None:
        self._encoder: ClipEncoder | None = None  # opened in each process: it is large

    def __call__(self, index: int) -> Encoded:
        if self._encoder is None:
            self._encoder = open_encoder()
        tiles = self.source(index)
        parts = [
            read_tiles(self._encoder, tiles[start : start + _BATCH], self.blocks, self.with_cls)
            for start in range(0, len(tiles), _BATCH)
        ]
        return Encoded(
            np.concatenate([self.scale.packed(tokens) for tokens, _ in parts]),
            np.concatenate([cls for _, cls in parts]),
        )


def encode(task: TileEncoder, indices: Sequence[int], workers: int, title: str) -> Iterator[Encoded]:
    """What is kept of each index, in order, with a progress bar."""
    with multiprocessing.get_context("spawn").Pool(workers, initializer=use_one_thread) as pool:
        yield from track(pool.imap(task, indices), len(indices), "tile", title=title)


def use_one_thread() -> None:
    """Worker set-up: the processes share the cores, so each computes on one thread."""
    import cv2

    torch.set_num_threads(1)
    cv2.setNumThreads(1)
