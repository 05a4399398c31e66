"""UFD: a linear probe on CLIP's image embedding, the baseline of RINE's paper (Ojha et al., CVPR 2023)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from sidscan.models.catalog import CatalogEntry
from sidscan.models.families import HeadFamily, register
from sidscan.models.families.clip import CLIP_PREPROCESS
from sidscan.models.origins import Metrics, Pin, Published
from sidscan.models.shapes import ProbeShape
from sidscan.util.bibtex import Citation

if TYPE_CHECKING:
    from torch import Tensor

    from sidscan.models.backbones.base import Encoder
    from sidscan.models.heads.base import Head
    from sidscan.models.heads.linear_probe import LinearProbe

_URL = (
    "https://raw.githubusercontent.com/WisconsinAIVision/UniversalFakeDetect/"
    "76a0e3e60a8a06458707a625d269ba815a2e5919/pretrained_weights/"
)
_WHAT = "linear probe"
UFD_PAPER = Citation(
    key="ojha2023ufd",
    kind="inproceedings",
    title="Towards Universal Fake Image Detectors That Generalize Across Generative Models",
    authors=("Ojha, Utkarsh", "Li, Yuheng", "Lee, Yong Jae"),
    year=2023,
    venue="Proceedings of the IEEE/CVF Conference on Computer Vision and Pattern Recognition (CVPR)",
    pages="24480-24489",
    arxiv="2302.10174",
)


@register
class LinearProbeFamily(HeadFamily):
    """Linear probes under UFD's names: ``weight`` (1, e) and ``bias`` (1,)."""

    name = "linear"
    papers = (UFD_PAPER,)
    entries = (
        CatalogEntry(
            name="ufd",
            kind="detector",
            summary="UniversalFakeDetect's linear probe, the baseline of RINE's paper",
            licence="MIT",
            provenance="github.com/WisconsinAIVision/UniversalFakeDetect @ 76a0e3e; Ojha et al., CVPR 2023, "
            "arXiv 2302.10174",
            origin=Published(
                url=f"{_URL}fc_weights.pth",
                pin=Pin("git-blob", "2a8efc8e238bf5a491e4fd5999655ed5eb3bbb72"),
                threshold=0.5,
                metrics=Metrics(
                    0.809, 0.943, "RINE paper's mean over its 20 test sets, centre crop, accuracy at 0.5"
                ),
            ),
            size=4_083,
            encoder="clip-vit-l14",
            preprocess=CLIP_PREPROCESS,
            shape=ProbeShape(embed_dim=768),
        ),
    )

    def head_class(self) -> type[LinearProbe]:
        """One linear layer."""
        from sidscan.models.heads.linear_probe import LinearProbe

        return LinearProbe

    def fits(self, head: Head, encoder: Encoder) -> bool:
        """Whether the encoder's image embedding is as wide as the probe."""
        return getattr(head, "in_features", None) == getattr(encoder, "output_dim", None)

    def normalise(self, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """A probe under its published names, nothing missing, nothing besides."""
        from sidscan.models.state_dicts import check_tensors

        embed_dim = self.shape(tensors).embed_dim
        check_tensors(tensors, {"weight": (1, embed_dim), "bias": (1,)}, _WHAT)
        return dict(tensors)

    def shape(self, tensors: Mapping[str, Tensor]) -> ProbeShape:
        """As ``weight`` tells it.

        Raises:
            ModelError: it is missing or not of rank 2.
        """
        from sidscan.models.state_dicts import size_of

        _, embed_dim = size_of(tensors, "weight", 2, _WHAT)
        return ProbeShape(embed_dim)
