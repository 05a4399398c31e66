"""Detectors with seeded random weights in the files that their authors publish."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torchvision.models import resnet50

ADAM = {
    "lr": 1e-4,
    "betas": (0.9, 0.999),
    "eps": 1e-8,
    "weight_decay": 0,
    "amsgrad": False,
    "params": [14037],
}


def random_like(state: Mapping[str, Tensor], seed: int = 0) -> dict[str, Tensor]:
    """Seeded weights of a convolutional network, such that its logits are of the order of one."""
    generator = torch.Generator().manual_seed(seed)
    tensors: dict[str, Tensor] = {}
    for name, tensor in state.items():
        if name.endswith("num_batches_tracked"):
            tensors[name] = torch.tensor(9)
        elif name.endswith("running_var"):
            tensors[name] = 0.5 + torch.rand(tensor.shape, generator=generator)
        elif tensor.dim() == 4:
            scale = (2 / tensor[0].numel()) ** 0.5
            tensors[name] = torch.randn(tensor.shape, generator=generator) * scale
        elif tensor.dim() == 2:
            tensors[name] = torch.randn(tensor.shape, generator=generator) * tensor.shape[1] ** -0.5 / 8
        else:
            tensors[name] = torch.randn(tensor.shape, generator=generator) * 0.1
            is_scale = name.endswith("weight")
            tensors[name] += (0.3 if "bn3" in name else 1.0) if is_scale else 0.0
    return tensors


def resnet50_state(seed: int = 0) -> dict[str, Tensor]:
    """torchvision's ResNet-50 with one output."""
    with torch.device("meta"):
        state = resnet50(num_classes=1).state_dict()
    return random_like(state, seed)


def npr_state(seed: int = 0) -> dict[str, Tensor]:
    """NPR's network: two stages, a first convolution of 3x3, and ``fc1``."""
    with torch.device("meta"):
        whole = resnet50(num_classes=1).state_dict()
        state = {n: t for n, t in whole.items() if not n.startswith(("layer3", "layer4", "fc", "conv1"))}
        sizes = {"conv1.weight": (64, 3, 3, 3), "fc1.weight": (1, 512), "fc1.bias": (1,)}
        state |= {name: torch.empty(size) for name, size in sizes.items()}
    return random_like(state, seed)


def as_training_saves(
    path: Path, state: Mapping[str, Tensor], by_zip: bool = True, name: str = "model"
) -> Path:
    """A network with the state of its optimiser, as CNNDetection's code and those that follow it save it.

    Args:
        by_zip: as PyTorch does since version 1.6.
        name: of the network among what is saved.
    """
    moments = {14037: {"step": 7, "exp_avg": torch.ones(2), "exp_avg_sq": torch.ones(2)}}
    saved = {
        name: dict(state),
        "optimizer": {"state": moments, "param_groups": [ADAM]},
        "total_steps": 7,
        "best": np.float64(0.75),  # some note a figure as NumPy's
    }
    torch.save(saved, path, _use_new_zipfile_serialization=by_zip)
    return path


def as_transformers(visual: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """A CLIP image encoder (open_clip's names) under the names of transformers' CLIPModel."""
    width = visual["class_embedding"].shape[0]
    named = {
        "vision_model.embeddings.class_embedding": visual["class_embedding"],
        "vision_model.embeddings.patch_embedding.weight": visual["conv1.weight"],
        "vision_model.embeddings.position_embedding.weight": visual["positional_embedding"],
        "visual_projection.weight": visual["proj"].T.contiguous(),
    }
    blocks = sum(name.endswith("ln_2.weight") for name in visual)
    for part in ("weight", "bias"):
        named[f"vision_model.pre_layrnorm.{part}"] = visual[f"ln_pre.{part}"]
        named[f"vision_model.post_layernorm.{part}"] = visual[f"ln_post.{part}"]
        for i in range(blocks):
            ours, theirs = f"transformer.resblocks.{i}", f"vision_model.encoder.layers.{i}"
            joined = visual[f"{ours}.attn.in_proj_{part}"]
            for letter, piece in zip("qkv", torch.split(joined, width), strict=True):
                named[f"{theirs}.self_attn.{letter}_proj.{part}"] = piece.clone()
            named[f"{theirs}.self_attn.out_proj.{part}"] = visual[f"{ours}.attn.out_proj.{part}"]
            named[f"{theirs}.layer_norm1.{part}"] = visual[f"{ours}.ln_1.{part}"]
            named[f"{theirs}.layer_norm2.{part}"] = visual[f"{ours}.ln_2.{part}"]
            named[f"{theirs}.mlp.fc1.{part}"] = visual[f"{ours}.mlp.c_fc.{part}"]
            named[f"{theirs}.mlp.fc2.{part}"] = visual[f"{ours}.mlp.c_proj.{part}"]
    return named


def c2p_state(visual: Mapping[str, Tensor], seed: int = 0) -> dict[str, Tensor]:
    """What C2P-CLIP's authors publish: the adapted encoder and ``fc``, all below ``model``."""
    generator = torch.Generator().manual_seed(seed)
    probe = {
        "fc.weight": torch.randn(1, visual["proj"].shape[1], generator=generator) * 2,
        "fc.bias": torch.randn(1, generator=generator),
    }
    return {f"model.{name}": tensor for name, tensor in (as_transformers(visual) | probe).items()}


def clip_based_state(width: int, seed: int = 0) -> dict[str, Tensor]:
    """What ClipBased-SID's authors publish: ``fc`` on tokens of this width."""
    generator = torch.Generator().manual_seed(seed)
    return {
        "fc.weight": torch.randn(1, width, generator=generator) * 2,
        "fc.bias": torch.randn(1, generator=generator),
    }


def as_open_clip_trains(visual: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """An image encoder as open_clip saves it, its text tower beside it."""
    named = {f"visual.{name}": tensor for name, tensor in visual.items()}
    return {"logit_scale": torch.ones([]), "token_embedding.weight": torch.zeros(2, 2), **named}


def patch_forensics_state(seed: int = 0) -> dict[str, Tensor]:
    """Patch-Forensics' Xception up to its second block, and ``convout``."""
    sizes = {
        "conv1.weight": (32, 3, 3, 3),
        "conv2.weight": (64, 32, 3, 3),
        "convout.weight": (2, 256, 1, 1),
        "convout.bias": (2,),
    }
    norms = {"bn1": 32, "bn2": 64, "block1.skipbn": 128, "block2.skipbn": 256}
    for name, inputs, outputs in (
        ("block1.rep.0", 64, 128),
        ("block1.rep.3", 128, 128),
        ("block2.rep.1", 128, 256),
        ("block2.rep.4", 256, 256),
    ):
        sizes[f"{name}.conv1.weight"] = (inputs, 1, 3, 3)
        sizes[f"{name}.pointwise.weight"] = (outputs, inputs, 1, 1)
        block, _, number = name.rpartition(".")
        norms[f"{block}.{int(number) + 1}"] = outputs
    sizes |= {"block1.skip.weight": (128, 64, 1, 1), "block2.skip.weight": (256, 128, 1, 1)}
    for name, width in norms.items():
        sizes |= {f"{name}.{part}": (width,) for part in ("weight", "bias", "running_mean", "running_var")}
        sizes[f"{name}.num_batches_tracked"] = ()
    return random_like({name: torch.empty(size, device="meta") for name, size in sizes.items()}, seed)


def discriminator_state(first: int, last: int, seed: int = 0) -> dict[str, Tensor]:
    """StyleGAN's discriminator for 256x256 pixels as genforce's converter names it, of such widths."""
    generator = torch.Generator().manual_seed(seed)
    kernel = torch.tensor([1.0, 2.0, 1.0])
    tensors = {"lod": torch.zeros(())}

    def add(name: str, *size: int) -> None:
        tensors[f"{name}.weight"] = torch.randn(*size, generator=generator)
        tensors[f"{name}.bias"] = torch.randn(size[0], generator=generator) * 0.1

    for number in range(7):
        width, next_width = min(first << number, last), min(first << number + 1, last)
        add(f"input{number}", width, 3, 1, 1)
        if number < 6:
            add(f"layer{2 * number}", width, width, 3, 3)
            add(f"layer{2 * number + 1}", next_width, width, 3, 3)
            blur = torch.outer(kernel, kernel).expand(width, 1, 3, 3) / 16
            tensors[f"layer{2 * number + 1}.blur.kernel"] = blur.clone()
    add("layer12", last, last + 1, 3, 3)
    add("layer13", last, last * 16)
    add("layer14", 1, last)
    return tensors
