"""Seeded random weights in CLIP's and RINE's shapes, as files that sidscan loads; enough to measure speed."""

from __future__ import annotations

import hashlib
from pathlib import Path

import torch
from safetensors.torch import save_file

from sidscan.models.checkpoints import Checkpoint
from sidscan.models.heads.rine import RineHead

SHAPES = {
    "tiny": {"width": 64, "blocks": 3, "patch": 28, "embedding": 16},  # for results, not for times
    "vit-b16": {"width": 768, "blocks": 12, "patch": 16, "embedding": 512},
    "vit-b32": {"width": 768, "blocks": 12, "patch": 32, "embedding": 512},
    "vit-l14": {"width": 1024, "blocks": 24, "patch": 14, "embedding": 768},
}
HEADS = {"1class": (1024, 4), "2class": (128, 4), "4class": (1024, 2), "ldm": (1024, 4)}  # published: d', q


def make_encoder(path: Path, shape: dict[str, int]) -> None:
    """Seeded random weights in open_clip's layout; high-pass patch filters distinguish spectra."""
    torch.manual_seed(0)
    width, patch = shape["width"], shape["patch"]
    kernel = torch.randn(width, 3, patch, patch)
    kernel = 8 * (kernel - torch.nn.functional.avg_pool2d(kernel, 3, 1, 1)) * (3 * patch * patch) ** -0.5
    state = {
        "conv1.weight": kernel,
        "class_embedding": torch.randn(width) * 0.5,
        "positional_embedding": (torch.randn(width) * 0.5).repeat((224 // patch) ** 2 + 1, 1),
        "proj": torch.randn(width, shape["embedding"]) * width**-0.5,
    }
    norms = ["ln_pre", "ln_post"]
    for block in (f"transformer.resblocks.{number}" for number in range(shape["blocks"])):
        norms += [f"{block}.ln_1", f"{block}.ln_2"]
        for name, rows, columns in (
            ("attn.in_proj_", 3 * width, width),
            ("attn.out_proj.", width, width),
            ("mlp.c_fc.", 4 * width, width),
            ("mlp.c_proj.", width, 4 * width),
        ):
            state[f"{block}.{name}weight"] = torch.randn(rows, columns) * columns**-0.5
            state[f"{block}.{name}bias"] = torch.randn(rows) * 0.1
    for name in norms:
        state[f"{name}.weight"], state[f"{name}.bias"] = torch.ones(width), torch.zeros(width)
    save_file({f"visual.{name}": tensor.contiguous() for name, tensor in state.items()}, path)


def make_heads(folder: Path, encoder: Path, shape: dict[str, int]) -> list[Path]:
    """Checkpoints of all four published shapes, their weights large enough for logits of the order of one."""
    sha256 = hashlib.sha256(encoder.read_bytes()).hexdigest()
    paths = []
    for seed, (name, (projected, layers)) in enumerate(HEADS.items()):
        torch.manual_seed(seed)
        head = RineHead(shape["blocks"], shape["width"], projected, layers)
        for parameter in head.parameters():
            if parameter.dim() == 2:
                torch.nn.init.normal_(parameter, std=(2 / parameter.shape[1]) ** 0.5)
        paths.append(folder / f"{name}.safetensors")
        checkpoint = Checkpoint(dict(head.state_dict()), "rine", encoder.name, sha256, 0.5, {})
        paths[-1].write_bytes(checkpoint.to_bytes())
    return paths
