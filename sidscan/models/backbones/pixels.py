"""Pixels as encoders with a mean and a standard deviation take them."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from sidscan.models.backbones.base import Encoder

if TYPE_CHECKING:
    from typing_extensions import Self


class NormalisedPixels(Encoder):
    """An encoder of pixels that are scaled to 0..1 and normalised.

    Mean and standard deviation lie on the weights' device, since a CUDA graph can't record a copy. They are
    not buffers, so they stay exact when the encoder is cast to half precision.

    Attributes:
        mean, std: R G B, of pixels scaled to 0..1.
    """

    mean: tuple[float, float, float]
    std: tuple[float, float, float]

    @property
    def description(self) -> dict[str, object]:
        """Mean and standard deviation, too."""
        return {**super().description, "mean": list(self.mean), "std": list(self.std)}

    def place_statistics(self) -> None:
        """Copy mean and standard deviation to the weights' device; called once the weights are there."""
        device = next(self.parameters()).device
        self._mean, self._std = (
            torch.tensor(values, device=device).view(3, 1, 1) for values in (self.mean, self.std)
        )

    def normalised(self, crops: Tensor) -> Tensor:
        """uint8 RGB crops (b, 3, h, w) -> what the first layer takes, float32."""
        return (crops.float() / 255 - self._mean) / self._std

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Self:
        """What moves or casts a module."""
        super()._apply(fn, recurse)  # type: ignore[no-untyped-call]
        self.place_statistics()
        return self
