"""C2P-CLIP: CLIP ViT-L/14 that was adapted to the task, and a linear probe (Tan et al., AAAI 2025)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from sidscan.errors import ModelError
from sidscan.models.catalog import CatalogEntry, Preprocess
from sidscan.models.families import DetectorFamily, register
from sidscan.models.families.clip import (
    CLIP_MEAN,
    CLIP_NOTICE,
    CLIP_STD,
    clip_network,
    clip_shape,
    encoder_sizes,
    open_clip_names,
)
from sidscan.models.origins import Metrics, Unpinned
from sidscan.models.shapes import EncoderShape, ProbedEncoderShape
from sidscan.records.views import ImageView
from sidscan.util.bibtex import Citation

if TYPE_CHECKING:
    from torch import Tensor

    from sidscan.models.backbones.base import Encoder
    from sidscan.models.heads.base import Head

_WHAT = "C2P-CLIP detector"
_ENCODER, _HEAD = "encoder.", "head."
_PAPER = Citation(
    key="tan2025c2pclip",
    kind="inproceedings",
    title="C2P-CLIP: Injecting Category Common Prompt in CLIP to Enhance Generalization in Deepfake "
    "Detection",
    authors=(
        *("Tan, Chuangchuang", "Tao, Renshuai", "Liu, Huan", "Gu, Guanghua", "Wu, Baoyuan", "Zhao, Yao"),
        "Wei, Yunchao",
    ),
    year=2025,
    venue="Proceedings of the AAAI Conference on Artificial Intelligence",
    arxiv="2408.09647",
)


@register
class C2pClipFamily(DetectorFamily):
    """Published under transformers' names, and ``model.fc``, all of them below ``model``.

    The low-rank adapters of the training are merged with the encoder's weights, so that it is another encoder
    than OpenAI's, and comes whole. Here they are called ``encoder.*`` (open_clip's names) and ``head.*``.
    """

    name = "c2p_clip"
    papers = (_PAPER,)
    fp16_safe = False  # published in fp32, and nobody measured it in half precision
    entries = (
        CatalogEntry(
            name="c2p-clip",
            kind="detector",
            summary="C2P-CLIP: CLIP ViT-L/14 adapted to the task, trained on ProGAN",
            licence="none stated",
            provenance="github.com/chuangchuangtan/C2P-CLIP-DeepfakeDetection @ 27b5232; Tan et al., "
            "AAAI 2025, arXiv 2408.09647",
            origin=Unpinned(
                url="https://www.now61.com/f/95OefW/C2P_CLIP_release_20240901.zip",
                download_size=1_216_000_000,
                file="c2p-clip.safetensors",
                metrics=Metrics(
                    0.938, 0.987, "the paper's mean over UniversalFakeDetect's 19 sets, accuracy at 0.5"
                ),
                is_page=True,
            ),
            size=1_216_000_000,
            preprocess=Preprocess(
                crop=224,
                mean=CLIP_MEAN,
                std=CLIP_STD,
                about="the shorter side resized to 224, then the centre crop, as published; CLIP mean/std",
                view=ImageView(resize=224, crop=224),
            ),
            shape=ProbedEncoderShape(EncoderShape(24, 1024, 14, 257, 768)),
            notice=f"C2P-CLIP's authors state no licence. It is CLIP, tuned. {CLIP_NOTICE}",
        ),
    )

    def normalise(self, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Published names, or those of here, nothing missing, nothing besides.

        Raises:
            ModelError: as of every family.
        """
        from sidscan.models.state_dicts import check_tensors

        own = any(name.startswith(_ENCODER) for name in tensors)
        named = dict(tensors) if own else _from_published(tensors)
        visual = {n.removeprefix(_ENCODER): t for n, t in named.items() if n.startswith(_ENCODER)}
        shape = clip_shape(visual)
        sizes = {f"{_ENCODER}{name}": size for name, size in encoder_sizes(shape).items()}
        probe = {f"{_HEAD}weight": (1, shape.output_dim), f"{_HEAD}bias": (1,)}
        check_tensors(named, sizes | probe, _WHAT)
        return named

    def shape(self, tensors: Mapping[str, Tensor]) -> ProbedEncoderShape:
        """The encoder's, and that there is a probe."""
        visual = {n.removeprefix(_ENCODER): t for n, t in tensors.items() if n.startswith(_ENCODER)}
        return ProbedEncoderShape(clip_shape(visual))

    def networks(
        self,
        tensors: Mapping[str, Tensor],
        encoder: Encoder | None = None,  # noqa: ARG002  (it brings its own)
    ) -> tuple[Encoder, Head]:
        """The adapted encoder, and the probe on its embedding, which is brought to length one."""
        from sidscan.models.heads.base import with_weights
        from sidscan.models.heads.linear_probe import UnitProbe

        visual, probe = (
            {n.removeprefix(part): t.float() for n, t in tensors.items() if n.startswith(part)}
            for part in (_ENCODER, _HEAD)
        )
        return clip_network(visual), with_weights(UnitProbe, probe)


def _from_published(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """transformers' names -> those of here; what is neither the encoder nor the probe is refused."""
    from sidscan.models.state_dicts import ANOTHER_MODEL
    from sidscan.models.torch_archive import shown

    bare = {name.removeprefix("model."): tensor for name, tensor in tensors.items()}
    probe = {name: bare.pop(name) for name in ("fc.weight", "fc.bias") if name in bare}
    for name in bare:
        if not name.startswith("vision_model.") and name != "visual_projection.weight":
            raise ModelError(f"these weights are not a {_WHAT}: {shown(name)} unexpected", ANOTHER_MODEL)
    visual = open_clip_names(bare)
    return {f"{_ENCODER}{name}": tensor for name, tensor in visual.items()} | {
        f"{_HEAD}{name.removeprefix('fc.')}": tensor for name, tensor in probe.items()
    }
