"""Localizers with random weights: a small CLIP encoder, and a decoder that reads it."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import NamedTuple

import torch
from safetensors.torch import save_file
from tiny_networks import random_clip

from sidscan.models.families import localizer_family
from sidscan.models.families.clip_resnet import resnet_sizes
from sidscan.models.heads.declip import make_decoder
from sidscan.models.localizer_checkpoints import LocalizerCheckpoint
from sidscan.models.shapes import DeclipShape, ResNetShape

# 16 x 16 patches, as CLIP ViT-L/14 has them
CLIP = {"width": 64, "blocks": 2, "patch": 14, "side": 224, "embedding": 8}
CONFIG = {"arch": "CLIP:ViT-L/14", "layer": 1, "decoder": "linear", "channels": 64}


class SampleLocalizer(NamedTuple):
    """A checkpoint, and the encoder that it reads (``--encoder FILE``)."""

    model: Path
    encoder: Path


def write_localizer(
    folder: Path, alarm_area: float | None = 0.02, decoder: str = "linear"
) -> SampleLocalizer:
    """Both files, as training would leave them; the weights are seeded, the maps not uniform."""
    encoder = folder / "clip.safetensors"
    save_file({f"visual.{name}": tensor for name, tensor in random_clip(**CLIP).items()}, encoder)
    model = folder / "localizer.safetensors"
    model.write_bytes(random_checkpoint(encoder, alarm_area, decoder).to_bytes())
    return SampleLocalizer(model, encoder)


def random_checkpoint(
    encoder: Path, alarm_area: float | None = 0.02, decoder: str = "linear"
) -> LocalizerCheckpoint:
    """A decoder that reads the encoder in a file."""
    family, config = localizer_family("declip"), {**CONFIG, "decoder": decoder}
    torch.manual_seed(7)
    return LocalizerCheckpoint(
        tensors=family.untrained(config).state_dict(),
        family="declip",
        config=config,
        encoders={encoder.name: hashlib.sha256(encoder.read_bytes()).hexdigest()},
        tile=family.tile,
        alarm_area=alarm_area,
        licence="Apache-2.0",
        facts={"seed": 7},
    )


def small_resnet(path: Path) -> Path:
    """Random weights of CLIP's residual network, named as OpenAI names them."""
    generator = torch.Generator().manual_seed(0)
    state = {
        name: torch.rand(size, generator=generator) * 0.1
        for name, size in resnet_sizes(ResNetShape((1, 1, 1, 1), 8, 16), 7).items()
    }
    save_file({f"visual.{name}": tensor for name, tensor in state.items()}, path)
    return path


def write_fusion_localizer(folder: Path) -> tuple[Path, list[Path]]:
    """A decoder that reads a transformer and a residual network, and the files of both."""
    encoders = [write_localizer(folder).encoder, small_resnet(folder / "resnet.safetensors")]
    family = localizer_family("declip")
    config = {"arch": "CLIP:ViT-L/14,RN50", "layer": 1, "decoder": "conv-4", "channels": 64 + 128}
    torch.manual_seed(7)
    checkpoint = LocalizerCheckpoint(
        tensors=family.untrained(config).state_dict(),
        family="declip",
        config=config,
        encoders={path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in encoders},
        tile=family.tile,
    )
    model = folder / "fusion.safetensors"
    model.write_bytes(checkpoint.to_bytes())
    return model, encoders


def published_file(path: Path, shape: DeclipShape, seed: int = 0, **other: object) -> Path:
    """A file as DeCLIP's training saves it: decoder, state of AdamW, and what the run was told.

    Args:
        other: further entries, or other values of these.
    """
    torch.manual_seed(seed)
    decoder = make_decoder(shape.decoder, shape.arch, shape.layer, shape.channels)
    optimiser = torch.optim.AdamW(decoder.parameters(), lr=1e-3, betas=(0.9, 0.999), weight_decay=0)
    for parameter in decoder.parameters():
        parameter.grad = torch.ones_like(parameter)
    optimiser.step()
    content = {
        "model": decoder.state_dict(),
        "optimizer": optimiser.state_dict(),
        "total_steps": 7,
        "feature_layer": f"layer{shape.layer}",
        "decoder_type": shape.decoder,
        **other,
    }
    torch.save(content, path)
    return path
