"""A small vision transformer and a small convolutional network that timm builds by name.

Importing this registers them with timm.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import timm
import torch
from safetensors.torch import save_file
from timm.models import ConvNeXt, VisionTransformer, generate_default_cfgs, register_model
from timm.models._builder import build_model_with_cfg

VIT, CONV = "timm:sidscan_tiny_vit", "timm:sidscan_tiny_conv"
MEAN, STD = (0.5, 0.4, 0.3), (0.2, 0.3, 0.4)
_STATED = {"input_size": (3, 224, 224), "mean": MEAN, "std": STD, "first_conv": "x", "num_classes": 7}
_FIXED = {**_STATED, "fixed_input_size": True, "classifier": "head"}
default_cfgs = generate_default_cfgs(
    {
        "sidscan_tiny_vit.ours": {**_FIXED, "hf_hub_id": "timm/"},
        "sidscan_tiny_vit.wide": {**_FIXED, "input_size": (3, 384, 384)},
        "sidscan_tiny_conv.ours": {**_STATED, "classifier": "head.fc", "url": "https://example.org/c.pth"},
    }
)


@register_model
def sidscan_tiny_vit(pretrained: bool = False, **options: Any) -> Any:
    """Two blocks of width 64 on patches of 56 px; a classifier of 7."""
    shape: dict[str, Any] = {"patch_size": 56, "embed_dim": 64, "depth": 2, "num_heads": 2}
    return build_model_with_cfg(VisionTransformer, "sidscan_tiny_vit", pretrained, **shape, **options)


@register_model
def sidscan_tiny_conv(pretrained: bool = False, **options: Any) -> Any:
    """Four stages, of two widths."""
    shape: dict[str, Any] = {"depths": (1, 1, 1, 1), "dims": (8, 8, 16, 16)}
    return build_model_with_cfg(ConvNeXt, "sidscan_tiny_conv", pretrained, **shape, **options)


def weights_of(name: str, path: Path) -> Path:
    """Seeded random weights of one of them, as timm publishes weights."""
    torch.manual_seed(0)
    save_file(timm.create_model(name.partition(":")[2], pretrained=False).state_dict(), path)
    return path
