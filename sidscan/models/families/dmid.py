"""DMID: a ResNet-50 that keeps the image's resolution at first (Corvi et al., ICASSP 2023, arXiv 2211.00680).

Gragnaniello et al. (ICME 2021) propose the network: neither the first convolution nor the pooling after it
leaves out pixels, so that traces of one pixel survive.
"""

from __future__ import annotations

from sidscan.models.catalog import CatalogEntry, Preprocess
from sidscan.models.families import register
from sidscan.models.families.cnndet import RESNET50_BYTES, RESNET50_SAVED_BYTES
from sidscan.models.origins import Metrics, Pin, Published, Unpinned
from sidscan.models.resnet_layout import IMAGENET_MEAN, IMAGENET_STD, ResNetFamily, ResNetPlan
from sidscan.models.shapes import ConvNetShape
from sidscan.records.views import ImageView

PLAN = ResNetPlan("ResNet-50", stem_stride=1, pool_stride=1)
_SHAPE = ConvNetShape(PLAN.name, PLAN.features)
_PAPER = "Corvi et al., ICASSP 2023, arXiv 2211.00680"
_PREPROCESS = Preprocess(
    crop=224,
    mean=IMAGENET_MEAN,
    std=IMAGENET_STD,
    about="the whole image without resizing, as published, up to 1024 pixels a side; ImageNet mean/std",
    view=ImageView(max_side=1024),
)
_CLIP_BASED = (
    "https://media.githubusercontent.com/media/grip-unina/ClipBased-SyntheticImageDetection/"
    "c76ef7f5e158c5aba9e55b8b94ab0079720d281e/weights/"
)


def _entry(name: str, trained_on: str, folder: str, metrics: Metrics | None = None) -> CatalogEntry:
    """One of the two networks in the archive of the paper's repository.

    Args:
        folder: of the archive.
    """
    return CatalogEntry(
        name=name,
        kind="detector",
        summary=f"DMID: ResNet-50 without early downsampling, trained on {trained_on}",
        licence="GRIP-UNINA nonprofit",
        provenance=f"github.com/grip-unina/DMimageDetection @ fdb5390, {folder}; {_PAPER}",
        origin=Unpinned(
            url="https://drive.google.com/file/d/1sAoAuOGCWS4dAMBhDkRHgBf4SgBgvkVf/view",
            download_size=RESNET50_SAVED_BYTES,
            file=f"{name}.safetensors",
            metrics=metrics,
            is_page=True,
            called=f"{folder}/model_epoch_best.pth",
        ),
        size=RESNET50_BYTES,
        preprocess=_PREPROCESS,
        shape=_SHAPE,
        notice="DMID's authors allow informational and nonprofit use alone, and ask to be cited.",
        terms="https://github.com/grip-unina/DMimageDetection/blob/"
        "fdb5390d20a08bd1456099f72d757b19b2f07aba/LICENSE.md",
    )


@register
class DmidFamily(ResNetFamily):
    """torchvision's ResNet-50 with one output, under ``model`` of what training saved.

    Published code averages a map of logits; here the map that the last layer reads is averaged: the same.
    """

    name = "dmid"
    plan = PLAN
    entries = (
        _entry(
            "dmid",
            "ProGAN",
            "Grag2021_progan",
            Metrics(
                0.776,
                0.939,
                "RINE paper's mean over its 20 test sets, accuracy at 0.5; taken to be of this network",
            ),
        ),
        _entry("dmid-latent", "latent diffusion", "Grag2021_latent"),
        CatalogEntry(
            name="corvi2023",
            kind="detector",
            summary="DMID's network as ClipBased-SID's authors publish it, trained on latent diffusion",
            licence="Apache-2.0",
            provenance="github.com/grip-unina/ClipBased-SyntheticImageDetection @ c76ef7f; " + _PAPER,
            origin=Published(
                url=f"{_CLIP_BASED}Corvi2023/weights.pth",
                pin=Pin("sha256", "0168451e84a2a35d0b141ad4f2e361a74efdd06eb8d11434087f8a0bb6e3abad"),
                threshold=0.5,
            ),
            size=282_549_121,
            preprocess=_PREPROCESS,
            shape=_SHAPE,
        ),
    )
