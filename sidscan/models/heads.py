"""Trainable heads: features of every encoder block -> one logit per crop."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn


def _projection(inputs: int, outputs: int, layers: int) -> nn.Sequential:
    """Q1 or Q2: Dropout, then ``layers`` x [Linear, ReLU, Dropout] (paper, section 3.2)."""
    modules: list[nn.Module] = [nn.Dropout(0.5)]
    for layer in range(layers):
        modules += [nn.Linear(inputs if layer == 0 else outputs, outputs), nn.ReLU(), nn.Dropout(0.5)]
    return nn.Sequential(*modules)


class RineHead(nn.Module):
    """RINE's trainable part: Q1, the Trainable Importance Estimator (TIE), Q2, classifier.

    Koutlis & Papadopoulos, ECCV 2024 (arXiv 2402.19091), section 3. Parameter names are those of the
    published checkpoints: ``alpha``, ``proj1.{1,4,..}``, ``proj2.{1,4,..}``, ``head.{0,3,6}``.

    Args:
        blocks: n, number of encoder blocks.
        width: d, width of a block's feature.
        projected: d', width after Q1.
        layers: q, number of Linear layers in Q1 and in Q2.
    """

    def __init__(self, blocks: int, width: int, projected: int, layers: int) -> None:
        super().__init__()
        self.blocks, self.width, self.projected, self.layers = blocks, width, projected, layers
        self.alpha = nn.Parameter(torch.randn(1, blocks, projected))
        self.proj1 = _projection(width, projected, layers)
        self.proj2 = _projection(projected, projected, layers)
        self.head = nn.Sequential(
            nn.Linear(projected, projected),
            nn.ReLU(),
            nn.Dropout(0.5),
            nn.Linear(projected, projected),
            nn.ReLU(),
            nn.Dropout(0.5),
            nn.Linear(projected, 1),
        )

    @classmethod
    def shaped_like(cls, state: Mapping[str, Tensor]) -> RineHead:
        """An untrained head of the shape that ``state`` (published names) describes.

        Raises:
            KeyError: ``state`` lacks ``alpha`` or ``proj1.1.weight``.
        """
        _, blocks, projected = state["alpha"].shape
        width = state["proj1.1.weight"].shape[1]
        layers = sum(1 for name in state if name.startswith("proj1.") and name.endswith(".weight"))
        return cls(blocks, width, projected, layers)

    def embed(self, features: Tensor) -> Tensor:
        """Block features (b, n, d) -> z (b, d'), the vector the contrastive loss sees."""
        importance = torch.softmax(self.alpha, dim=1)
        fused = (importance * self.proj1(features)).sum(dim=1)
        embedding: Tensor = self.proj2(fused)
        return embedding

    def classify(self, embedding: Tensor) -> Tensor:
        """z (b, d') -> logits (b,); sigmoid of a logit is the model's P(synthetic)."""
        logits: Tensor = self.head(embedding)
        return logits.squeeze(-1)

    def forward(self, features: Tensor) -> Tensor:
        """Block features (b, n, d), float32 -> logits (b,)."""
        return self.classify(self.embed(features))
