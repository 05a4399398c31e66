"""CLIP's image encoder as RINE reads it: the CLS token after ``ln_2`` of every block."""

from __future__ import annotations

from collections.abc import Mapping
from typing import cast

import torch
from open_clip.transformer import QuickGELU, ResidualAttentionBlock, VisionTransformer
from torch import Tensor, nn

from sidscan.models.catalog import CLIP_MEAN, CLIP_STD

_HEAD_WIDTH = 64  # features per attention head in all of OpenAI's ViTs


class ClipEncoder(nn.Module):
    """RINE's view of a CLIP vision transformer.

    The published code hooks every block's ``ln_2``, i.e. K_l = LN2(x + attention)[CLS], before that
    block's MLP; the paper (section 3.1) writes the block's output. Published heads need the former.

    Nothing that no K_l depends on is computed: of the last block only the CLS query, and neither its
    MLP nor ``ln_post`` nor the projection.

    Args:
        visual: open_clip's vision transformer with QuickGELU, as OpenAI's weights need.
    """

    def __init__(self, visual: VisionTransformer) -> None:
        super().__init__()
        self.visual = visual
        self.blocks = len(visual.transformer.resblocks)
        self.width: int = visual.conv1.out_channels

    @classmethod
    def from_state(cls, state: Mapping[str, Tensor]) -> ClipEncoder:
        """An encoder with the given weights (open_clip's names, without ``visual.``), in float32.

        Its shape is read from the weights.

        Raises:
            RuntimeError: names or shapes are not those of a CLIP vision transformer.
        """
        with torch.device("meta"):
            visual = _empty_like(state)
        visual.load_state_dict(
            {name: tensor.float() for name, tensor in state.items()}, strict=True, assign=True
        )
        return cls(visual).eval().requires_grad_(False)

    def forward(self, crops: Tensor) -> Tensor:
        """uint8 RGB crops (b, 3, h, w) -> K (b, n, d), float32; h and w as the weights were trained for."""
        stream = self._embed(crops)
        features = []
        for block in self._resblocks()[:-1]:
            stream = stream + _attend(block, stream)
            normed = block.ln_2(stream)
            features.append(normed[:, 0])
            stream = stream + block.mlp(normed)
        last = self._resblocks()[-1]
        features.append(last.ln_2(stream[:, :1] + _attend(last, stream, queries=1))[:, 0])
        return torch.stack(features, dim=1).float()

    def _embed(self, crops: Tensor) -> Tensor:
        """Pixels -> token stream (b, tokens, d): normalisation, patches, CLS, positions, ln_pre."""
        visual = self.visual
        # Not buffers: these stay exact when the encoder is cast to half precision.
        mean, std = (torch.tensor(v, device=crops.device).view(3, 1, 1) for v in (CLIP_MEAN, CLIP_STD))
        normalised = (crops.float() / 255 - mean) / std
        patches = visual.conv1(normalised.to(visual.conv1.weight.dtype)).flatten(2).transpose(1, 2)
        cls = visual.class_embedding.to(patches.dtype).expand(len(patches), 1, -1)
        stream = torch.cat([cls, patches], dim=1) + visual.positional_embedding.to(patches.dtype)
        return cast(Tensor, visual.ln_pre(stream))

    def _resblocks(self) -> list[ResidualAttentionBlock]:
        return list(self.visual.transformer.resblocks)


def _attend(block: ResidualAttentionBlock, stream: Tensor, queries: int | None = None) -> Tensor:
    """A block's attention over the whole stream, for all tokens or for the first ``queries`` of them."""
    normed = block.ln_1(stream)
    attended, _ = block.attn(normed[:, :queries], normed, normed, need_weights=False)
    return cast(Tensor, attended)


def _empty_like(state: Mapping[str, Tensor]) -> VisionTransformer:
    width, _, patch, _ = state["conv1.weight"].shape
    tokens = state["positional_embedding"].shape[0]
    return VisionTransformer(
        image_size=round((tokens - 1) ** 0.5) * patch,
        patch_size=patch,
        width=width,
        layers=sum(1 for name in state if name.endswith("ln_2.weight")),
        heads=max(width // _HEAD_WIDTH, 1),
        mlp_ratio=state["transformer.resblocks.0.mlp.c_fc.weight"].shape[0] / width,
        output_dim=state["proj"].shape[1],
        act_layer=QuickGELU,
    )
