"""Detectors that are a ResNet of torchvision's with one output: names and sizes of their tensors.

`sidscan.models.backbones.imagenet_resnet` is the network. Nothing here loads torch.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, ClassVar

from sidscan.errors import ModelError
from sidscan.models.families import DetectorFamily, TensorSize
from sidscan.models.shapes import ConvNetShape

if TYPE_CHECKING:
    from torch import Tensor

    from sidscan.models.backbones.base import Encoder
    from sidscan.models.heads.base import Head

# of the images of ImageNet, by which torchvision's networks normalise pixels
IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)
EXPANSION = 4  # width after a bottleneck block over its width inside
_COUNTER = ".num_batches_tracked"
_NAMES: Mapping[tuple[int, ...], str] = MappingProxyType(
    {(3, 4, 6, 3): "ResNet-50", (3, 4, 23, 3): "ResNet-101", (3, 8, 36, 3): "ResNet-152"}
)


@dataclass(frozen=True, slots=True)
class ResNetPlan:
    """How a network departs from torchvision's ResNet-50.

    Attributes:
        name: as publications call it.
        stages: blocks of each stage that it has.
        stem: side of the first convolution's kernel, pixels.
        stem_stride: of the first convolution.
        pool_stride: of the pooling after it.
        of_residue: whether it sees what upsampling leaves of an image (`imagenet_resnet.upsampling_residue`).
        classifier: name of its last layer.
    """

    name: str
    stages: tuple[int, ...] = (3, 4, 6, 3)
    stem: int = 7
    stem_stride: int = 2
    pool_stride: int = 2
    of_residue: bool = False
    classifier: str = "fc"

    @property
    def features(self) -> int:
        """That the last layer reads."""
        return (64 << (len(self.stages) - 1)) * EXPANSION

    def sizes(self) -> dict[str, TensorSize]:
        """The tensors of the network, by their published names, without the counters of normalisation."""
        sizes: dict[str, TensorSize] = {"conv1.weight": (64, 3, self.stem, self.stem)} | _norm("bn1", 64)
        inputs = 64
        for stage, blocks in enumerate(self.stages):
            width = 64 << stage
            for number in range(blocks):
                block = f"layer{stage + 1}.{number}"
                sizes |= _conv(f"{block}.conv1", width, inputs, 1) | _norm(f"{block}.bn1", width)
                sizes |= _conv(f"{block}.conv2", width, width, 3) | _norm(f"{block}.bn2", width)
                outputs = width * EXPANSION
                sizes |= _conv(f"{block}.conv3", outputs, width, 1) | _norm(f"{block}.bn3", outputs)
                if number == 0:
                    sizes |= _conv(f"{block}.downsample.0", outputs, inputs, 1)
                    sizes |= _norm(f"{block}.downsample.1", outputs)
                inputs = outputs
        last = self.classifier
        return sizes | {f"{last}.weight": (1, self.features), f"{last}.bias": (1,)}


def _conv(name: str, outputs: int, inputs: int, kernel: int) -> dict[str, TensorSize]:
    return {f"{name}.weight": (outputs, inputs, kernel, kernel)}


def _norm(name: str, width: int) -> dict[str, TensorSize]:
    return {f"{name}.{part}": (width,) for part in ("weight", "bias", "running_mean", "running_var")}


def without_counters(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The weights of a network, which may have been trained on several GPUs (``module.*``).

    Batch normalisation counts the batches of training, which nothing reads.

    Raises:
        ModelError: a counter belongs to no normalisation.
    """
    bare = {name.removeprefix("module."): tensor for name, tensor in tensors.items()}
    weights = {name: tensor for name, tensor in bare.items() if not name.endswith(_COUNTER)}
    for name in bare.keys() - weights.keys():
        if name.removesuffix(_COUNTER) + ".running_mean" not in weights:
            raise ModelError(f"these weights count batches of no normalisation: {ascii(name)[1:-1][:100]}")
    return weights


def backbone_of(tensors: Mapping[str, Tensor]) -> tuple[dict[str, Tensor], ResNetPlan]:
    """A network of torchvision's of bottleneck blocks, without its last layer, whatever that tells apart.

    Raises:
        ModelError: names, shapes, types or values are not those of ResNet-50, -101 or -152.
    """
    from sidscan.models.state_dicts import check_tensors

    weights = {name: t for name, t in without_counters(tensors).items() if not name.startswith("fc.")}
    blocks = {match[0] for name in weights if (match := re.match(r"layer([1-4])\.\d+\.", name))}
    stages = tuple(sum(block.startswith(f"layer{stage}.") for block in blocks) for stage in (1, 2, 3, 4))
    plan = ResNetPlan(_NAMES.get(stages, "ResNet-50"), stages if stages in _NAMES else (3, 4, 6, 3))
    check_tensors(weights, {n: s for n, s in plan.sizes().items() if not n.startswith("fc.")}, plan.name)
    return weights, plan


def is_backbone(tensors: Mapping[str, object]) -> bool:
    """Whether weights are named as a residual network of torchvision's."""
    return any(name.removeprefix("module.").startswith("layer1.0.conv1.") for name in tensors)


class ResNetFamily(DetectorFamily):
    """Published as torchvision names the tensors, plain or under ``model`` of what training saved.

    Attributes:
        plan: of the network.
    """

    plan: ClassVar[ResNetPlan]

    def normalise(self, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """The weights under their published names, nothing missing, nothing besides."""
        from sidscan.models.state_dicts import check_tensors

        weights = without_counters(tensors)
        check_tensors(weights, self.plan.sizes(), self.plan.name)
        return weights

    def shape(self, tensors: Mapping[str, Tensor]) -> ConvNetShape:  # noqa: ARG002  (checked already)
        """The only one there is."""
        return ConvNetShape(self.plan.name, self.plan.features)

    def networks(
        self,
        tensors: Mapping[str, Tensor],
        encoder: Encoder | None = None,  # noqa: ARG002  (it brings its own)
    ) -> tuple[Encoder, Head]:
        """The network up to its pooled features, and its last layer.

        Raises:
            RuntimeUnavailable: torchvision is not installed.
        """
        from sidscan.models.backbones.imagenet_resnet import ImageNetResNet
        from sidscan.models.heads.base import with_weights
        from sidscan.models.heads.linear_probe import LinearProbe

        last = f"{self.plan.classifier}."
        rest = {name: tensor for name, tensor in tensors.items() if not name.startswith(last)}
        head = {part: tensors[last + part].float() for part in ("weight", "bias")}
        return ImageNetResNet.from_state(rest, self.plan), with_weights(LinearProbe, head)
