"""Heads of ours in RINE's form: RINE heads and a linear probe, their logits averaged.

The network is `sidscan.models.heads.rine_ensemble.RineEnsemble`; training/rine_b16 fits it;
sidscan/weights/rine_b16.md is the model card.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from sidscan.errors import ModelError
from sidscan.models.catalog import CatalogEntry
from sidscan.models.families import HeadFamily, TensorSize, register
from sidscan.models.families.clip import CLIP_PREPROCESS
from sidscan.models.families.rine import RINE_PAPER, head_shape, head_sizes, reads_every_block
from sidscan.models.origins import Bundled
from sidscan.models.shapes import HeadShape

if TYPE_CHECKING:
    from torch import Tensor

    from sidscan.models.backbones.base import Encoder
    from sidscan.models.heads.base import Head
    from sidscan.models.heads.rine_ensemble import RineEnsemble

_WHAT = "RINE ensemble"


@register
class RineEnsembleFamily(HeadFamily):
    """``mean``, ``scale``, ``probe``, ``weights``, ``bias``, and ``heads.{i}.*`` as in `RineFamily`.

    A `HeadShape` is that of each head; the file says how many there are. ``cautions.{kind}.weight`` and
    ``.bias`` may be there (`sidscan.models.cautions`).
    """

    name = "rine_ensemble"
    papers = (RINE_PAPER,)
    entries = (
        CatalogEntry(
            name="rine-b16",
            kind="detector",
            summary="bundled head on CLIP ViT-B/16, the default where that is installed; read its card",
            licence="Apache-2.0",
            provenance="trained by this project (training/rine_b16); see sidscan/weights/rine_b16.json",
            origin=Bundled(file="rine_b16.safetensors", card="rine_b16.json", graph="rine_b16.onnx"),
            size=1_700_000,
            encoder="clip-vit-b16",
            preprocess=CLIP_PREPROCESS,
            shape=HeadShape(num_blocks=12, embed_dim=768, proj_dim=256, num_proj_layers=1),
        ),
    )

    def head_class(self) -> type[RineEnsemble]:
        """Standardisation, RINE heads and probe, weighted sum of their logits."""
        from sidscan.models.heads.rine_ensemble import RineEnsemble

        return RineEnsemble

    def fits(self, head: Head, encoder: Encoder) -> bool:
        """Whether it reads every block of the encoder."""
        return reads_every_block(head, encoder)

    def normalise(self, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """An ensemble under the names of its network, nothing missing, nothing besides."""
        from sidscan.models.state_dicts import ANOTHER_FILE, check_tensors

        check_tensors(tensors, _sizes(self.shape(tensors), tensors), _WHAT)
        if not bool((tensors["scale"] > 0).all()):
            raise ModelError(f"these weights are not a {_WHAT}: scale is not positive", ANOTHER_FILE)
        return dict(tensors)

    def shape(self, tensors: Mapping[str, Tensor]) -> HeadShape:
        """Of the first head, which all are like.

        Raises:
            ModelError: a tensor that tells it is missing or not of the right rank.
        """
        return head_shape(tensors, _WHAT, "heads.0.")


def caution_kinds(names: Iterable[str]) -> list[str]:
    """The kinds whose probes are among the tensors of these names."""
    return sorted({name.split(".")[1] for name in names if name.startswith("cautions.")})


def _count_heads(names: Iterable[str]) -> int:
    return len({name.split(".")[1] for name in names if name.startswith("heads.")})


def _sizes(shape: HeadShape, names: Iterable[str]) -> dict[str, TensorSize]:
    """What the tensors must be, of as many heads and kinds of caution as the names tell."""
    heads, features = _count_heads(names), (shape.num_blocks, shape.embed_dim)
    sizes: dict[str, TensorSize] = {"mean": features, "scale": features, "probe": features}
    sizes |= {"weights": (1 + heads,), "bias": ()}
    for number in range(heads):
        sizes |= {f"heads.{number}.{name}": size for name, size in head_sizes(shape).items()}
    for kind in caution_kinds(names):
        sizes |= {f"cautions.{kind}.weight": features, f"cautions.{kind}.bias": ()}
    return sizes
