"""The decoder of localizer-b16: patch tokens of several blocks of CLIP -> a map of logits.

docs/log/localizer_b16.md says how it was chosen.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from sidscan.models.backbones import PatchTokens
from sidscan.models.heads.decoder import Decoder

SIDE = 224  # pixels of a tile, and of a map
CLIPPED = (
    7.9  # deviations: what the tokens of the training were clipped at (training/localizer_b16/tokens.py)
)


class TokenDecoder(Decoder):
    """Standardised tokens, projected; a convolution; another at twice the grid; then the tile's side.

    Parameter names: ``mean``, ``scale`` (c,); ``project``; ``mix`` and ``upper`` (3 x 3); ``out``.

    Args:
        blocks: whose tokens are read, from 0.
        embed_dim: channels of a block's tokens.
        width: channels after the projection.
        dropout: share of the tokens' channels left out in training.
    """

    def __init__(self, blocks: Sequence[int], embed_dim: int, width: int, dropout: float = 0.0) -> None:
        super().__init__()
        self.reads = (tuple(PatchTokens(block) for block in blocks),)
        self.channels, self.side = len(blocks) * embed_dim, SIDE
        self.mean = nn.Parameter(torch.zeros(self.channels), requires_grad=False)
        self.scale = nn.Parameter(torch.ones(self.channels), requires_grad=False)
        self.dropout = nn.Dropout2d(dropout)
        self.project = nn.Conv2d(self.channels, width, 1)
        self.mix = nn.Conv2d(width, width, 3, padding=1)
        self.upper = nn.Conv2d(width, width // 2, 3, padding=1)
        self.out = nn.Conv2d(width // 2, 1, 1)

    def forward(self, *features: Tensor) -> Tensor:
        """Tokens (b, d, g, g) of each block -> logits (b, 224, 224)."""
        tokens = torch.cat(features, dim=1)
        standardised = (tokens - self.mean[:, None, None]) / self.scale[:, None, None]
        logits = self.coarse_logits(standardised.clamp(-CLIPPED, CLIPPED))
        enlarged = functional.interpolate(logits, size=(SIDE, SIDE), mode="bilinear", align_corners=False)
        return enlarged[:, 0]

    def coarse_logits(self, standardised: Tensor) -> Tensor:
        """Standardised tokens (b, c, g, g) -> logits (b, 1, 2 * g, 2 * g)."""
        x = functional.gelu(self.project(self.dropout(standardised)))
        x = x + functional.gelu(self.mix(x))
        x = functional.interpolate(x, scale_factor=2.0, mode="bilinear", align_corners=False)
        return cast(Tensor, self.out(functional.gelu(self.upper(x))))
