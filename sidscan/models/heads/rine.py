"""RINE's trainable part (Koutlis & Papadopoulos, ECCV 2024, arXiv 2402.19091, section 3)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import torch
from torch import Tensor, nn

from sidscan.models.backbones import Feature
from sidscan.models.heads.base import Head

DROPOUT = 0.5  # section 3.2; it matters only while a head is trained


def projection(inputs: int, outputs: int, layers: int, dropout: float) -> nn.Sequential:
    """Q1 or Q2: Dropout, then ``layers`` x [Linear, ReLU, Dropout] (paper, section 3.2)."""
    modules: list[nn.Module] = [nn.Dropout(dropout)]
    for layer in range(layers):
        modules += [nn.Linear(inputs if layer == 0 else outputs, outputs), nn.ReLU(), nn.Dropout(dropout)]
    return nn.Sequential(*modules)


def mlp_classifier(width: int, dropout: float = DROPOUT) -> nn.Sequential:
    """Two Linear-ReLU-Dropout, then one logit: the classifier of RINE (paper, section 3.2)."""
    modules: list[nn.Module] = []
    for _ in range(2):
        modules += [nn.Linear(width, width), nn.ReLU(), nn.Dropout(dropout)]
    return nn.Sequential(*modules, nn.Linear(width, 1))


class RineHead(Head):
    """RINE's trainable part: Q1, the Trainable Importance Estimator (TIE), Q2, classifier.

    Koutlis & Papadopoulos, ECCV 2024 (arXiv 2402.19091), section 3. Parameter names are those of the
    published checkpoints: ``alpha``, ``proj1.{1,4,..}``, ``proj2.{1,4,..}``, ``head.{0,3,6}``.

    Args:
        num_blocks: n, encoder blocks.
        embed_dim: d, width of a block's feature.
        proj_dim: d', width after Q1.
        num_proj_layers: q, Linear layers in Q1 and in Q2.
        dropout: share of the values that training drops.
    """

    feature: ClassVar[Feature] = "blocks"

    def __init__(
        self, num_blocks: int, embed_dim: int, proj_dim: int, num_proj_layers: int, dropout: float = DROPOUT
    ) -> None:
        super().__init__()
        self.num_blocks, self.embed_dim = num_blocks, embed_dim
        self.proj_dim, self.num_proj_layers = proj_dim, num_proj_layers
        self.alpha = nn.Parameter(torch.randn(1, num_blocks, proj_dim))
        self.proj1 = projection(embed_dim, proj_dim, num_proj_layers, dropout)
        self.proj2 = projection(proj_dim, proj_dim, num_proj_layers, dropout)
        self.head = mlp_classifier(proj_dim, dropout)

    @classmethod
    def shaped_like(cls, state: Mapping[str, Tensor]) -> RineHead:
        """An untrained head of the shape that ``state`` (published names) describes.

        Raises:
            KeyError: ``state`` lacks ``alpha`` or ``proj1.1.weight``.
        """
        _, num_blocks, proj_dim = state["alpha"].shape
        embed_dim = state["proj1.1.weight"].shape[1]
        num_proj_layers = sum(1 for name in state if name.startswith("proj1.") and name.endswith(".weight"))
        return cls(num_blocks, embed_dim, proj_dim, num_proj_layers)

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
