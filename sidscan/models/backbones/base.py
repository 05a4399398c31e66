"""What every encoder is."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Set
from typing import ClassVar

from torch import Tensor, nn

from sidscan.models.backbones import Feature


class Encoder(nn.Module, ABC):
    """One pass over the crops, for all heads together.

    Attributes:
        mirror_invariant: whether a crop's mirror image has the same features, so that it need not be read.
    """

    mirror_invariant: ClassVar[bool] = False

    @abstractmethod
    def read(self, crops: Tensor, features: Set[Feature]) -> dict[Feature, Tensor]:
        """uint8 RGB crops (b, 3, h, w) -> the features asked for, float32, and nothing computed besides."""

    def width_of(self, feature: Feature) -> int | None:  # noqa: ARG002
        """Channels of a feature that has places in the image; None where the encoder has no such feature."""
        return None
