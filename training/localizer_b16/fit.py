"""Fit decoders to cached tokens of composites."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from sidscan.models.heads.token_decoder import TokenDecoder
from sidscan.util.progress import track

from .tokens import STEPS

WIDTH = 64
DROPOUT = 0.15  # share of the tokens' channels
EPOCHS = 4
BATCH = 32
LEARNING_RATE = 2e-3
WEIGHT_DECAY = 0.05
WARM_UP = 0.15  # share of the steps
OVERLAP = 0.5  # weight of 1 - soft IoU beside the cross-entropy, where anything is synthetic
CELLS = 28  # of a side: what the decoder judges, before it is enlarged
_SEED = 0


@dataclass(frozen=True)
class TileTokens:
    """Tokens and targets of composites.

    Attributes:
        tokens: (n, g, g, channels), standardised, in steps of 1/STEPS; may lie on disk.
        targets: (n, 2 * g, 2 * g) uint8, share of synthetic content, of 255.
        folds: (n,).
        kinds: of the composites.
    """

    tokens: NDArray[np.int8]
    targets: NDArray[np.uint8]
    folds: NDArray[np.int64]
    kinds: tuple[str, ...]

    def batch(self, indices: NDArray[np.int64]) -> tuple[Tensor, Tensor]:
        """Standardised tokens (b, channels, g, g) and targets (b, 1, 2 * g, 2 * g), 0..1."""
        return standardised(self.tokens[indices]), torch.from_numpy(self.targets[indices])[
            :, None
        ].float() / 255


def standardised(tokens: NDArray[np.int8]) -> Tensor:
    """Tokens as they are kept, (b, g, g, channels) -> (b, channels, g, g) float32."""
    return torch.from_numpy(np.ascontiguousarray(tokens)).permute(0, 3, 1, 2).float().div_(STEPS)


def fit_decoder(
    tiles: TileTokens, blocks: Sequence[int], indices: NDArray[np.int64], title: str
) -> TokenDecoder:
    """A decoder fitted to some of the tiles; the same tiles give the same decoder on the same machine."""
    torch.manual_seed(_SEED)
    rng = np.random.default_rng(_SEED)
    decoder = TokenDecoder(blocks, tiles.tokens.shape[3] // len(blocks), WIDTH, DROPOUT)
    decoder = decoder.to(memory_format=torch.channels_last).train()
    trained = [parameter for parameter in decoder.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(trained, LEARNING_RATE, weight_decay=WEIGHT_DECAY)
    steps = len(indices) // BATCH
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, LEARNING_RATE, total_steps=EPOCHS * steps, pct_start=WARM_UP
    )
    for _ in track(range(EPOCHS), EPOCHS, "epoch", title=title):
        shuffled = rng.permutation(indices)
        for step in range(steps):
            batch = np.sort(shuffled[step * BATCH : (step + 1) * BATCH])
            loss = map_loss(decoder, *mirrored(*tiles.batch(batch)))
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            torch.nn.utils.clip_grad_norm_(trained, 1.0)
            optimizer.step()
            schedule.step()
    return decoder.eval().requires_grad_(False)


def map_loss(decoder: TokenDecoder, tokens: Tensor, targets: Tensor) -> Tensor:
    """Cross-entropy of every cell, and 1 - soft IoU of tiles that hold something synthetic."""
    logits = decoder.coarse_logits(tokens)
    cells = functional.binary_cross_entropy_with_logits(logits, targets)
    predicted = logits.sigmoid()
    both = (predicted * targets).sum(dim=(1, 2, 3))
    either = (predicted + targets - predicted * targets).sum(dim=(1, 2, 3))
    counted = targets.mean(dim=(1, 2, 3)) > 0.002
    return cells + OVERLAP * ((1 - (both + 1) / (either + 1)) * counted).mean()


def mirrored(tokens: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
    """Left and right swapped half of the time."""
    return (tokens.flip(3), targets.flip(3)) if torch.rand(()) < 0.5 else (tokens, targets)


def coarse_maps(decoder: TokenDecoder, tiles: TileTokens, indices: NDArray[np.int64]) -> NDArray[np.float32]:
    """Probabilities of some tiles, (n, 2 * g, 2 * g)."""
    with torch.inference_mode():
        parts = [
            decoder.coarse_logits(tiles.batch(indices[start : start + BATCH])[0])[:, 0].sigmoid()
            for start in range(0, len(indices), BATCH)
        ]
    return torch.cat(parts).numpy()
