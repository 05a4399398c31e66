"""Linear probes on what an encoder computes of a whole crop."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from torch import Tensor, nn
from torch.nn import functional

from sidscan.models.backbones import Feature
from sidscan.models.heads.base import Head


class LinearProbe(Head, nn.Linear):
    """UFD's head: one linear layer on CLIP's image embedding (Ojha et al., CVPR 2023, section 4).

    Parameter names are those of the published file: ``weight``, ``bias``.

    Args:
        embed_dim: of the embedding.
    """

    feature: ClassVar[Feature] = "embedding"

    def __init__(self, embed_dim: int) -> None:
        super().__init__(embed_dim, 1)

    @classmethod
    def shaped_like(cls, state: Mapping[str, Tensor]) -> LinearProbe:
        """An untrained probe of the shape that ``state`` describes; KeyError where it lacks ``weight``."""
        return cls(state["weight"].shape[1])

    def embed(self, embedding: Tensor) -> Tensor:
        """The embedding itself: there is nothing between it and the classifier."""
        return embedding

    def classify(self, embedding: Tensor) -> Tensor:
        """(b, e) -> logits (b,)."""
        return nn.Linear.forward(self, embedding).squeeze(-1)


class UnitProbe(LinearProbe):
    """The same on the embedding's direction: it is brought to length one (C2P-CLIP)."""

    def embed(self, embedding: Tensor) -> Tensor:
        """(b, e) -> (b, e), each of length one."""
        return functional.normalize(embedding, dim=-1)


class PooledUnitProbe(UnitProbe):
    """The same on what a vision transformer projects into the embedding (ClipBased-SID)."""

    feature: ClassVar[Feature] = "pooled"
