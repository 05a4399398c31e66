"""RINE: the CLS tokens of every block of a frozen CLIP encoder, through a small trained head.

Koutlis & Papadopoulos, ECCV 2024 (arXiv 2402.19091). The network is `sidscan.models.heads.rine.RineHead`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING

from sidscan.models.catalog import CatalogEntry
from sidscan.models.families import HeadFamily, TensorSize, register
from sidscan.models.families.clip import CLIP_PREPROCESS
from sidscan.models.origins import Metrics, Pin, Published
from sidscan.models.shapes import HeadShape
from sidscan.util.bibtex import Citation

if TYPE_CHECKING:
    from torch import Tensor

    from sidscan.models.backbones.base import Encoder
    from sidscan.models.heads.base import Head
    from sidscan.models.heads.rine import RineHead

_URL = "https://raw.githubusercontent.com/mever-team/rine/9b7fd5857cc205d0412be6aeee0d7611b95bd620/ckpt/"
_PROVENANCE = "github.com/mever-team/rine @ 9b7fd58; Koutlis & Papadopoulos, ECCV 2024, arXiv 2402.19091"
_WHAT = "RINE head"
_TWENTY = (
    "paper's mean over its 20 test sets, centre crop, accuracy at 0.5; the configuration was chosen by its "
    "results on these very sets"
)
_SYNTHBUSTER = (
    "mean over the 9 Synthbuster sets against RAISE, ten crops, accuracy at 0.5, from the authors' file "
    "of this configuration (xi 0.4, q 4, d' 1024, 5 epochs), the best of their 24 on these very sets"
)
RINE_PAPER = Citation(
    key="koutlis2024rine",
    kind="inproceedings",
    title="Leveraging Representations from Intermediate Encoder-blocks for Synthetic Image Detection",
    authors=("Koutlis, Christos", "Papadopoulos, Symeon"),
    year=2024,
    venue="Computer Vision - ECCV 2024",
    doi="10.1007/978-3-031-73220-1_23",
    arxiv="2402.19091",
)


def _published(
    suffix: str, summary: str, blob: str, q: int, proj_dim: int, xi: float, metrics: Metrics, epochs: int = 1
) -> CatalogEntry:
    """A head from the authors' repository; all of them read CLIP ViT-L/14."""
    shape = HeadShape(num_blocks=24, embed_dim=1024, proj_dim=proj_dim, num_proj_layers=q)
    return CatalogEntry(
        name=f"rine-{suffix}",
        kind="detector",
        summary=summary,
        licence="Apache-2.0",
        provenance=_PROVENANCE,
        origin=Published(
            url=f"{_URL}model_{suffix}_trainable.pth",
            pin=Pin("git-blob", blob),
            threshold=0.5,  # the paper's; the scores are not calibrated
            metrics=metrics,
        ),
        size=4 * head_parameters(shape),
        encoder="clip-vit-l14",
        preprocess=CLIP_PREPROCESS,
        shape=shape,
        xi=xi,
        epochs=epochs,
    )


def head_parameters(shape: HeadShape) -> int:
    """How many numbers a RINE head of this shape holds."""
    d, p, q = shape.embed_dim, shape.proj_dim, shape.num_proj_layers
    alpha, square = shape.num_blocks * p, p * p + p
    return alpha + (d * p + p) + (q - 1) * square + q * square + 2 * square + (p + 1)


@register
class RineFamily(HeadFamily):
    """RINE heads under their published names: ``alpha``, ``proj1.*``, ``proj2.*``, ``head.*``."""

    name = "rine"
    papers = (RINE_PAPER,)
    entries = (
        _published(
            "1class",
            "RINE trained on ProGAN horse",
            "802e8dce29925de10a8f4bfd96c4b627d0c0cdfe",
            q=4,
            proj_dim=1024,
            xi=0.1,
            metrics=Metrics(0.903, 0.986, _TWENTY),
        ),
        _published(
            "2class",
            "RINE trained on ProGAN chair, horse",
            "b8418b5884fd1fc1dba79bea91f41ab2341673d8",
            q=4,
            proj_dim=128,
            xi=0.2,
            metrics=Metrics(0.877, 0.987, _TWENTY),
        ),
        _published(
            "4class",
            "RINE trained on ProGAN car, cat, chair, horse",
            "bf5cd4053b5eaf64a0bd52cdb6bd0dbd9a8bc457",
            q=2,
            proj_dim=1024,
            xi=0.2,
            metrics=Metrics(0.915, 0.988, _TWENTY),
        ),
        _published(
            "ldm",
            "RINE trained on latent diffusion images",
            "6b225b2aeae4f52e99a7fb675d8bcb736aea4a2e",
            q=4,
            proj_dim=1024,
            xi=0.4,
            metrics=Metrics(0.8745, 0.9046, _SYNTHBUSTER),
            epochs=5,
        ),
    )

    def head_class(self) -> type[RineHead]:
        """Q1, the Trainable Importance Estimator, Q2, classifier."""
        from sidscan.models.heads.rine import RineHead

        return RineHead

    def fits(self, head: Head, encoder: Encoder) -> bool:
        """Whether it reads every block of the encoder."""
        return reads_every_block(head, encoder)

    def normalise(self, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """A head under its published names, nothing missing, nothing besides."""
        from sidscan.models.state_dicts import check_tensors

        check_tensors(tensors, head_sizes(self.shape(tensors)), _WHAT)
        return dict(tensors)

    def shape(self, tensors: Mapping[str, Tensor]) -> HeadShape:
        """As ``alpha`` and ``proj1.1.weight`` tell it.

        Raises:
            ModelError: one of the two is missing or not of the right rank.
        """
        return head_shape(tensors, _WHAT)


def reads_every_block(head: Head, encoder: Encoder) -> bool:
    """Whether a head reads as many blocks, and as wide ones, as the encoder has."""
    wanted = getattr(head, "num_blocks", None), getattr(head, "embed_dim", None)
    return wanted == (getattr(encoder, "num_blocks", None), getattr(encoder, "embed_dim", None))


def head_shape(tensors: Mapping[str, Tensor], what: str, prefix: str = "") -> HeadShape:
    """The shape of the RINE head whose tensors' names start with ``prefix``.

    Args:
        what: the kind of model, for messages.

    Raises:
        ModelError: a tensor that tells it is missing or not of the right rank.
    """
    from sidscan.models.state_dicts import size_of

    _, num_blocks, proj_dim = size_of(tensors, f"{prefix}alpha", 3, what)
    _, embed_dim = size_of(tensors, f"{prefix}proj1.1.weight", 2, what)
    layer = re.compile(rf"{re.escape(prefix)}proj1\.\d+\.weight")
    return HeadShape(num_blocks, embed_dim, proj_dim, sum(1 for name in tensors if layer.fullmatch(name)))


def head_sizes(shape: HeadShape) -> dict[str, TensorSize]:
    """The tensors of a RINE head of this shape, by their published names."""
    d, p = shape.embed_dim, shape.proj_dim
    sizes: dict[str, TensorSize] = {"alpha": (1, shape.num_blocks, p)}
    linear = {f"proj1.{1 + 3 * i}": (p, p if i else d) for i in range(shape.num_proj_layers)}
    linear |= {f"proj2.{1 + 3 * i}": (p, p) for i in range(shape.num_proj_layers)}
    linear |= {"head.0": (p, p), "head.3": (p, p), "head.6": (1, p)}
    for name, (outputs, inputs) in linear.items():
        sizes |= {f"{name}.weight": (outputs, inputs), f"{name}.bias": (outputs,)}
    return sizes
