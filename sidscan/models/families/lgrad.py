"""LGrad: a ResNet-50 that reads the gradients of a discriminator (Tan et al., CVPR 2023)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from sidscan.errors import ModelError
from sidscan.models.catalog import CatalogEntry, Preprocess
from sidscan.models.families import register
from sidscan.models.families.cnndet import RESNET50, RESNET50_BYTES
from sidscan.models.origins import Metrics, Unpinned
from sidscan.models.resnet_layout import IMAGENET_MEAN, IMAGENET_STD, ResNetFamily
from sidscan.models.shapes import ConvNetShape
from sidscan.records.views import ImageView
from sidscan.util.bibtex import Citation

if TYPE_CHECKING:
    from torch import Tensor

    from sidscan.models.backbones.base import Encoder
    from sidscan.models.heads.base import Head
_PAPER = Citation(
    key="tan2023lgrad",
    kind="inproceedings",
    title="Learning on Gradients: Generalized Artifacts Representation for GAN-Generated Images Detection",
    authors=("Tan, Chuangchuang", "Zhao, Yao", "Wei, Shikui", "Gu, Guanghua", "Wei, Yunchao"),
    year=2023,
    venue="Proceedings of the IEEE/CVF Conference on Computer Vision and Pattern Recognition (CVPR)",
    pages="12105-12114",
)


@register
class LgradFamily(ResNetFamily):
    """A plain state dict of torchvision's ResNet-50 with one output.

    The other file that it needs, the discriminator, is an encoder of the catalog. Images are resized as the
    authors' PyTorch code does, which reads that file; their code for TensorFlow takes another filter.
    """

    name = "lgrad"
    papers = (_PAPER,)
    plan = RESNET50
    entries = (
        CatalogEntry(
            name="lgrad",
            kind="detector",
            summary="LGrad: ResNet-50 on gradients of StyleGAN's discriminator, four classes of ProGAN",
            licence="none stated",
            provenance="github.com/chuangchuangtan/LGrad @ 7cb5973; Tan et al., CVPR 2023, pages 12105-12114",
            origin=Unpinned(
                url="https://drive.google.com/drive/folders/17-MAyCpMqyn4b_DFP2LekrmIgRovwoix",
                download_size=RESNET50_BYTES,
                file="lgrad.safetensors",
                metrics=Metrics(0.797, 0.855, "RINE paper's mean over its 20 test sets, accuracy at 0.5"),
                is_page=True,
                called="LGrad-4class-Trainon-Progan_car_cat_chair_horse.pth",
            ),
            size=RESNET50_BYTES,
            encoder="stylegan-discriminator",
            preprocess=Preprocess(
                crop=224,
                mean=IMAGENET_MEAN,
                std=IMAGENET_STD,
                about="the whole image resized to 256x256, as published; the discriminator's gradient by its "
                "pixels, from 0 to 255 in each image; ImageNet mean/std",
                view=ImageView(resize=256, both_sides=True),
            ),
            shape=ConvNetShape(RESNET50.name, RESNET50.features),
            notice="LGrad's authors state no licence for their code and weights.",
        ),
    )

    def networks(self, tensors: Mapping[str, Tensor], encoder: Encoder | None = None) -> tuple[Encoder, Head]:
        """Discriminator and ResNet-50 as one network up to its pooled features, and its last layer.

        Raises:
            ModelError: ``encoder`` is not a discriminator.
            RuntimeUnavailable: torchvision is not installed.
        """
        from sidscan.models.backbones.gradient_resnet import GradientResNet
        from sidscan.models.backbones.imagenet_resnet import ImageNetResNet
        from sidscan.models.backbones.stylegan import StyleGanDiscriminator

        if not isinstance(encoder, StyleGanDiscriminator):
            raise ModelError("LGrad reads the gradients of a discriminator, and none is named")
        classifier, last = super().networks(tensors)
        assert isinstance(classifier, ImageNetResNet)
        return GradientResNet(encoder, classifier), last
