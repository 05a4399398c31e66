"""CLIP's residual network, read after its stages."""

from __future__ import annotations

from collections.abc import Mapping, Set
from typing import cast

import torch
from open_clip.modified_resnet import ModifiedResNet
from torch import Tensor, nn

from sidscan.models.backbones import Feature, StageMap
from sidscan.models.backbones.clip_pixels import ClipPixels
from sidscan.models.families.clip_resnet import EXPANSION, resnet_shape

_HEADS = 1  # of the attention pooling, which is left out


class ResNetEncoder(ClipPixels):
    """OpenAI's ModifiedResNet without its attention pooling: maps after each stage's last ReLU.

    Args:
        visual: open_clip's network.
    """

    def __init__(self, visual: ModifiedResNet) -> None:
        super().__init__()
        visual.attnpool = None
        self.visual = visual
        self.place_statistics()

    @classmethod
    def from_state(cls, state: Mapping[str, Tensor]) -> ResNetEncoder:
        """An encoder with the given weights (open_clip's names, without ``visual.``), in float32.

        Raises:
            RuntimeError: names or shapes are not those of such a network.
        """
        shape = resnet_shape(state)
        with torch.device("meta"):
            visual = ModifiedResNet(list(shape.layers), shape.output_dim, _HEADS, width=shape.width)
            visual.attnpool = None
        kept = {name: tensor.float() for name, tensor in state.items() if not name.startswith("attnpool.")}
        kept |= {
            name: torch.zeros((), dtype=torch.int64)
            for name in visual.state_dict()
            if name.endswith("num_batches_tracked")
        }
        visual.load_state_dict(kept, strict=True, assign=True)
        return cls(visual).eval().requires_grad_(False)

    def read(self, crops: Tensor, features: Set[Feature]) -> dict[Feature, Tensor]:
        """uint8 RGB crops (b, 3, h, w) -> the maps asked for, float32; nothing above the last of them."""
        wanted = {feature for feature in features if isinstance(feature, StageMap)}
        if wanted != features:
            raise ValueError("a residual network has maps after its stages and nothing else")
        x = self.visual.stem(self.normalised(crops).to(self.visual.conv1.weight.dtype))
        outputs: dict[Feature, Tensor] = {}
        for number in range(1, max(feature.stage for feature in wanted) + 1):
            x = cast(nn.Module, getattr(self.visual, f"layer{number}"))(x)
            if StageMap(number) in wanted:
                outputs[StageMap(number)] = x.float()
        return outputs

    def width_of(self, feature: Feature) -> int | None:
        """Channels of a stage that it has."""
        if not isinstance(feature, StageMap) or not 1 <= feature.stage <= 4:
            return None
        width: int = self.visual.conv3.out_channels
        return width * EXPANSION << (feature.stage - 1)
