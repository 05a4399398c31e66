"""The first layers of Xception, whose patches Patch-Forensics judges one by one (Chollet, CVPR 2017)."""

from __future__ import annotations

from collections.abc import Mapping, Set

import torch
from torch import Tensor, nn
from torch.nn import functional

from sidscan.models.backbones import Feature, StageMap
from sidscan.models.backbones.pixels import NormalisedPixels


class _Separable(nn.Module):
    """A convolution of 3x3 of every channel apart, then one of 1x1 of all channels."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, inputs, 3, padding=1, groups=inputs, bias=False)
        self.pointwise = nn.Conv2d(inputs, outputs, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """(b, inputs, h, w) -> (b, outputs, h, w)."""
        mixed: Tensor = self.pointwise(self.conv1(x))
        return mixed


class _Block(nn.Module):
    """Two separable convolutions beside a shortcut; halves the side.

    Args:
        relu_first: whether the first convolution sees what a ReLU leaves.
    """

    def __init__(self, inputs: int, outputs: int, relu_first: bool) -> None:
        super().__init__()
        self.skip = nn.Conv2d(inputs, outputs, 1, stride=2, bias=False)
        self.skipbn = nn.BatchNorm2d(outputs)
        layers: list[nn.Module] = [nn.ReLU()] if relu_first else []
        layers += [_Separable(inputs, outputs), nn.BatchNorm2d(outputs), nn.ReLU()]
        layers += [_Separable(outputs, outputs), nn.BatchNorm2d(outputs), nn.MaxPool2d(3, 2, padding=1)]
        self.rep = nn.Sequential(*layers)

    def forward(self, x: Tensor) -> Tensor:
        """(b, inputs, h, w) -> (b, outputs, h / 2, w / 2), sides rounded up."""
        summed: Tensor = self.rep(x) + self.skipbn(self.skip(x))
        return summed


class XceptionBlock2(NormalisedPixels):
    """Xception up to its second block; it takes images of any height and width from 7 up.

    Attributes:
        output_dim: channels of the map; each of its places sees a patch of 43x43 pixels.
    """

    mean = (0.5, 0.5, 0.5)
    std = (0.5, 0.5, 0.5)
    output_dim = 256

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 32, 3, stride=2, bias=False)
        self.bn1 = nn.BatchNorm2d(32)
        self.conv2 = nn.Conv2d(32, 64, 3, bias=False)
        self.bn2 = nn.BatchNorm2d(64)
        self.block1 = _Block(64, 128, relu_first=False)
        self.block2 = _Block(128, self.output_dim, relu_first=True)

    @classmethod
    def from_state(cls, state: Mapping[str, Tensor]) -> XceptionBlock2:
        """A network with the given weights, in float32.

        Raises:
            RuntimeError: names or shapes are not those of such a network.
        """
        with torch.device("meta"):
            network = cls()
        counters = {
            name: torch.zeros((), dtype=torch.int64)
            for name in network.state_dict()
            if name.endswith("num_batches_tracked")
        }
        weights = {name: tensor.float() for name, tensor in state.items()}
        network.load_state_dict(weights | counters, strict=True, assign=True)
        network.place_statistics()
        return network.eval().requires_grad_(False)

    def read(self, crops: Tensor, features: Set[Feature]) -> dict[Feature, Tensor]:
        """uint8 RGB crops (b, 3, h, w) -> features of each patch, or their means; float32.

        ``StageMap(2)`` is (b, 256, rows, columns), ``embedding`` (b, 256).

        Raises:
            ValueError: another feature is asked for.
        """
        if not features <= {"embedding", StageMap(2)}:
            raise ValueError("this network has features of its patches and their means, and nothing else")
        x = self.normalised(crops).to(self.conv1.weight.dtype)
        x = functional.relu(self.bn1(self.conv1(x)))
        x = functional.relu(self.bn2(self.conv2(x)))
        x = self.block2(self.block1(x))
        found: dict[Feature, Tensor] = {"embedding": x.mean(dim=(2, 3)).float(), StageMap(2): x.float()}
        return {feature: found[feature] for feature in features}
