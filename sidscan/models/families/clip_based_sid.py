"""ClipBased-SID: a linear probe that ten thousand images train (Cozzolino et al., CVPR Workshops 2024)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from sidscan.models.catalog import CatalogEntry, Preprocess
from sidscan.models.families import HeadFamily, register
from sidscan.models.families.clip import CLIP_MEAN, CLIP_STD
from sidscan.models.origins import Pin, Published
from sidscan.models.shapes import ProbeShape
from sidscan.records.views import ImageView
from sidscan.util.bibtex import Citation

if TYPE_CHECKING:
    from torch import Tensor

    from sidscan.models.backbones.base import Encoder
    from sidscan.models.heads.base import Head
    from sidscan.models.heads.linear_probe import PooledUnitProbe

_URL = (
    "https://media.githubusercontent.com/media/grip-unina/ClipBased-SyntheticImageDetection/"
    "c76ef7f5e158c5aba9e55b8b94ab0079720d281e/weights/"
)
_WHAT = "probe of ClipBased-SID"
_PAPER = Citation(
    key="cozzolino2024clipdet",
    kind="inproceedings",
    title="Raising the Bar of AI-generated Image Detection with CLIP",
    authors=(
        *("Cozzolino, Davide", "Poggi, Giovanni", "Corvi, Riccardo", "Nießner, Matthias"),
        "Verdoliva, Luisa",
    ),
    year=2024,
    venue="Proceedings of the IEEE/CVF Conference on Computer Vision and Pattern Recognition Workshops",
    arxiv="2312.00195",
)


def _entry(name: str, folder: str, trained_on: str, sha256: str, size: int) -> CatalogEntry:
    """One of the two probes.

    Args:
        folder: of the repository's weights.
        sha256: as the repository states it (Git LFS).
    """
    return CatalogEntry(
        name=name,
        kind="detector",
        summary=f"ClipBased-SID's linear probe, trained on {trained_on}",
        licence="Apache-2.0",
        provenance="github.com/grip-unina/ClipBased-SyntheticImageDetection @ c76ef7f; Cozzolino et al., "
        "CVPR Workshops 2024, arXiv 2312.00195",
        origin=Published(url=f"{_URL}{folder}/weights.pth", pin=Pin("sha256", sha256), threshold=0.5),
        size=size,
        encoder="clip-vit-l14-commonpool",
        preprocess=Preprocess(
            crop=224,
            mean=CLIP_MEAN,
            std=CLIP_STD,
            about="the shorter side resized to 224, bicubic, then the centre crop, as published; CLIP "
            "mean/std",
            view=ImageView(resize=224, filter="bicubic", crop=224),
        ),
        shape=ProbeShape(1024),
    )


@register
class ClipBasedFamily(HeadFamily):
    """Published as ``fc.weight`` (1, d) and ``fc.bias`` (1,), plain or under ``model``."""

    name = "clip_based_sid"
    papers = (_PAPER,)
    fp16_safe = False  # its encoder was published in fp32, and nobody measured it in half precision
    entries = (
        _entry(
            "clipdet",
            "clipdet_latent10k",
            "10,000 real and 10,000 latent diffusion images",
            "04b022c6990709acb132337d7e432fc57090cec9db3869577111b031d40c19f9",
            5_227,
        ),
        _entry(
            "clipdet-plus",
            "clipdet_latent10k_plus",
            "the same images: the variant that its authors' program uses",
            "1c9c9f48a47d975bde67e9924983aa4e4ccda96a15e7e983b6305f0c56d9ee18",
            5_155,
        ),
    )

    def head_class(self) -> type[PooledUnitProbe]:
        """One linear layer on the direction of what CLIP projects into its embedding."""
        from sidscan.models.heads.linear_probe import PooledUnitProbe

        return PooledUnitProbe

    def fits(self, head: Head, encoder: Encoder) -> bool:
        """Whether the encoder's tokens are as wide as the probe."""
        return getattr(head, "in_features", None) == getattr(encoder, "embed_dim", None)

    def normalise(self, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Published names -> ``weight`` and ``bias``, nothing missing, nothing besides."""
        from sidscan.models.state_dicts import check_tensors, size_of

        bare = {name.removeprefix("module."): tensor for name, tensor in tensors.items()}
        _, width = size_of(bare, "fc.weight", 2, _WHAT)
        check_tensors(bare, {"fc.weight": (1, width), "fc.bias": (1,)}, _WHAT)
        return {name.removeprefix("fc."): tensor for name, tensor in bare.items()}

    def shape(self, tensors: Mapping[str, Tensor]) -> ProbeShape:
        """As ``weight`` tells it."""
        return ProbeShape(tensors["weight"].shape[1])
