"""torchvision's ResNet-50, whole or cut, up to its pooled features (He et al., CVPR 2016)."""

from __future__ import annotations

from collections.abc import Mapping, Set
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from sidscan.libraries import require
from sidscan.models.backbones import Feature
from sidscan.models.backbones.pixels import NormalisedPixels
from sidscan.models.resnet_layout import IMAGENET_MEAN, IMAGENET_STD, ResNetPlan

_PIXELS_AT_ONCE = 32 * 224 * 224
"""Of the first layer's output, in one pass: at full resolution, one crop takes 200 MB on the way."""


class ImageNetResNet(NormalisedPixels):
    """A residual network, read after its last stage; it takes images of any height and width from 32 up.

    Args:
        network: torchvision's, as ``plan`` changes it.
    """

    mean = IMAGENET_MEAN
    std = IMAGENET_STD

    def __init__(self, network: nn.Module, plan: ResNetPlan) -> None:
        super().__init__()
        self.network = network
        self.plan = plan
        self.output_dim = plan.features
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

    def read(self, crops: Tensor, features: Set[Feature]) -> dict[Feature, Tensor]:
        """uint8 RGB crops (b, 3, h, w) -> ``embedding`` (b, f), float32: means of the last map.

        Raises:
            ValueError: another feature is asked for.
        """
        if features != {"embedding"}:
            raise ValueError("a residual network has its pooled features and nothing else")
        if torch.compiler.is_compiling():  # a graph takes any number of crops, so it can't be cut in parts
            return {"embedding": self._pooled(crops)}
        side = self.plan.stem_stride
        at_once = max(1, _PIXELS_AT_ONCE * side * side // 4 // (crops.shape[2] * crops.shape[3]))
        return {"embedding": torch.cat([self._pooled(part) for part in torch.split(crops, at_once)])}

    def _pooled(self, crops: Tensor) -> Tensor:
        network, pixels = self.network, self.normalised(crops)
        if self.plan.of_residue:
            pixels = upsampling_residue(pixels)
        x = pixels.to(cast(nn.Conv2d, network.conv1).weight.dtype)
        for name in (
            "conv1",
            "bn1",
            "relu",
            "maxpool",
            *(f"layer{n + 1}" for n in range(len(self.plan.stages))),
        ):
            x = cast(nn.Module, getattr(network, name))(x)
        return x.mean(dim=(2, 3)).float()


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
