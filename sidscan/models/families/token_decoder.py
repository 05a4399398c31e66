"""Decoders of ours: patch tokens of several blocks of CLIP, decoded into a map of synthetic content.

The network is `sidscan.models.heads.token_decoder.TokenDecoder`; training/localizer_b16 fits it;
sidscan/weights/localizer_b16.md is the model card.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from sidscan.errors import ModelError
from sidscan.models.catalog import CatalogEntry, TileSpec
from sidscan.models.families import LocalizerFamily, register
from sidscan.models.origins import Bundled

if TYPE_CHECKING:
    from sidscan.models.heads.decoder import Decoder


@register
class TokenDecoderFamily(LocalizerFamily):
    """``mean``, ``scale``; ``project``, ``mix``, ``upper`` and ``out``, each ``.weight`` and ``.bias``."""

    name = "token_decoder"
    # Fitted on tiles of the encoder's own size: nothing is resized.
    tile = TileSpec(side=224, read=224, stride=112)
    entries = (
        CatalogEntry(
            name="localizer-b16",
            kind="localizer",
            summary="bundled localizer on CLIP ViT-B/16: maps of synthetic regions; read its card",
            licence="Apache-2.0",
            provenance="trained by this project (training/localizer_b16); see its card",
            origin=Bundled(
                file="localizer_b16.safetensors",
                card="localizer_b16.json",
                graph="localizer_b16.onnx",
                scores=False,
            ),
            size=1_100_000,
            encoder="clip-vit-b16",
        ),
    )

    def untrained(self, config: Mapping[str, Any]) -> Decoder:
        """The decoder of ``blocks``, ``embed_dim`` and ``width``."""
        from sidscan.models.heads.token_decoder import TokenDecoder

        blocks, numbers = config.get("blocks"), (config.get("embed_dim"), config.get("width"))
        if set(config) != {"blocks", "embed_dim", "width"} or not isinstance(blocks, list):
            raise ModelError(f"this does not describe a {self.name}: it has blocks, embed_dim and width")
        if not blocks or any(type(n) is not int or n < 0 for n in (*blocks, *numbers)) or 0 in numbers:
            raise ModelError(f"this does not describe a {self.name}: its numbers are whole, and not negative")
        return TokenDecoder(**config)
