"""CLIP's residual network, which some of DeCLIP's decoders read (Radford et al., ICML 2021)."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING

from sidscan.errors import ModelError
from sidscan.models.families import EncoderFamily, TensorSize, register
from sidscan.models.families.clip import CLIP_PAPER, published_by_openai
from sidscan.models.shapes import ResNetShape

if TYPE_CHECKING:
    from torch import Tensor

    from sidscan.models.backbones.resnet import ResNetEncoder

EXPANSION = 4  # widths of a stage's output and of its 3 x 3 convolutions
_WHAT = "CLIP residual network"
_COUNTER = ".num_batches_tracked"  # of batch normalisation; nothing reads it


@register
class ClipResNetFamily(EncoderFamily):
    """Residual networks in OpenAI's layout, ``visual.*``; a text tower beside it is left out."""

    name = "clip_resnet"
    papers = (CLIP_PAPER,)
    entries = (
        published_by_openai(
            "clip-rn50",
            "OpenAI's CLIP RN50, which some of DeCLIP's decoders read beside ViT-L/14",
            "RN50.pt",
            "afeb0e10f9e5a86da6080e35cf09123aca3b358a0c3e3b6c78a7b63bc04b6762",
            256_000_000,
            ResNetShape((3, 4, 6, 3), 64, 1024),
        ),
    )

    def normalise(self, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """The network under open_clip's `ModifiedResNet` names, without the ``visual.`` prefix.

        Raises:
            ModelError: names, shapes, types or values are not those of such a network.
        """
        from sidscan.models.state_dicts import READABLE, check_tensors

        visual = {
            name.removeprefix("visual."): tensor
            for name, tensor in tensors.items()
            if name.startswith("visual.") and not name.endswith(_COUNTER)
        }
        if not is_resnet(tensors):
            raise ModelError("these weights hold no CLIP residual network (no visual.layer1.*)", READABLE)
        check_tensors(visual, resnet_sizes(resnet_shape(visual), _grid(visual)), _WHAT)
        return visual

    def shape(self, tensors: Mapping[str, Tensor]) -> ResNetShape:
        """Of a network, from its tensors under open_clip's names."""
        return resnet_shape(tensors)

    def network(self, tensors: Mapping[str, Tensor]) -> ResNetEncoder:
        """The network up to its last stage, without the attention pooling that makes an embedding."""
        from sidscan.models.backbones.resnet import ResNetEncoder  # here: it loads open_clip

        return ResNetEncoder.from_state(tensors)


def is_resnet(tensors: Mapping[str, object]) -> bool:
    """Whether weights in OpenAI's layout are a residual network's."""
    return any(name.startswith("visual.layer1.") for name in tensors)


def resnet_shape(visual: Mapping[str, Tensor]) -> ResNetShape:
    """The shape of a network, from its tensors under open_clip's names.

    Raises:
        ModelError: one of those that tell the shape is missing or not of the right rank.
    """
    from sidscan.models.state_dicts import size_of

    width, _, _, _ = size_of(visual, "conv3.weight", 4, _WHAT)
    output, _ = size_of(visual, "attnpool.c_proj.weight", 2, _WHAT)
    one, two, three, four = (
        len({match[1] for name in visual if (match := re.match(rf"layer{stage}\.(\d+)\.", name))})
        for stage in (1, 2, 3, 4)
    )
    return ResNetShape((one, two, three, four), width, output)


def _grid(visual: Mapping[str, Tensor]) -> int:
    from sidscan.models.state_dicts import size_of

    tokens, _ = size_of(visual, "attnpool.positional_embedding", 2, _WHAT)
    return math.isqrt(tokens - 1)


def resnet_sizes(shape: ResNetShape, grid: int) -> dict[str, TensorSize]:
    """The tensors of a network of this shape, under open_clip's names.

    Args:
        grid: side of the last stage's map.
    """
    width, embed_dim = shape.width, shape.width * 8 * EXPANSION
    convs: dict[str, TensorSize] = {
        "conv1": (width // 2, 3, 3, 3),
        "conv2": (width // 2, width // 2, 3, 3),
        "conv3": (width, width // 2, 3, 3),
    }
    norms = {"bn1": width // 2, "bn2": width // 2, "bn3": width}
    inputs = width
    for stage, blocks in enumerate(shape.layers, start=1):
        planes = width * 2 ** (stage - 1)
        outputs = planes * EXPANSION
        for number in range(blocks):
            block = f"layer{stage}.{number}"
            convs[f"{block}.conv1"] = (planes, inputs, 1, 1)
            convs[f"{block}.conv2"] = (planes, planes, 3, 3)
            convs[f"{block}.conv3"] = (outputs, planes, 1, 1)
            norms |= {f"{block}.bn1": planes, f"{block}.bn2": planes, f"{block}.bn3": outputs}
            if number == 0:
                convs[f"{block}.downsample.0"] = (outputs, inputs, 1, 1)
                norms[f"{block}.downsample.1"] = outputs
            inputs = outputs
    sizes = {f"{name}.weight": size for name, size in convs.items()}
    for norm, channels in norms.items():
        sizes |= {f"{norm}.{part}": (channels,) for part in ("weight", "bias", "running_mean", "running_var")}
    sizes["attnpool.positional_embedding"] = (grid**2 + 1, embed_dim)
    for name, outputs in (*((f"{letter}_proj", embed_dim) for letter in "qkv"), ("c_proj", shape.output_dim)):
        sizes |= {f"attnpool.{name}.weight": (outputs, embed_dim), f"attnpool.{name}.bias": (outputs,)}
    return sizes
