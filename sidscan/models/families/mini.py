"""The detector that needs nothing else: fixed filters at several depths under RINE's head, in one file.

The networks are `sidscan.models.backbones.mini.MiniEncoder` and `sidscan.models.heads.rine.RineHead`;
training/mini fits them; sidscan/weights/mini.md is the model card.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from sidscan.errors import ModelError
from sidscan.models.catalog import CatalogEntry, Preprocess
from sidscan.models.families import DetectorFamily, register
from sidscan.models.families.rine import RINE_PAPER
from sidscan.models.origins import Bundled

if TYPE_CHECKING:
    from torch import Tensor

    from sidscan.models.backbones.base import Encoder
    from sidscan.models.backbones.mini import MiniEncoder
    from sidscan.models.heads.rine import RineHead

_PREPROCESS = Preprocess(
    crop=224,
    mean=(0.0, 0.0, 0.0),
    std=(1 / 255, 1 / 255, 1 / 255),
    about="ten crops of 224x224 original pixels; no resizing; grey levels 0..255 as they are",
)


@register
class MiniFamily(DetectorFamily):
    """Encoder and head side by side: ``encoder.*`` and ``head.*``."""

    name = "mini"
    papers = (RINE_PAPER,)
    fp16_safe = False  # it measures fine differences of pixels
    entries = (
        CatalogEntry(
            name="mini",
            kind="detector",
            summary="bundled; needs no encoder, works at once on any CPU, finds less; read its card",
            licence="Apache-2.0",
            provenance="trained by this project (training/); see sidscan/weights/mini.json",
            origin=Bundled(file="mini.safetensors", card="mini.json", graph="mini.onnx"),
            size=9_000_000,
            preprocess=_PREPROCESS,
        ),
    )

    def networks(
        self,
        tensors: Mapping[str, Tensor],
        encoder: Encoder | None = None,  # noqa: ARG002  (it brings its own)
    ) -> tuple[MiniEncoder, RineHead]:
        """The two networks from the tensors of one file."""
        try:
            return mini_networks(tensors)
        except (LookupError, TypeError, ValueError, RuntimeError) as error:
            raise ModelError(
                "this file holds no detector like this version's bundled one",
                "Weights of another version are read by the release of sidscan that they came with.",
            ) from error


def mini_networks(tensors: Mapping[str, Tensor]) -> tuple[MiniEncoder, RineHead]:
    """Encoder and head, ready to score.

    Raises:
        KeyError, ValueError, RuntimeError: names or shapes are not those of this version.
    """
    from sidscan.models.backbones.mini import MiniEncoder
    from sidscan.models.heads.base import with_weights
    from sidscan.models.heads.rine import RineHead

    head = with_weights(RineHead, _below(tensors, "head."))
    assert isinstance(head, RineHead)
    encoder = MiniEncoder(head.embed_dim)
    encoder.load_state_dict(_below(tensors, "encoder."), strict=True)
    return encoder.eval().requires_grad_(False), head


def _below(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}
