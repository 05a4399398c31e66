"""Exported graphs of small networks with random weights."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import NamedTuple

import torch
from safetensors.torch import save_file
from tiny_networks import random_clip, random_head

from sidscan.models.checkpoints import Checkpoint
from sidscan.models.heads.base import Head
from sidscan.models.heads.linear_probe import LinearProbe

CLIP = {"width": 64, "blocks": 2, "patch": 56, "side": 224, "embedding": 8}


class ExportedGraphs(NamedTuple):
    """Two checkpoints on one encoder, and their graphs."""

    models: tuple[Path, Path]
    encoder: Path
    fp32: Path
    fp16: Path


def export_graphs(folder: Path) -> ExportedGraphs:
    """Write both checkpoints and their encoder into a folder, and export them in fp32 and fp16."""
    from sidscan.exporters.onnx import export

    encoder = folder / "clip.safetensors"
    save_file({f"visual.{name}": tensor for name, tensor in random_clip(**CLIP).items()}, encoder)
    torch.manual_seed(2)
    models = (
        _checkpoint(folder / "one.safetensors", encoder, random_head(2, 64, 16, 2), "rine"),
        _checkpoint(folder / "two.safetensors", encoder, LinearProbe(8), "linear"),
    )
    for precision in ("fp32", "fp16"):
        export([str(model) for model in models], folder / f"{precision}.onnx", precision, encoder)
    return ExportedGraphs(models, encoder, folder / "fp32.onnx", folder / "fp16.onnx")


def _checkpoint(path: Path, encoder: Path, head: Head, kind: str) -> Path:
    sha256 = hashlib.sha256(encoder.read_bytes()).hexdigest()
    checkpoint = Checkpoint(dict(head.state_dict()), kind, encoder.name, sha256, 0.4, {})
    path.write_bytes(checkpoint.to_bytes())
    return path
