"""Networks of timm, read at every depth by timm's own protocol, ``forward_intermediates``."""

from __future__ import annotations

from collections.abc import Sequence, Set
from typing import Any

import torch
from torch import Tensor, nn

from sidscan.config import SIDE
from sidscan.models.backbones import Feature
from sidscan.models.backbones.pixels import NormalisedPixels

_CROPS_AT_ONCE = 16  # the maps of all blocks of ViT-L take 25 MB a crop
_FEATURES: frozenset[Feature] = frozenset({"blocks", "depths", "embedding", "maps", "levels"})


class TimmEncoder(NormalisedPixels):
    """A network of timm: the blocks of a vision transformer, the stages of other networks.

    The feature of a depth is the class token that leaves the block; where there is none, the mean over the
    map. Nothing is normalised after a block.

    Args:
        network: without its classifier.
        mean, std: of pixels scaled to 0..1, R G B, as the network was trained.

    Raises:
        RuntimeError, TypeError, ValueError, AttributeError: it can't be read so.
    """

    fp16_safe = False

    def __init__(self, network: nn.Module, mean: Sequence[float], std: Sequence[float]) -> None:
        super().__init__()
        self.network: Any = network.eval().requires_grad_(False)
        self.mean, self.std = (mean[0], mean[1], mean[2]), (std[0], std[1], std[2])
        self._has_class_token = getattr(network, "cls_token", None) is not None
        self.place_statistics()
        with torch.no_grad():
            pooled, maps, embedding = self._forward(torch.zeros(1, 3, SIDE, SIDE, dtype=torch.uint8), True)
        self.depths = tuple(each.shape[1] for each in pooled)
        self.levels = tuple((each.shape[1], each.shape[2]) for each in maps)
        self.num_blocks = len(self.depths)
        self.embed_dim = self.depths[0] if len(set(self.depths)) == 1 else 0
        self.output_dim = embedding.shape[1] if embedding is not None else 0

    def read(self, crops: Tensor, features: Set[Feature]) -> dict[Feature, Tensor]:
        """uint8 RGB crops (b, 3, h, w) -> the features asked for, float32.

        ``embedding`` is what the classifier reads.

        Raises:
            ValueError: another feature is asked for, or one of equal blocks of a network whose blocks differ.
        """
        if not features <= _FEATURES:
            raise ValueError("a network of timm has pooled features, maps and nothing else")
        if torch.compiler.is_compiling():  # a graph takes any number of crops, so it can't be cut in parts
            return self._read(crops, features)
        parts = [self._read(part, features) for part in torch.split(crops, _CROPS_AT_ONCE)]
        return {feature: torch.cat([part[feature] for part in parts]) for feature in features}

    def _read(self, crops: Tensor, features: Set[Feature]) -> dict[Feature, Tensor]:
        pooled, maps, embedding = self._forward(crops, "embedding" in features)
        outputs: dict[Feature, Tensor] = {}
        if "blocks" in features:
            outputs["blocks"] = torch.stack(pooled, dim=1).float()
        if "depths" in features:
            outputs["depths"] = torch.cat(pooled, dim=1).float()
        if "maps" in features:
            outputs["maps"] = torch.stack(maps, dim=1).float()
        if "levels" in features:
            outputs["levels"] = torch.cat([each.flatten(1) for each in maps], dim=1).float()
        if embedding is not None:
            outputs["embedding"] = embedding.float()
        return outputs

    def _forward(self, crops: Tensor, embedding: bool) -> tuple[list[Tensor], list[Tensor], Tensor | None]:
        """Pooled features and maps of every depth, and the embedding where it is asked for."""
        options: dict[str, object] = {"output_fmt": "NCHW", "intermediates_only": not embedding}
        if self._has_class_token:
            options["return_prefix_tokens"] = True
        pixels = self.normalised(crops).to(next(self.network.parameters()).dtype)
        read = self.network.forward_intermediates(pixels, **options)
        final, depths = read if embedding else (None, read)
        if self._has_class_token:
            maps, pooled = [each[0] for each in depths], [each[1][:, 0] for each in depths]
        else:
            maps = list(depths)
            pooled = [each.mean(dim=(2, 3)) for each in maps]
        return pooled, maps, self.network.forward_head(final, pre_logits=True) if embedding else None
