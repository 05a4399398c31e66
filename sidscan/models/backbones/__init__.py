"""Frozen encoders: uint8 crops (b, 3, 224, 224) -> the readings that heads ask for."""

from __future__ import annotations

from collections.abc import Set
from typing import TYPE_CHECKING, Literal, Protocol

if TYPE_CHECKING:
    from torch import Tensor

Feature = Literal["blocks", "embedding", "maps"]
"""What a head reads of an encoder.

``blocks``     (b, n, d), one feature vector per block
``embedding``  (b, e), the encoder's own picture embedding
``maps``       (b, n, d, g, g), the features of every block's patches, laid out as the patches lie
"""


class Encoder(Protocol):
    """One pass over the crops, for all heads together."""

    @property
    def mirror_invariant(self) -> bool:
        """Whether a crop's mirror image has the same readings, so that it need not be read."""
        ...

    def read(self, crops: Tensor, readings: Set[Feature]) -> dict[Feature, Tensor]:
        """uint8 RGB crops (b, 3, h, w) -> float32 readings, and nothing computed besides them."""
        ...
