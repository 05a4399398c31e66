"""Patch-Forensics: a cut Xception that judges patches (Chai et al., ECCV 2020, arXiv 2008.10588)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from sidscan.models.catalog import CatalogEntry, PatchSpec, Preprocess
from sidscan.models.families import DetectorFamily, TensorSize, register
from sidscan.models.origins import Unpinned
from sidscan.models.resnet_layout import without_counters
from sidscan.models.shapes import ConvNetShape
from sidscan.records.views import ImageView
from sidscan.util.bibtex import Citation

if TYPE_CHECKING:
    from torch import Tensor

    from sidscan.models.backbones.base import Encoder
    from sidscan.models.heads.base import Head
    from sidscan.models.heads.decoder import LocalizerNetwork

_SHAPE = ConvNetShape("Xception up to block 2", 256)
_SYNTHETIC, _REAL = 0, 1  # the published classes
_PAPER = Citation(
    key="chai2020patchforensics",
    kind="inproceedings",
    title="What Makes Fake Images Detectable? Understanding Properties that Generalize",
    authors=("Chai, Lucy", "Bau, David", "Lim, Ser-Nam", "Isola, Phillip"),
    year=2020,
    venue="Computer Vision - ECCV 2020",
    arxiv="2008.10588",
)


def _sizes() -> dict[str, TensorSize]:
    """The tensors by their published names, without the counters of normalisation."""
    sizes: dict[str, TensorSize] = {"conv1.weight": (32, 3, 3, 3), "conv2.weight": (64, 32, 3, 3)}
    norms = {"bn1": 32, "bn2": 64}
    for block, inputs, outputs, first in (("block1", 64, 128, 0), ("block2", 128, 256, 1)):
        sizes[f"{block}.skip.weight"] = (outputs, inputs, 1, 1)
        norms[f"{block}.skipbn"] = outputs
        for number, channels in ((first, inputs), (first + 3, outputs)):
            sizes[f"{block}.rep.{number}.conv1.weight"] = (channels, 1, 3, 3)
            sizes[f"{block}.rep.{number}.pointwise.weight"] = (outputs, channels, 1, 1)
            norms[f"{block}.rep.{number + 1}"] = outputs
    for name, width in norms.items():
        sizes |= {f"{name}.{part}": (width,) for part in ("weight", "bias", "running_mean", "running_var")}
    return sizes | {"convout.weight": (2, 256, 1, 1), "convout.bias": (2,)}


@register
class PatchForensicsFamily(DetectorFamily):
    """Xception's names up to ``block2``, then ``convout``, under ``state_dict`` of what training saved.

    ``convout`` gives each patch two logits. The logit of an image is the mean over its patches of their
    difference, which the published code calls the average before the softmax.
    """

    name = "patch_forensics"
    # The picture without its crop; what lies around the crop is read the same way.
    patches = PatchSpec(ImageView(resize=299, filter="lanczos"), side=43, stride=8, first=3)
    papers = (_PAPER,)
    entries = (
        CatalogEntry(
            name="patch-forensics",
            kind="detector",
            summary="Patch-Forensics: Xception up to block 2, patches of faces, trained on ProGAN faces",
            licence="none stated",
            provenance="github.com/chail/patch-forensics @ c87fc9d, "
            "gp1-gan-winversion_seed0_xception_block2_constant_p20; Chai et al., ECCV 2020, arXiv 2008.10588",
            origin=Unpinned(
                url="https://drive.google.com/drive/folders/1_LekvsBFE2T9N3Wikkll3xjlogI-cSoH",
                download_size=2_500_000,
                file="patch-forensics.safetensors",
                is_page=True,
                called="bestval_net_D.pth",
            ),
            size=780_000,
            preprocess=Preprocess(
                crop=224,
                mean=(0.5, 0.5, 0.5),
                std=(0.5, 0.5, 0.5),
                about="the shorter side resized to 299, Lanczos, then the centre, as published; pixels from "
                "-1 to 1",
                view=ImageView(resize=299, filter="lanczos", crop=299),
            ),
            shape=_SHAPE,
            notice="Patch-Forensics' authors state no licence. They trained it on aligned faces.",
        ),
    )

    def normalise(self, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """The weights under their published names, nothing missing, nothing besides."""
        from sidscan.models.state_dicts import check_tensors

        weights = without_counters(tensors)
        check_tensors(weights, _sizes(), "network of Patch-Forensics")
        return weights

    def shape(self, tensors: Mapping[str, Tensor]) -> ConvNetShape:  # noqa: ARG002  (checked already)
        """The only one there is."""
        return _SHAPE

    def networks(
        self,
        tensors: Mapping[str, Tensor],
        encoder: Encoder | None = None,  # noqa: ARG002  (it brings its own)
    ) -> tuple[Encoder, Head]:
        """The network up to the mean over its patches, and the difference of the two classes."""
        from sidscan.models.backbones.xception import XceptionBlock2
        from sidscan.models.heads.base import with_weights
        from sidscan.models.heads.linear_probe import LinearProbe

        return XceptionBlock2.from_state(_without_probe(tensors)), with_weights(LinearProbe, _probe(tensors))

    def patch_network(self, tensors: Mapping[str, Tensor]) -> LocalizerNetwork:
        """The same before the mean: the difference of the two classes of each patch."""
        from sidscan.models.backbones import StageMap
        from sidscan.models.backbones.xception import XceptionBlock2
        from sidscan.models.heads.decoder import LocalizerNetwork
        from sidscan.models.heads.patch_logits import PatchLogits

        encoder = XceptionBlock2.from_state(_without_probe(tensors))
        return LocalizerNetwork((encoder,), PatchLogits(StageMap(2), **_probe(tensors))).eval()


def _without_probe(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name: tensor for name, tensor in tensors.items() if not name.startswith("convout.")}


def _probe(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """``weight`` (1, 256) and ``bias`` (1,) of the difference of the two classes."""
    weight, bias = tensors["convout.weight"].float()[..., 0, 0], tensors["convout.bias"].float()
    return {
        "weight": (weight[_SYNTHETIC] - weight[_REAL])[None],
        "bias": (bias[_SYNTHETIC] - bias[_REAL])[None],
    }
