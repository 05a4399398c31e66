"""StyleGAN's discriminator of bedrooms, whose gradients LGrad reads (Karras et al., CVPR 2019)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from sidscan.errors import ModelError
from sidscan.models.catalog import CatalogEntry
from sidscan.models.families import EncoderFamily, TensorSize, register
from sidscan.models.origins import Unpinned
from sidscan.models.shapes import DiscriminatorShape
from sidscan.util.bibtex import Citation

if TYPE_CHECKING:
    from torch import Tensor

    from sidscan.models.backbones.stylegan import StyleGanDiscriminator

_PAPER = Citation(
    key="karras2019stylegan",
    kind="inproceedings",
    title="A Style-Based Generator Architecture for Generative Adversarial Networks",
    authors=("Karras, Tero", "Laine, Samuli", "Aila, Timo"),
    year=2019,
    venue="Proceedings of the IEEE/CVF Conference on Computer Vision and Pattern Recognition (CVPR)",
    pages="4401-4410",
    doi="10.1109/CVPR.2019.00453",
    arxiv="1812.04948",
)
_WHAT = "StyleGAN discriminator of 256 x 256 pixels"


@register
class StyleGanFamily(EncoderFamily):
    """A discriminator as genforce's converter names its tensors: ``input*``, ``layer*`` and ``lod``.

    Progressive growing has trained one input layer for each resolution. A network whose training ended
    (``lod`` 0) reads the first of them alone; the others are checked and kept.
    """

    name = "stylegan"
    papers = (_PAPER,)
    entries = (
        CatalogEntry(
            name="stylegan-discriminator",
            kind="encoder",
            summary="NVIDIA's StyleGAN discriminator of bedrooms, 256x256, which LGrad reads",
            licence="CC BY-NC 4.0",
            provenance="github.com/NVlabs/stylegan, karras2019stylegan-bedrooms-256x256, as LGrad's authors "
            "converted it (github.com/chuangchuangtan/LGrad @ 7cb5973); Karras et al., CVPR 2019, "
            "arXiv 1812.04948",
            origin=Unpinned(
                url="https://lid-1302259812.cos.ap-nanjing.myqcloud.com/tmp/"
                "karras2019stylegan-bedrooms-256x256_discriminator.pth",
                download_size=92_400_000,
                file="stylegan-discriminator.safetensors",
            ),
            size=92_400_000,
            shape=DiscriminatorShape(64, 512),
            notice="NVIDIA publishes StyleGAN under CC BY-NC 4.0, which forbids commercial use.",
            terms="https://creativecommons.org/licenses/by-nc/4.0/",
        ),
    )

    def normalise(self, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """The tensors under their published names, nothing missing, nothing besides.

        Raises:
            ModelError: names, shapes, types or values are not those of such a network.
        """
        from sidscan.models.state_dicts import ANOTHER_FILE, check_tensors

        check_tensors(tensors, _sizes(_shape(tensors)), _WHAT)
        if float(tensors["lod"]) != 0:
            raise ModelError(
                f"these weights are not a {_WHAT}: lod is {float(tensors['lod']):g}, so its training had not "
                "reached its full resolution",
                ANOTHER_FILE,
            )
        return dict(tensors)

    def shape(self, tensors: Mapping[str, Tensor]) -> DiscriminatorShape:
        """As the first layer and the last tell it."""
        return _shape(tensors)

    def network(self, tensors: Mapping[str, Tensor]) -> StyleGanDiscriminator:
        """The discriminator at its full resolution."""
        from sidscan.models.backbones.stylegan import StyleGanDiscriminator

        return StyleGanDiscriminator.from_state(tensors, _shape(tensors))


def _shape(tensors: Mapping[str, Tensor]) -> DiscriminatorShape:
    from sidscan.models.state_dicts import size_of

    first, _, _, _ = size_of(tensors, "input0.weight", 4, _WHAT)
    _, last = size_of(tensors, f"layer{2 * len(DiscriminatorShape.sides)}.weight", 2, _WHAT)
    return DiscriminatorShape(first, last)


def _sizes(shape: DiscriminatorShape) -> dict[str, TensorSize]:
    """The tensors by their published names."""
    weights: dict[str, TensorSize] = {}
    kernels: dict[str, TensorSize] = {}
    for number, side in enumerate(shape.sides):
        width, next_width = shape.width(side), shape.width(side // 2)
        weights[f"input{number}"] = (width, 3, 1, 1)
        even, odd = f"layer{2 * number}", f"layer{2 * number + 1}"
        if side != shape.sides[-1]:
            weights[even], weights[odd] = (width, width, 3, 3), (next_width, width, 3, 3)
            kernels[f"{odd}.blur.kernel"] = (width, 1, 3, 3)
        else:  # one channel more, of standard deviations
            weights[even], weights[odd] = (width, width + 1, 3, 3), (next_width, width * side**2)
            weights[f"layer{2 * number + 2}"] = (1, next_width)
    sizes = {f"{name}.weight": size for name, size in weights.items()}
    return sizes | {f"{name}.bias": size[:1] for name, size in weights.items()} | kernels | {"lod": ()}
