"""What every encoder is."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Set
from typing import ClassVar

from torch import Tensor, nn

from sidscan.config import SIDE
from sidscan.models.backbones import Feature


class Encoder(nn.Module, ABC):
    """One pass over the crops, for all heads together.

    Attributes:
        mirror_invariant: whether a crop's mirror image has the same features, so that it need not be read.
        fp16_safe: whether features keep their meaning in half precision.
        depths: widths of the features that it has of each depth, from the first block to the last; where all
            are alike, ``blocks`` is read of it, else ``depths``. Empty where it has none.
        levels: channels and side of its maps, likewise of ``maps`` or ``levels``.
    """

    mirror_invariant: ClassVar[bool] = False
    fp16_safe: ClassVar[bool] = True
    depths: tuple[int, ...] = ()
    levels: tuple[tuple[int, int], ...] = ()

    @abstractmethod
    def read(self, crops: Tensor, features: Set[Feature]) -> dict[Feature, Tensor]:
        """uint8 RGB crops (b, 3, h, w) -> the features asked for, float32, and nothing computed besides."""

    @property
    def description(self) -> dict[str, object]:
        """What features depend on besides the weights, as checkpoints state it."""
        return {"crop": SIDE, "depths": list(self.depths)}

    def width_of(self, feature: Feature) -> int | None:  # noqa: ARG002
        """Channels of a feature that has places in the image; None where the encoder has no such feature."""
        return None
