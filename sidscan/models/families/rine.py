"""Trainable heads: what an encoder reads in a crop -> one logit per crop."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, TypeAlias

import torch
from torch import Tensor, nn

from sidscan.models.backbones import Feature


def _projection(inputs: int, outputs: int, layers: int) -> nn.Sequential:
    """Q1 or Q2: Dropout, then ``layers`` x [Linear, ReLU, Dropout] (paper, section 3.2)."""
    modules: list[nn.Module] = [nn.Dropout(0.5)]
    for layer in range(layers):
        modules += [nn.Linear(inputs if layer == 0 else outputs, outputs), nn.ReLU(), nn.Dropout(0.5)]
    return nn.Sequential(*modules)


def _classifier(width: int) -> nn.Sequential:
    """Two Linear-ReLU-Dropout, then one logit."""
    modules: list[nn.Module] = []
    for _ in range(2):
        modules += [nn.Linear(width, width), nn.ReLU(), nn.Dropout(0.5)]
    return nn.Sequential(*modules, nn.Linear(width, 1))


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

    reads: ClassVar[Feature] = "blocks"

    def __init__(self, blocks: int, width: int, projected: int, layers: int) -> None:
        super().__init__()
        self.blocks, self.width, self.projected, self.layers = blocks, width, projected, layers
        self.alpha = nn.Parameter(torch.randn(1, blocks, projected))
        self.proj1 = _projection(width, projected, layers)
        self.proj2 = _projection(projected, projected, layers)
        self.head = _classifier(projected)

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


class LinearProbe(nn.Linear):
    """UFD's head: one linear layer on CLIP's picture embedding (Ojha et al., CVPR 2023, section 4).

    Parameter names are those of the published file: ``weight``, ``bias``.

    Args:
        width: of the embedding.
    """

    reads: ClassVar[Feature] = "embedding"

    def __init__(self, width: int) -> None:
        super().__init__(width, 1)

    @classmethod
    def shaped_like(cls, state: Mapping[str, Tensor]) -> LinearProbe:
        """An untrained probe of the shape that ``state`` describes; KeyError where it lacks ``weight``."""
        return cls(state["weight"].shape[1])

    def embed(self, embedding: Tensor) -> Tensor:
        """The embedding itself: there is nothing between it and the classifier."""
        return embedding

    def classify(self, embedding: Tensor) -> Tensor:
        """(b, e) -> logits (b,)."""
        return super().forward(embedding).squeeze(-1)

    def forward(self, embedding: Tensor) -> Tensor:
        """(b, e), float32 -> logits (b,)."""
        return self.classify(embedding)


class FpnHead(nn.Module):
    """The paper's appendix alternative to the TIE: a feature pyramid over the blocks' patch maps.

    Lin et al., CVPR 2017, section 3: a 1x1 convolution per block, sums from the last block to the first, a
    3x3 convolution per block. All blocks of a ViT have one resolution, so nothing is upsampled. Means over
    the patches and then over the blocks, classified as RINE classifies. The authors published figures of
    "CLIP w/ FPN", but neither code nor its sizes; this is our reading of it.

    Args:
        blocks: n, number of encoder blocks.
        width: d, width of a block's feature.
        projected: channels of the pyramid and width of the classifier.
    """

    reads: ClassVar[Feature] = "maps"

    def __init__(self, blocks: int, width: int, projected: int) -> None:
        super().__init__()
        self.blocks, self.width, self.projected = blocks, width, projected
        self.lateral = nn.ModuleList(nn.Conv2d(width, projected, 1) for _ in range(blocks))
        self.smooth = nn.ModuleList(nn.Conv2d(projected, projected, 3, padding=1) for _ in range(blocks))
        self.head = _classifier(projected)

    @classmethod
    def shaped_like(cls, state: Mapping[str, Tensor]) -> FpnHead:
        """An untrained head of the shape that ``state`` describes.

        Raises:
            KeyError: ``state`` lacks ``lateral.0.weight``.
        """
        projected, width, _, _ = state["lateral.0.weight"].shape
        blocks = sum(1 for name in state if name.startswith("lateral.") and name.endswith(".weight"))
        return cls(blocks, width, projected)

    def embed(self, maps: Tensor) -> Tensor:
        """Patch maps (b, n, d, g, g) -> z (b, projected)."""
        above: Tensor | None = None
        pooled = []
        for block in reversed(range(self.blocks)):
            level = self.lateral[block](maps[:, block])
            above = level if above is None else level + above
            pooled.append(self.smooth[block](above).mean(dim=(2, 3)))
        return torch.stack(pooled).mean(dim=0)

    def classify(self, embedding: Tensor) -> Tensor:
        """z (b, projected) -> logits (b,)."""
        logits: Tensor = self.head(embedding)
        return logits.squeeze(-1)

    def forward(self, maps: Tensor) -> Tensor:
        """Patch maps (b, n, d, g, g), float32 -> logits (b,)."""
        return self.classify(self.embed(maps))


Head: TypeAlias = RineHead | LinearProbe | FpnHead
HEADS: Mapping[str, type[RineHead] | type[LinearProbe] | type[FpnHead]] = {
    "rine": RineHead,
    "linear": LinearProbe,
    "fpn": FpnHead,
}
"""Every architecture by the name under which a checkpoint states it."""
