"""The paper's appendix alternatives to RINE's importance estimator: feature pyramids over maps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from sidscan.models.backbones import Feature
from sidscan.models.heads.base import Head
from sidscan.models.heads.rine import DROPOUT, mlp_classifier


class FpnHead(Head):
    """The paper's appendix alternative to the TIE: a feature pyramid over the blocks' patch maps.

    Lin et al., CVPR 2017, section 3: a 1x1 convolution per block, sums from the last block to the first, a
    3x3 convolution per block. All blocks of a ViT have one resolution, so nothing is upsampled. Means over
    the patches and then over the blocks, classified as RINE classifies. The authors published figures of
    "CLIP w/ FPN", but neither code nor its sizes; this is how we understand it.

    Args:
        num_blocks: n, encoder blocks.
        embed_dim: d, width of a block's feature.
        proj_dim: channels of the pyramid and width of the classifier.
        dropout: share of the values that the classifier's training drops.
    """

    feature: ClassVar[Feature] = "maps"

    def __init__(self, num_blocks: int, embed_dim: int, proj_dim: int, dropout: float = DROPOUT) -> None:
        super().__init__()
        self.num_blocks, self.embed_dim, self.proj_dim = num_blocks, embed_dim, proj_dim
        self.lateral = nn.ModuleList(nn.Conv2d(embed_dim, proj_dim, 1) for _ in range(num_blocks))
        self.smooth = nn.ModuleList(nn.Conv2d(proj_dim, proj_dim, 3, padding=1) for _ in range(num_blocks))
        self.head = mlp_classifier(proj_dim, dropout)

    @classmethod
    def shaped_like(cls, state: Mapping[str, Tensor]) -> FpnHead:
        """An untrained head of the shape that ``state`` describes.

        Raises:
            KeyError: ``state`` lacks ``lateral.0.weight``.
        """
        proj_dim, embed_dim, _, _ = state["lateral.0.weight"].shape
        num_blocks = sum(1 for name in state if name.startswith("lateral.") and name.endswith(".weight"))
        return cls(num_blocks, embed_dim, proj_dim)

    def embed(self, maps: Tensor) -> Tensor:
        """Patch maps (b, n, d, g, g) -> z (b, proj_dim)."""
        above: Tensor | None = None
        pooled = []
        for block in reversed(range(self.num_blocks)):
            level = self.lateral[block](maps[:, block])
            above = level if above is None else level + above
            pooled.append(self.smooth[block](above).mean(dim=(2, 3)))
        return torch.stack(pooled).mean(dim=0)

    def classify(self, embedding: Tensor) -> Tensor:
        """z (b, proj_dim) -> logits (b,)."""
        logits: Tensor = self.head(embedding)
        return logits.squeeze(-1)


class FpnLevelsHead(Head):
    """A feature pyramid over maps that differ in side and width, such as those of a ResNet's stages.

    Lin et al., CVPR 2017, section 3: as `FpnHead`, but what comes from above is enlarged to the next map by
    repetition before it is added. RINE's authors published neither code nor sizes of "RN50 w/ FPN" either.

    Args:
        levels: channels and side of each map, from the first.
        proj_dim: channels of the pyramid and width of the classifier.
        dropout: share of the values that the classifier's training drops.
    """

    feature: ClassVar[Feature] = "levels"

    def __init__(self, levels: Sequence[tuple[int, int]], proj_dim: int, dropout: float = DROPOUT) -> None:
        super().__init__()
        self.levels, self.proj_dim = tuple(levels), proj_dim
        self.register_buffer("sides", torch.tensor([side for _, side in levels]))  # no other tensor tells
        self.lateral = nn.ModuleList(nn.Conv2d(width, proj_dim, 1) for width, _ in levels)
        self.smooth = nn.ModuleList(nn.Conv2d(proj_dim, proj_dim, 3, padding=1) for _ in levels)
        self.head = mlp_classifier(proj_dim, dropout)

    @classmethod
    def shaped_like(cls, state: Mapping[str, Tensor]) -> FpnLevelsHead:
        """An untrained head of the shape that ``state`` describes.

        Raises:
            KeyError: ``state`` lacks ``sides`` or a convolution.
        """
        convs = [state[f"lateral.{number}.weight"] for number in range(len(state["sides"]))]
        levels = [(conv.shape[1], int(side)) for conv, side in zip(convs, state["sides"], strict=True)]
        return cls(levels, convs[0].shape[0])

    def embed(self, features: Tensor) -> Tensor:
        """Maps, flattened and joined, (b, sum of c * g * g) -> z (b, proj_dim)."""
        maps = torch.split(features, [width * side * side for width, side in self.levels], dim=1)
        above: Tensor | None = None
        pooled = []
        for number in reversed(range(len(self.levels))):
            level: Tensor = self.lateral[number](torch.unflatten(maps[number], 1, self._size(number)))
            if above is not None:
                level = level + functional.interpolate(above, size=level.shape[2:], mode="nearest")
            above = level
            pooled.append(self.smooth[number](above).mean(dim=(2, 3)))
        return torch.stack(pooled).mean(dim=0)

    def classify(self, embedding: Tensor) -> Tensor:
        """z (b, proj_dim) -> logits (b,)."""
        logits: Tensor = self.head(embedding)
        return logits.squeeze(-1)

    def _size(self, number: int) -> tuple[int, int, int]:
        width, side = self.levels[number]
        return width, side, side
