"""CLIP's image encoders as open_clip trained them: the architecture of OpenAI's, but for the exact GELU."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from sidscan.models.catalog import CatalogEntry
from sidscan.models.families import register
from sidscan.models.families.clip import (
    CLIP_PAPER,
    CLIP_PREPROCESS,
    ClipEncoderFamily,
    clip_network,
    clip_shape,
    encoder_sizes,
)
from sidscan.models.origins import Unpinned
from sidscan.models.shapes import EncoderShape
from sidscan.util.bibtex import Citation

if TYPE_CHECKING:
    from torch import Tensor

    from sidscan.models.backbones.clip import ClipEncoder
_PAPER = Citation(
    key="gadre2023datacomp",
    kind="inproceedings",
    title="DataComp: In search of the next generation of multimodal datasets",
    authors=(
        *("Gadre, Samir Yitzhak", "Ilharco, Gabriel", "Fang, Alex", "Hayase, Jonathan"),
        *("Smyrnis, Georgios", "Nguyen, Thao", "Marten, Ryan", "Wortsman, Mitchell"),
    ),
    others=True,
    year=2023,
    venue="Advances in Neural Information Processing Systems",
    volume="36",
    arxiv="2304.14108",
)


@register
class ClipGeluFamily(ClipEncoderFamily):
    """OpenAI's layouts. Weights don't tell their activation function, so the name of the model does."""

    name = "clip_gelu"
    papers = (CLIP_PAPER, _PAPER)
    entries = (
        CatalogEntry(
            name="clip-vit-l14-commonpool",
            kind="encoder",
            summary="open_clip's ViT-L/14 trained on CommonPool XL, which ClipBased-SID's probes read",
            licence="MIT",
            provenance="huggingface.co/laion/CLIP-ViT-L-14-CommonPool.XL-s13B-b90K; Gadre et al., "
            "NeurIPS 2023, arXiv 2304.14108",
            origin=Unpinned(
                url="https://huggingface.co/laion/CLIP-ViT-L-14-CommonPool.XL-s13B-b90K/resolve/main/"
                "open_clip_pytorch_model.bin",
                download_size=1_710_000_000,
                file="clip-vit-l14-commonpool.safetensors",
            ),
            size=1_216_000_000,
            preprocess=CLIP_PREPROCESS,
            shape=EncoderShape(24, 1024, 14, 257, 768),
        ),
    )

    def normalise(self, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """As of OpenAI's encoders; or the file that sidscan made of one."""
        from sidscan.models.state_dicts import check_tensors

        if "class_embedding" not in tensors:
            return super().normalise(tensors)
        check_tensors(tensors, encoder_sizes(clip_shape(tensors)), "CLIP image encoder")
        return dict(tensors)

    def network(self, tensors: Mapping[str, Tensor]) -> ClipEncoder:
        """A vision transformer with the exact GELU."""
        return clip_network(tensors, exact_gelu=True)
