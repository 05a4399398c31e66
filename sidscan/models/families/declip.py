"""DeCLIP: CLIP's patch features decoded into maps of manipulated regions (WACV 2025, arXiv 2409.08849)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from sidscan.errors import ModelError
from sidscan.models.catalog import DeclipShape, TileSpec
from sidscan.models.families import LocalizerFamily, register

if TYPE_CHECKING:
    from sidscan.models.heads.decoder import Decoder

VIT, RESNET, BOTH = "CLIP:ViT-L/14", "CLIP:RN50", "CLIP:ViT-L/14,RN50"
ARCHS = (VIT, RESNET, BOTH)
DECODERS = ("linear", "attention", "conv-4", "conv-12", "conv-20")


@register
class DeclipFamily(LocalizerFamily):
    """Decoders under the published names: ``fc.*``; ``att1.*`` and ``att2.*`` of the attention decoder."""

    name = "declip"
    # Trained on images of 256 px, resized to 224: a tile of 256 native pixels is seen at the same scale.
    tile = TileSpec(side=256, read=224, stride=128)

    def untrained(self, config: Mapping[str, Any]) -> Decoder:
        """The decoder of a `DeclipShape`, whose fields ``config`` has."""
        from sidscan.models.heads.declip import make_decoder

        shape = shape_of(config)
        return make_decoder(shape.decoder, shape.arch, shape.layer, shape.channels)


def shape_of(config: Mapping[str, Any]) -> DeclipShape:
    """The shape that ``config`` describes.

    Raises:
        ModelError: a field is missing, or there is no such decoder.
    """
    try:
        shape = DeclipShape(**config)
    except TypeError as error:
        raise ModelError(f"this does not describe a decoder of DeCLIP: {error}") from error
    numbers = (shape.layer, shape.channels)
    if not all(type(number) is int for number in numbers) or shape.channels < 1:
        raise ModelError("this does not describe a decoder of DeCLIP: layer and channels are whole numbers")
    if shape.arch not in ARCHS or shape.decoder not in DECODERS:
        raise ModelError(
            f"DeCLIP has no {shape.decoder} decoder on {shape.arch}",
            f"Known are {', '.join(DECODERS)} on {'; '.join(ARCHS)}.",
        )
    if shape.arch != VIT and not shape.decoder.startswith("conv-"):
        raise ModelError(f"DeCLIP's {shape.decoder} decoder reads {VIT} alone, not {shape.arch}")
    first, last = (1, 4) if shape.arch == RESNET else (0, 23)
    if not first <= shape.layer <= last:
        raise ModelError(f"{shape.arch} has no layer{shape.layer}: it has layer{first} to layer{last}")
    return shape
