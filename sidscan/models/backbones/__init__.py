"""Frozen encoders: uint8 crops (b, 3, 224, 224) -> the features that heads and decoders ask for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias


@dataclass(frozen=True, slots=True)
class PatchTokens:
    """The residual stream of a vision transformer after a block, without normalisation.

    (b, d, g, g), laid out as the patches lie, without the class token; with it, tokens (b, 1 + g * g, d), the
    class token first.

    Args:
        block: from 0.
    """

    block: int
    with_class_token: bool = False


@dataclass(frozen=True, slots=True)
class StageMap:
    """The output of a residual network's stage, (b, c, g, g).

    Args:
        stage: from 1, as its layers are called.
    """

    stage: int


Feature: TypeAlias = (
    Literal["blocks", "depths", "embedding", "pooled", "maps", "levels", "gradient"] | PatchTokens | StageMap
)
"""What is read of an encoder.

``blocks``      (b, n, d), one feature vector per block
``depths``      (b, sum of the widths): the same, joined, of an encoder whose blocks differ in width
``embedding``   (b, e), the encoder's own image embedding
``pooled``      (b, d), what a vision transformer projects into that embedding
``maps``        (b, n, d, g, g), the features of every block's patches, laid out as the patches lie
``levels``      (b, sum of c * g * g): maps of several widths or sides, each flattened, joined
``gradient``    (b, 3, h, w), of the network's output by the pixels of the image
`PatchTokens`   what one block of a transformer passes on
`StageMap`      what one stage of a residual network passes on
"""

MAPS: tuple[Feature, ...] = ("maps", "levels")
"""Maps of every depth: 25 MB a crop, of ViT-L/14."""
MAPS_AT_ONCE = 16
"""Crops whose maps of every depth are in memory together."""
