"""NPR: what upsampling leaves among neighbouring pixels, and a cut ResNet-50 (Tan et al., CVPR 2024)."""

from __future__ import annotations

from sidscan.models.catalog import CatalogEntry, Preprocess
from sidscan.models.families import register
from sidscan.models.origins import Metrics, Pin, Published
from sidscan.models.resnet_layout import IMAGENET_MEAN, IMAGENET_STD, ResNetFamily, ResNetPlan
from sidscan.models.shapes import ConvNetShape
from sidscan.records.views import ImageView
from sidscan.util.bibtex import Citation

PLAN = ResNetPlan("NPR", stages=(3, 4), stem=3, of_residue=True, classifier="fc1")
_COMMIT = "73cde1ced21291bfb504a2add2b53fbe99c4f433"
_PAPER = Citation(
    key="tan2024npr",
    kind="inproceedings",
    title="Rethinking the Up-Sampling Operations in CNN-based Generative Network for Generalizable Deepfake "
    "Detection",
    authors=(
        *("Tan, Chuangchuang", "Liu, Huan", "Zhao, Yao", "Wei, Shikui", "Gu, Guanghua", "Liu, Ping"),
        "Wei, Yunchao",
    ),
    year=2024,
    venue="Proceedings of the IEEE/CVF Conference on Computer Vision and Pattern Recognition (CVPR)",
    arxiv="2312.10461",
)


@register
class NprFamily(ResNetFamily):
    """A plain state dict: torchvision's names, no ``layer3`` and ``layer4``, and ``fc1`` (1, 512)."""

    name = "npr"
    papers = (_PAPER,)
    plan = PLAN
    entries = (
        CatalogEntry(
            name="npr",
            kind="detector",
            summary="NPR: traces of upsampling among neighbouring pixels, trained on four classes of ProGAN",
            licence="none stated",
            provenance=f"github.com/chuangchuangtan/NPR-DeepfakeDetection @ {_COMMIT[:7]}; Tan et al., "
            "CVPR 2024, arXiv 2312.10461",
            origin=Published(
                url="https://raw.githubusercontent.com/chuangchuangtan/NPR-DeepfakeDetection/"
                f"{_COMMIT}/NPR.pth",
                pin=Pin("git-blob", "2430d34a6d6a1143d46d4276a05536770b1a2a97"),
                threshold=0.5,
                metrics=Metrics(
                    0.925,
                    0.961,
                    "the paper's mean over 8 sets of CNNDetection, resized to 256x256, accuracy at 0.5",
                ),
            ),
            size=5_800_000,
            preprocess=Preprocess(
                crop=224,
                mean=IMAGENET_MEAN,
                std=IMAGENET_STD,
                about="the whole image, resized to 256x256 as published (but for one set, which was not "
                "resized); ImageNet mean/std",
                view=ImageView(resize=256, both_sides=True),
            ),
            shape=ConvNetShape(PLAN.name, PLAN.features),
            notice="NPR's authors state no licence for their code and weights.",
        ),
    )
