"""CNNDetection: a ResNet-50 trained on ProGAN (Wang et al., CVPR 2020, arXiv 1912.11035)."""

from __future__ import annotations

from sidscan.models.catalog import CatalogEntry, Preprocess
from sidscan.models.families import register
from sidscan.models.origins import Metrics, Unpinned
from sidscan.models.resnet_layout import IMAGENET_MEAN, IMAGENET_STD, ResNetFamily, ResNetPlan
from sidscan.models.shapes import ConvNetShape
from sidscan.util.bibtex import Citation

RESNET50 = ResNetPlan("ResNet-50")
RESNET50_BYTES = 94_300_000  # in float32
RESNET50_SAVED_BYTES = 282_500_000  # with the two moments of Adam, as training saves it
CNNDETECTION_PAPER = Citation(
    key="wang2020cnndetection",
    kind="inproceedings",
    title="CNN-Generated Images Are Surprisingly Easy to Spot... for Now",
    authors=("Wang, Sheng-Yu", "Wang, Oliver", "Zhang, Richard", "Owens, Andrew", "Efros, Alexei A."),
    year=2020,
    venue="Proceedings of the IEEE/CVF Conference on Computer Vision and Pattern Recognition (CVPR)",
    pages="8695-8704",
    arxiv="1912.11035",
)


def _entry(probability: str, place: str, metrics: Metrics) -> CatalogEntry:
    """One of the two files.

    Args:
        probability: that an image of the training was blurred, and that it was compressed.
        place: of the file at Dropbox.
    """
    name = f"cnndet-p{probability.replace('.', '')}"
    return CatalogEntry(
        name=name,
        kind="detector",
        summary=f"CNNDetection's ResNet-50, trained on ProGAN with blur and JPEG, p = {probability}",
        licence="CC BY-NC-SA 4.0",
        provenance="github.com/PeterWang512/CNNDetection @ ea0b562; Wang et al., CVPR 2020, arXiv 1912.11035",
        origin=Unpinned(
            url=f"https://www.dropbox.com/s/{place}/blur_jpg_prob{probability}.pth?dl=1",
            download_size=RESNET50_SAVED_BYTES,
            file=f"{name}.safetensors",
            metrics=metrics,
        ),
        size=RESNET50_BYTES,
        preprocess=Preprocess(
            crop=224,
            mean=IMAGENET_MEAN,
            std=IMAGENET_STD,
            about="ten crops or the centre crop of 224x224 original pixels (published: the centre crop; in a "
            "demo the whole image); no resizing; ImageNet mean/std",
        ),
        shape=ConvNetShape(RESNET50.name, RESNET50.features),
        notice="CNNDetection's authors publish code and weights under CC BY-NC-SA 4.0, which forbids "
        "commercial use.",
        terms="https://creativecommons.org/licenses/by-nc-sa/4.0/",
    )


@register
class CnnDetectionFamily(ResNetFamily):
    """torchvision's ResNet-50 with one output, under ``model`` of what training saved."""

    name = "cnndet"
    papers = (CNNDETECTION_PAPER,)
    plan = RESNET50
    entries = (
        _entry(
            "0.5",
            "2g2jagq2jn1fd0i",
            Metrics(0.744, 0.912, "mean of the 13 sets in the authors' README, centre crop, accuracy at 0.5"),
        ),
        _entry(
            "0.1",
            "h7tkpcgiwuftb6g",
            Metrics(0.702, 0.84, "RINE paper's mean over its 20 test sets, centre crop, accuracy at 0.5"),
        ),
    )
