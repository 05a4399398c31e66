"""Encoders that other libraries build by name: ``timm:NAME``, ``open_clip:NAME[/TAG]``, ``torchvision:NAME``.

A library gives the architecture and how pixels are normalised. Weights are a file that the user names:
nothing is ever fetched. Nothing here loads a library before an encoder is opened.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from difflib import get_close_matches
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from sidscan.config import SIDE
from sidscan.errors import ModelError, UsageError
from sidscan.libraries import require

if TYPE_CHECKING:
    from torch import Tensor, nn

    from sidscan.models.backbones.base import Encoder
    from sidscan.models.shapes import EncoderShape

_HUB = "https://huggingface.co"
_ANOTHER_NETWORK = (
    "If the file holds another network, name that with --encoder; otherwise name this one's weights with "
    "--encoder-weights."
)
_RESNETS = MappingProxyType({"resnet50": "ResNet-50", "resnet101": "ResNet-101", "resnet152": "ResNet-152"})


def is_named(name: str) -> bool:
    """Whether a name is one of a library's, as ``timm:vit_base_patch16_224``."""
    library, colon, _ = name.partition(":")
    return bool(colon) and library in _LIBRARIES


def check_weights(name: str, weights: Path | None) -> None:
    """Refuse a library's network without its weights, and weights beside an encoder that has its own.

    Raises:
        UsageError: weights are named for another kind of encoder.
        ModelError: there are none; the remedy says where they are published.
    """
    if not is_named(name):
        if weights is not None:
            raise UsageError(
                f"--encoder-weights goes with {', '.join(f'{library}:NAME' for library in _LIBRARIES)}",
                f"Name the file itself: --encoder {weights}.",
            )
        return
    if weights is None:
        raise ModelError(
            f"{name} needs its weights, and sidscan fetches none",
            f"{published_at(name)} Then name the file: --encoder-weights FILE.",
        )


def published_at(name: str) -> str:
    """A sentence that says where the weights of a library's network are published.

    Raises:
        ModelError: the library has no such network.
        RuntimeUnavailable: the library is not installed.
    """
    library, _, rest = name.partition(":")
    return _LIBRARIES[library][1](rest)


def named_encoder(name: str, tensors: Mapping[str, Tensor]) -> Encoder:
    """A library's network with these weights, frozen, in float32.

    Raises:
        ModelError: the library has no such network, it can't be read at every depth of a scan's crops, or
            the weights are not its own.
        RuntimeUnavailable: the library is not installed.
    """
    library, _, rest = name.partition(":")
    return _LIBRARIES[library][0](rest, tensors)


def _of_timm(name: str, tensors: Mapping[str, Tensor]) -> Encoder:
    timm = _timm(name)
    network = timm.create_model(name, pretrained=False)
    return _timm_encoder(f"timm:{name}", network, network.pretrained_cfg, tensors)


def _timm_encoder(
    name: str, network: nn.Module, config: Mapping[str, Any], tensors: Mapping[str, Tensor]
) -> Encoder:
    """The network without its classifier, whatever that tells apart.

    Args:
        config: timm's of the network's published weights.
    """
    from sidscan.models.backbones.timm_network import TimmEncoder

    side = config["input_size"][1]
    if config.get("fixed_input_size") and side != SIDE:
        raise ModelError(
            f"{name} reads images of {side} px; crops have {SIDE}",
            f"Choose one for {SIDE} px, or a network without a fixed size.",
        )
    stated = config.get("classifier") or ()
    classifiers = tuple(f"{each}." for each in ([stated] if isinstance(stated, str) else stated))
    body: Any = network
    if classifiers:
        body.reset_classifier(0)
    weights = {n: t.float() for n, t in tensors.items() if not n.startswith(classifiers)}
    _load(name, network, weights)
    try:
        return TimmEncoder(network, config["mean"], config["std"])
    except (RuntimeError, TypeError, ValueError, AttributeError, IndexError) as error:
        raise ModelError(
            f"{name} can't be read at every depth: {str(error).splitlines()[0]}",
            "Choose a network of timm with forward_intermediates, such as its ViTs, ResNets and ConvNeXts.",
        ) from error


def _load(name: str, network: nn.Module, weights: dict[str, Tensor]) -> None:
    """Weights into a network, nothing missing, nothing besides.

    Raises:
        ModelError: they are not its own.
    """
    import torch

    from sidscan.models.state_dicts import check_tensors

    own = network.state_dict()
    kept = {n: t for n, t in own.items() if not t.is_floating_point()}  # counters, and tables of places
    given = {n: t for n, t in weights.items() if n not in kept}
    sizes = {n: tuple(t.shape) for n, t in own.items() if n not in kept}
    check_tensors(given, sizes, name, _ANOTHER_NETWORK)
    with torch.no_grad():
        network.load_state_dict(given | kept, strict=True)


def _timm(name: str) -> Any:
    require(f"timm:{name}", "timm")
    import timm

    if not re.fullmatch(r"\w+(\.\w+)?", name) or not timm.is_model(name.partition(".")[0]):
        similar = get_close_matches(name, timm.list_models(), n=2)
        raise ModelError(
            f"timm has no network called {name}",
            f"Did you mean {' or '.join(similar)}?" if similar else "timm.list_models() lists them.",
        )
    model, _, tag = name.partition(".")
    try:
        timm.get_pretrained_cfg(name)
    except RuntimeError as error:
        tags = [known.partition(".")[2] for known in timm.list_pretrained(f"{model}.*")]
        raise ModelError(
            f"timm knows no weights {tag!r} of {model}", f"It knows {', '.join(tags[:5]) or 'none'}."
        ) from error
    return timm


def _source_of_timm(name: str) -> str:
    config = _timm(name).get_pretrained_cfg(name)
    if config is not None and config.hf_hub_id:
        return f"Get model.safetensors of {_HUB}/{config.hf_hub_id}."
    return f"Get {config.url}." if config is not None and config.url else "Take weights of your own."


def _of_open_clip(name: str, tensors: Mapping[str, Tensor]) -> Encoder:
    from sidscan.models.families.clip import ClipEncoderFamily, clip_network, clip_shape

    open_clip, config = _open_clip(name)
    tag = _tag(open_clip, name)
    vision = config["vision_cfg"]
    if trunk := vision.get("timm_model_name"):
        network = _timm(trunk).create_model(trunk, pretrained=False)
        prefix = "visual.trunk."
        own = {n.removeprefix(prefix): t for n, t in tensors.items() if n.startswith(prefix)}
        stated = {**network.pretrained_cfg, **{key: tag[key] for key in ("mean", "std") if key in tag}}
        return _timm_encoder(f"open_clip:{name}", network, stated, own)
    heads = vision["width"] // vision.get("head_width", 64)
    if not isinstance(vision["layers"], int) or vision["width"] != 64 * heads or "attentional_pool" in vision:
        raise ModelError(
            f"open_clip:{name} is not built as OpenAI's vision transformers are",
            "Choose a ViT with 64 features per attention head (ViT-B-32, ViT-L-14), or one of timm's.",
        )
    quick = tag.get("quick_gelu", config.get("quick_gelu", False))
    weights = ClipEncoderFamily().normalise(tensors)
    _check_open_clip(name, config, clip_shape(weights))
    encoder = clip_network(weights, exact_gelu=not quick)
    if "mean" in tag:
        encoder.mean, encoder.std = tuple(tag["mean"]), tuple(tag["std"])
        encoder.place_statistics()
    return encoder


def _check_open_clip(name: str, config: Mapping[str, Any], shape: EncoderShape) -> None:
    """Refuse weights of another network than the one that was named."""
    vision = config["vision_cfg"]
    wanted = (vision["layers"], vision["width"], vision["patch_size"], config["embed_dim"])
    if wanted != (shape.num_blocks, shape.embed_dim, shape.patch_size, shape.output_dim):
        raise ModelError(
            f"these weights are not those of open_clip:{name}: they are a {shape}",
            f"Name their network, or get the weights of this one. {_source_of_open_clip(name)}",
        )


def _open_clip(name: str) -> tuple[Any, Mapping[str, Any]]:
    require(f"open_clip:{name}", "open_clip")
    import open_clip

    model = name.partition("/")[0]
    if model not in open_clip.list_models():
        raise ModelError(
            f"open_clip has no network called {model}", "ViT-B-32, ViT-B-16 and ViT-L-14 are some of them."
        )
    return open_clip, open_clip.get_model_config(model)


def _tag(open_clip: Any, name: str) -> Mapping[str, Any]:
    """What open_clip states of published weights; empty where the name has no tag."""
    model, slash, tag = name.partition("/")
    if not slash:
        return {}
    if tag not in open_clip.list_pretrained_tags_by_model(model):
        tags = ", ".join(open_clip.list_pretrained_tags_by_model(model)[:5])
        raise ModelError(f"open_clip knows no weights {tag!r} of {model}", f"It knows {tags}.")
    stated: Mapping[str, Any] = open_clip.get_pretrained_cfg(model, tag)
    return stated


def _source_of_open_clip(name: str) -> str:
    open_clip, _ = _open_clip(name)
    stated = _tag(open_clip, name)
    hub = "/".join(stated.get("hf_hub", "").split("/")[:2])
    if hub:
        return f"Get open_clip_model.safetensors of {_HUB}/{hub}."
    if stated.get("url"):
        return f"Get {stated['url']}."
    tags = ", ".join(open_clip.list_pretrained_tags_by_model(name.partition("/")[0])[:5])
    return f"open_clip:{name}/TAG says where published ones are; TAG is one of {tags or 'none'}."


def _of_torchvision(name: str, tensors: Mapping[str, Tensor]) -> Encoder:
    from sidscan.models.backbones.imagenet_resnet import ImageNetResNet
    from sidscan.models.resnet_layout import backbone_of

    _check_torchvision(name)
    weights, plan = backbone_of(tensors)
    if plan.name != _RESNETS[name]:
        raise ModelError(f"these weights are {plan.name}'s, not torchvision:{name}'s", "Name the other one.")
    return ImageNetResNet.from_state(weights, plan)


def _check_torchvision(name: str) -> None:
    if name not in _RESNETS:
        raise ModelError(
            f"of torchvision's networks, sidscan reads {', '.join(_RESNETS)}, not {name}",
            f"timm has others: --encoder timm:{name}, perhaps.",
        )


def _source_of_torchvision(name: str) -> str:
    _check_torchvision(name)
    require(f"torchvision:{name}", "torchvision")
    import torchvision

    return f"Get {torchvision.models.get_model_weights(name).IMAGENET1K_V1.url}."


_LIBRARIES: Mapping[str, tuple[Callable[[str, Mapping[str, Tensor]], Encoder], Callable[[str], str]]] = (
    MappingProxyType(
        {
            "timm": (_of_timm, _source_of_timm),
            "open_clip": (_of_open_clip, _source_of_open_clip),
            "torchvision": (_of_torchvision, _source_of_torchvision),
        }
    )
)
"""Of each library: builds a network, says where its weights are."""
