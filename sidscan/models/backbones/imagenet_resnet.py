"""torchvision's residual networks, whole or cut, read after every block (He et al., CVPR 2016)."""

from __future__ import annotations

from collections.abc import Mapping, Set
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from sidscan.config import SIDE
from sidscan.libraries import require
from sidscan.models.backbones import Feature
from sidscan.models.backbones.pixels import NormalisedPixels
from sidscan.models.resnet_layout import EXPANSION, IMAGENET_MEAN, IMAGENET_STD, ResNetPlan

_PIXELS_AT_ONCE = 32 * SIDE * SIDE
"""Of the first layer's output, in one pass: at full resolution, one crop takes 200 MB on the way."""
_FEATURES: frozenset[Feature] = frozenset({"embedding", "depths", "levels"})


class ImageNetResNet(NormalisedPixels):
    """A residual network; it takes images of any height and width from 32 up.

    Args:
        network: torchvision's, as ``plan`` changes it.
    """

    fp16_safe = False
    mean = IMAGENET_MEAN
    std = IMAGENET_STD

    def __init__(self, network: nn.Module, plan: ResNetPlan) -> None:
        super().__init__()
        self.network = network
        self.plan = plan
        self.output_dim = plan.features
        widths = [(64 << stage) * EXPANSION for stage in range(len(plan.stages))]
        self.depths = tuple(w for w, blocks in zip(widths, plan.stages, strict=True) for _ in range(blocks))
        first = -(-SIDE // plan.stem_stride) // plan.pool_stride  # side of the first stage's map
        self.levels = tuple((width, -(-first >> stage)) for stage, width in enumerate(widths))
        self.place_statistics()

    @classmethod
    def from_state(cls, state: Mapping[str, Tensor], plan: ResNetPlan) -> ImageNetResNet:
        """A network with the given weights (torchvision's names, without the last layer), in float32.

        Raises:
            RuntimeUnavailable: torchvision is not installed.
            RuntimeError: names or shapes are not those of such a network.
        """
        require(plan.name, "torchvision")
        with torch.device("meta"):
            network = _network(plan)
        counters = {
            name: torch.zeros((), dtype=torch.int64)
            for name in network.state_dict()
            if name.endswith("num_batches_tracked")
        }
        weights = {name: tensor.float() for name, tensor in state.items()}
        network.load_state_dict(weights | counters, strict=True, assign=True)
        return cls(network, plan).eval().requires_grad_(False)

    @property
    def description(self) -> dict[str, object]:
        """Strides of the first two layers, too."""
        return {**super().description, "strides": [self.plan.stem_stride, self.plan.pool_stride]}

    def read(self, crops: Tensor, features: Set[Feature]) -> dict[Feature, Tensor]:
        """uint8 RGB crops (b, 3, h, w) -> the features asked for, float32.

        ``embedding`` (b, f) has means of the last map; ``depths`` those of every block's output, after its
        last ReLU; ``levels`` the maps that leave the stages, C2 to C5 of a feature pyramid.

        Raises:
            ValueError: another feature is asked for.
        """
        if not features <= _FEATURES:
            raise ValueError("a residual network has its pooled features, its maps and nothing else")
        if torch.compiler.is_compiling():  # a graph takes any number of crops, so it can't be cut in parts
            return self._read(crops, features)
        side = self.plan.stem_stride
        at_once = max(1, _PIXELS_AT_ONCE * side * side // 4 // (crops.shape[2] * crops.shape[3]))
        parts = [self._read(part, features) for part in torch.split(crops, at_once)]
        return {feature: torch.cat([part[feature] for part in parts]) for feature in features}

    def _read(self, crops: Tensor, features: Set[Feature]) -> dict[Feature, Tensor]:
        network, pixels = self.network, self.normalised(crops)
        if self.plan.of_residue:
            pixels = upsampling_residue(pixels)
        x = pixels.to(cast(nn.Conv2d, network.conv1).weight.dtype)
        for name in ("conv1", "bn1", "relu", "maxpool"):
            x = cast(nn.Module, getattr(network, name))(x)
        pooled, maps = [], []
        for stage in range(len(self.plan.stages)):
            for block in cast(nn.Sequential, getattr(network, f"layer{stage + 1}")):
                x = block(x)
                if "depths" in features:
                    pooled.append(x.mean(dim=(2, 3)))
            if "levels" in features:
                maps.append(x.flatten(1))
        outputs: dict[Feature, Tensor] = {}
        if "embedding" in features:
            outputs["embedding"] = x.mean(dim=(2, 3)).float()
        if "depths" in features:
            outputs["depths"] = torch.cat(pooled, dim=1).float()
        if "levels" in features:
            outputs["levels"] = torch.cat(maps, dim=1).float()
        return outputs


def _network(plan: ResNetPlan) -> nn.Module:
    """torchvision's network, without what comes after the last stage."""
    from torchvision.models.resnet import Bottleneck, ResNet

    network: nn.Module = ResNet(Bottleneck, [*plan.stages, *(4 - len(plan.stages)) * [1]], num_classes=1)
    network.conv1 = nn.Conv2d(3, 64, plan.stem, plan.stem_stride, padding=plan.stem // 2, bias=False)
    network.maxpool = nn.MaxPool2d(3, plan.pool_stride, padding=1)
    for name in ("fc", "avgpool", *(f"layer{number}" for number in range(len(plan.stages) + 1, 5))):
        delattr(network, name)
    return network


def upsampling_residue(pixels: Tensor) -> Tensor:
    """What doubling by repetition leaves of an image: NPR's input (Tan et al., CVPR 2024, section 3.2).

    Every pixel minus the first one of its 2x2 block, times 2/3 as published. An odd last row or column, of
    which no block is whole, is left out, as its authors advise.

    Args:
        pixels: (b, 3, h, w).
    """
    height, width = pixels.shape[2] // 2 * 2, pixels.shape[3] // 2 * 2
    even = pixels[:, :, :height, :width]
    return (even - functional.interpolate(even[:, :, ::2, ::2], scale_factor=2.0, mode="nearest")) * (2 / 3)
