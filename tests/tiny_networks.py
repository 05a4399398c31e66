"""Seeded random networks with the shapes and names of the published ones."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

from sidscan.models.heads.rine import RineHead


def random_clip(
    width: int, blocks: int, patch: int, side: int, embedding: int, seed: int = 0
) -> dict[str, torch.Tensor]:
    """Seeded weights of a CLIP vision transformer with open_clip's names."""
    generator = torch.Generator().manual_seed(seed)

    def normal(*shape: int, scale: float) -> torch.Tensor:
        return torch.randn(*shape, generator=generator) * scale

    def norm() -> tuple[torch.Tensor, torch.Tensor]:
        return 1 + normal(width, scale=0.1), normal(width, scale=0.1)

    state = {
        "conv1.weight": normal(width, 3, patch, patch, scale=(3 * patch * patch) ** -0.5),
        "class_embedding": normal(width, scale=0.5),
        "positional_embedding": normal((side // patch) ** 2 + 1, width, scale=0.5),
        "proj": normal(width, embedding, scale=width**-0.5),
    }
    for name in ("ln_pre", "ln_post"):
        state[f"{name}.weight"], state[f"{name}.bias"] = norm()
    for index in range(blocks):
        prefix = f"transformer.resblocks.{index}."
        for name in ("ln_1", "ln_2"):
            state[f"{prefix}{name}.weight"], state[f"{prefix}{name}.bias"] = norm()
        for name, rows, columns in (
            ("attn.in_proj_", 3 * width, width),
            ("attn.out_proj.", width, width),
            ("mlp.c_fc.", 4 * width, width),
            ("mlp.c_proj.", width, 4 * width),
        ):
            state[f"{prefix}{name}weight"] = normal(rows, columns, scale=columns**-0.5)
            state[f"{prefix}{name}bias"] = normal(rows, scale=0.1)
    return state


def open_clip_visual(state: Mapping[str, torch.Tensor]) -> Any:
    """open_clip's own vision transformer, ready to compute, with weights as `random_clip` names them."""
    from open_clip.transformer import QuickGELU, VisionTransformer

    width, _, patch, _ = state["conv1.weight"].shape
    visual = VisionTransformer(
        image_size=round((len(state["positional_embedding"]) - 1) ** 0.5) * patch,
        patch_size=patch,
        width=width,
        layers=sum(name.endswith("ln_2.weight") for name in state),
        heads=width // 64,
        mlp_ratio=4.0,
        output_dim=state["proj"].shape[1],
        act_layer=QuickGELU,
    )
    visual.load_state_dict(state, strict=True)
    return visual.eval().requires_grad_(False)


def random_head(blocks: int, width: int, projected: int, layers: int) -> RineHead:
    """A seeded head in evaluation mode, its weights large enough for logits of the order of one."""
    torch.manual_seed(1)
    head = RineHead(blocks, width, projected, layers).eval()
    for parameter in head.parameters():
        if parameter.dim() == 2:
            torch.nn.init.normal_(parameter, std=(2 / parameter.shape[1]) ** 0.5)
    return head
