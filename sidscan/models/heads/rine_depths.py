"""RINE's trainable part on an encoder whose blocks differ in width, such as a ResNet."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

import torch
from torch import Tensor, nn

from sidscan.models.backbones import Feature
from sidscan.models.heads.base import Head
from sidscan.models.heads.rine import DROPOUT, mlp_classifier, projection


class RineDepthsHead(Head):
    """RINE (Koutlis & Papadopoulos, ECCV 2024, section 3), with one Q1 for each width that blocks have.

    All blocks of one width share a Q1, as all of CLIP's do; TIE, Q2 and classifier are as published. RINE's
    authors published no code of their "other backbones"; this is how we understand it. Parameter names:
    ``alpha``, ``proj1.{width}.{1,4,..}``, ``proj2.{1,4,..}``, ``head.{0,3,6}``; ``widths`` (n,).

    Args:
        widths: of every block's feature, from the first.
        proj_dim: d', width after Q1.
        num_proj_layers: q, Linear layers in each Q1 and in Q2.
        dropout: share of the values that training drops.
    """

    feature: ClassVar[Feature] = "depths"

    def __init__(
        self, widths: Sequence[int], proj_dim: int, num_proj_layers: int, dropout: float = DROPOUT
    ) -> None:
        super().__init__()
        self.depths = tuple(widths)
        self.register_buffer("widths", torch.tensor(self.depths))  # the order, which no other tensor tells
        self.alpha = nn.Parameter(torch.randn(1, len(self.depths), proj_dim))
        self.proj1 = nn.ModuleDict(
            {str(width): projection(width, proj_dim, num_proj_layers, dropout) for width in self.depths}
        )
        self.proj2 = projection(proj_dim, proj_dim, num_proj_layers, dropout)
        self.head = mlp_classifier(proj_dim, dropout)

    @classmethod
    def shaped_like(cls, state: Mapping[str, Tensor]) -> RineDepthsHead:
        """An untrained head of the shape that ``state`` describes.

        Raises:
            KeyError: ``state`` lacks ``alpha`` or ``widths``.
        """
        widths = [int(width) for width in state["widths"]]
        layers = sum(1 for name in state if name.startswith("proj2.") and name.endswith(".weight"))
        return cls(widths, state["alpha"].shape[2], layers)

    def embed(self, features: Tensor) -> Tensor:
        """Features of all blocks, joined, (b, sum of the widths) -> z (b, d')."""
        importance = torch.softmax(self.alpha, dim=1)
        blocks = [
            self.proj1[str(width)](part)
            for width, part in zip(self.depths, torch.split(features, list(self.depths), dim=1), strict=True)
        ]
        embedding: Tensor = self.proj2((importance * torch.stack(blocks, dim=1)).sum(dim=1))
        return embedding

    def classify(self, embedding: Tensor) -> Tensor:
        """z (b, d') -> logits (b,)."""
        logits: Tensor = self.head(embedding)
        return logits.squeeze(-1)
