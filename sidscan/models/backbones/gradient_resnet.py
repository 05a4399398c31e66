"""A ResNet-50 on pictures of gradients (LGrad: Tan et al., CVPR 2023)."""

from __future__ import annotations

from collections.abc import Set

import torch
from torch import Tensor

from sidscan.models.backbones import Feature
from sidscan.models.backbones.base import Encoder
from sidscan.models.backbones.imagenet_resnet import ImageNetResNet
from sidscan.models.backbones.stylegan import StyleGanDiscriminator


class GradientResNet(Encoder):
    """The gradient of a discriminator becomes a picture, and a residual network reads that.

    Args:
        discriminator: gives the gradient.
        classifier: reads the picture, up to its pooled features.
    """

    def __init__(self, discriminator: StyleGanDiscriminator, classifier: ImageNetResNet) -> None:
        super().__init__()
        self.discriminator = discriminator
        self.classifier = classifier

    def read(self, crops: Tensor, features: Set[Feature]) -> dict[Feature, Tensor]:
        """uint8 RGB images (b, 3, 256, 256) -> ``embedding`` (b, f), float32, of their gradients' pictures.

        Raises:
            ValueError: another feature is asked for.
        """
        if features != {"embedding"}:
            raise ValueError("this network has its pooled features and nothing else")
        gradient = self.discriminator.read(crops, {"gradient"})["gradient"]
        return self.classifier.read(gradient_pictures(gradient), features)


def gradient_pictures(gradient: Tensor) -> Tensor:
    """Gradients (b, 3, h, w), float32 -> uint8 pictures of the same shape, as LGrad's authors save them.

    In each, the least value of all channels becomes 0 and the greatest 255; halves are rounded to even, as
    OpenCV rounds what it saves. A gradient without differences becomes black.
    """
    above = gradient - gradient.amin(dim=(1, 2, 3), keepdim=True)
    greatest = above.amax(dim=(1, 2, 3), keepdim=True)
    scaled = above / torch.where(greatest == 0, 1, greatest) * 255
    return scaled.round().to(torch.uint8)
