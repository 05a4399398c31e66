"""StyleGAN's discriminator, and the gradient of its output (Karras et al., CVPR 2019, arXiv 1812.04948)."""

from __future__ import annotations

import math
from collections.abc import Mapping, Set
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from sidscan.models.backbones import Feature
from sidscan.models.backbones.pixels import NormalisedPixels
from sidscan.models.shapes import DiscriminatorShape

_SLOPE = 0.2  # of negative values, after every layer but the last
_LONE_DEVIATION = 1e-8**0.5
"""What an image alone has as standard deviation of its batch: the root of the published epsilon."""


class _Blur(nn.Module):
    """A small kernel for every channel, which the published file holds."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.register_buffer("kernel", torch.empty(channels, 1, 3, 3))

    def forward(self, x: Tensor) -> Tensor:
        """(b, channels, h, w) -> the same shape."""
        return functional.conv2d(x, cast(Tensor, self.kernel), padding=1, groups=x.shape[1])


class _Layer(nn.Module):
    """Weights that are scaled when they are used ("equalised learning rate", Karras et al., ICLR 2018).

    Args:
        size: of the weights: outputs, inputs and, for a convolution, the sides of its kernel.
        gain: 2 before a rectifier, 1 for the last layer.
    """

    def __init__(self, size: tuple[int, ...], gain: float = 2.0) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(size))
        self.bias = nn.Parameter(torch.empty(size[0]))
        self.scale = math.sqrt(gain / math.prod(size[1:]))

    def scaled(self) -> Tensor:
        """The weights as they are used."""
        return self.weight * self.scale


class _Convolution(_Layer):
    """A convolution that keeps the sides."""

    def forward(self, x: Tensor) -> Tensor:
        """(b, inputs, h, w) -> (b, outputs, h, w)."""
        x = functional.conv2d(x, self.scaled(), self.bias, padding=self.weight.shape[-1] // 2)
        return functional.leaky_relu(x, _SLOPE)


class _Halving(_Layer):
    """A blur, a convolution, and the means of 2x2 values.

    Args:
        joined: whether the kernel is averaged instead, which gives the same means but for rounding.
    """

    def __init__(self, size: tuple[int, ...], joined: bool) -> None:
        super().__init__(size)
        self.blur = _Blur(size[1])
        self.joined = joined

    def forward(self, x: Tensor) -> Tensor:
        """(b, inputs, h, w) -> (b, outputs, h / 2, w / 2)."""
        x = self.blur(x)
        if self.joined:
            kernel = functional.avg_pool2d(functional.pad(self.scaled(), (1, 1, 1, 1)), 2, stride=1)
            x = functional.conv2d(x, kernel, self.bias, stride=2, padding=1)
        else:
            x = functional.avg_pool2d(functional.conv2d(x, self.scaled(), self.bias, padding=1), 2)
        return functional.leaky_relu(x, _SLOPE)


class _Dense(_Layer):
    """A layer on all values together."""

    def forward(self, x: Tensor) -> Tensor:
        """(b, ...) -> (b, outputs)."""
        return functional.linear(x.flatten(1), self.scaled(), self.bias)


class StyleGanDiscriminator(NormalisedPixels):
    """The discriminator at full resolution (``lod`` 0): it reads images of 256x256 pixels.

    Its layer of standard deviations compares the images of a batch. An image alone has the same constant
    there, whatever it shows, and every image is alone here, so that its gradient depends on it only.
    """

    mean = (0.5, 0.5, 0.5)
    std = (0.5, 0.5, 0.5)

    def __init__(self, shape: DiscriminatorShape) -> None:
        super().__init__()
        sides = shape.sides
        self.input0 = _Convolution((shape.width(sides[0]), 3, 1, 1))
        self.layers = nn.ModuleDict()
        for number, side in enumerate(sides[:-1]):
            width, next_width = shape.width(side), shape.width(side // 2)
            self.layers[f"layer{2 * number}"] = _Convolution((width, width, 3, 3))
            joined = side >= shape.joined_from
            self.layers[f"layer{2 * number + 1}"] = _Halving((next_width, width, 3, 3), joined)
        self.last = _Convolution((shape.last, shape.last + 1, 3, 3))
        self.dense = _Dense((shape.last, shape.last * sides[-1] ** 2))
        self.output = _Dense((1, shape.last), gain=1.0)

    @classmethod
    def from_state(cls, state: Mapping[str, Tensor], shape: DiscriminatorShape) -> StyleGanDiscriminator:
        """A network with the given weights, in float32.

        Args:
            state: under the published names; those that only progressive growing needs are left out.

        Raises:
            RuntimeError: names or shapes are not those of such a network.
        """
        with torch.device("meta"):
            network = cls(shape)
        count = 2 * len(shape.sides)
        ours = {f"layer{count - 2}": "last", f"layer{count - 1}": "dense", f"layer{count}": "output"}
        weights = {}
        for name, tensor in state.items():
            layer, _, rest = name.partition(".")
            if layer == "input0" or layer.startswith("layer"):
                place = layer if layer == "input0" else ours.get(layer, f"layers.{layer}")
                weights[f"{place}.{rest}"] = tensor.float()
        network.load_state_dict(weights, strict=True, assign=True)
        network.place_statistics()
        return network.eval().requires_grad_(False)

    def forward(self, pixels: Tensor) -> Tensor:
        """Normalised pixels (b, 3, 256, 256) -> (b, 1); an image that looks real has a high one."""
        x = self.input0(pixels)
        for layer in self.layers.values():
            x = layer(x)
        deviation = x.new_full((len(x), 1, *x.shape[2:]), _LONE_DEVIATION)
        x = self.last(torch.cat([x, deviation], dim=1))
        value: Tensor = self.output(functional.leaky_relu(self.dense(x), _SLOPE))
        return value

    def read(self, crops: Tensor, features: Set[Feature]) -> dict[Feature, Tensor]:
        """uint8 RGB images (b, 3, 256, 256) -> ``gradient`` (b, 3, 256, 256), float32.

        One image at a time: gradients take much memory, and must not depend on the batch in their last digit,
        since they are rounded afterwards.

        Raises:
            ValueError: another feature is asked for.
        """
        if features != {"gradient"}:
            raise ValueError("a discriminator has its gradient and nothing else")
        return {"gradient": torch.cat([self._gradient(image[None]) for image in crops])}

    def _gradient(self, image: Tensor) -> Tensor:
        """Of one image (1, 3, 256, 256); scans compute in inference mode, which records no operations."""
        with torch.inference_mode(False), torch.enable_grad():
            pixels = self.normalised(image).to(self.input0.weight.dtype).requires_grad_()
            (gradient,) = torch.autograd.grad(self(pixels).sum(), pixels)
        return gradient.float()
