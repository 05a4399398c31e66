"""The layers of CLIP's vision transformer, under the names that open_clip gives their weights.

`sidscan.models.backbones.clip` says what is computed of them. open_clip's own classes compute the same, which
a test compares, but take longer to import than PyTorch: they bring timm, torchvision and a hub's client.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional

_HEAD_WIDTH = 64  # features per attention head in all of OpenAI's ViTs


class QuickGELU(nn.Module):
    """x * sigmoid(1.702 x), as OpenAI trained CLIP."""

    def forward(self, x: Tensor) -> Tensor:
        """Of any shape."""
        return x * torch.sigmoid(1.702 * x)


class ResidualAttentionBlock(nn.Module):
    """Attention and MLP of one block, each with the normalisation before it.

    Args:
        width: d, features of a token.
        mlp_width: features between the two layers of the MLP.
        exact_gelu: whether the MLP has the exact GELU instead of `QuickGELU`.
    """

    def __init__(self, width: int, mlp_width: int, exact_gelu: bool = False) -> None:
        super().__init__()
        self.ln_1 = nn.LayerNorm(width)
        self.attn = nn.MultiheadAttention(width, max(width // _HEAD_WIDTH, 1), batch_first=True)
        self.ln_2 = nn.LayerNorm(width)
        layers = (
            ("c_fc", nn.Linear(width, mlp_width)),
            ("gelu", nn.GELU() if exact_gelu else QuickGELU()),
            ("c_proj", nn.Linear(mlp_width, width)),
        )
        self.mlp = nn.Sequential(OrderedDict[str, nn.Module](layers))

    def attend(self, stream: Tensor, queries: int | None = None, causal: bool = False) -> Tensor:
        """Attention over the whole stream (b, tokens, d), for all tokens or the first ``queries`` of them.

        As `torch.nn.MultiheadAttention` computes it, but for its transposed tokens: products of those copy
        the weights for every crop of the batch, which in bfloat16 takes twenty times as long as all the rest.

        Args:
            causal: a token sees itself and those before it.
        """
        attention, (b, _, width) = self.attn, stream.shape
        normed = self.ln_1(stream)
        if queries is None:
            products = functional.linear(normed, attention.in_proj_weight, attention.in_proj_bias)
            q, k, v = products.chunk(3, dim=2)
        else:
            parts = [width, 2 * width]
            (to_q, to_kv), (of_q, of_kv) = (
                torch.split(attention.in_proj_weight, parts),
                torch.split(attention.in_proj_bias, parts),
            )
            q = functional.linear(normed[:, :queries].contiguous(), to_q, of_q)
            k, v = functional.linear(normed, to_kv, of_kv).chunk(2, dim=2)
        each = (attention.num_heads, width // attention.num_heads)
        q, k, v = (tokens.reshape(*tokens.shape[:2], *each).transpose(1, 2) for tokens in (q, k, v))
        mixed = functional.scaled_dot_product_attention(q, k, v, is_causal=causal)
        return cast(Tensor, attention.out_proj(mixed.transpose(1, 2).reshape(b, -1, width)))


class Transformer(nn.Module):
    """The blocks."""

    def __init__(self, width: int, mlp_width: int, blocks: int, exact_gelu: bool = False) -> None:
        super().__init__()
        self.resblocks = nn.ModuleList(
            ResidualAttentionBlock(width, mlp_width, exact_gelu) for _ in range(blocks)
        )


class VisionTransformer(nn.Module):
    """CLIP's image encoder, of the shape that the weights have.

    Args:
        state: weights under open_clip's names, without ``visual.``; only their names and shapes are read.
        exact_gelu: as most of open_clip's own models have it; OpenAI's have `QuickGELU`.

    Attributes:
        image_size: pixels, the side of the images that it reads.

    Raises:
        KeyError, ValueError: they are not of a CLIP vision transformer.
    """

    def __init__(self, state: Mapping[str, Tensor], exact_gelu: bool = False) -> None:
        super().__init__()
        width, _, patch, _ = state["conv1.weight"].shape
        tokens = state["positional_embedding"].shape[0]
        mlp_width = state["transformer.resblocks.0.mlp.c_fc.weight"].shape[0]
        self.image_size: int = round((tokens - 1) ** 0.5) * patch
        self.conv1 = nn.Conv2d(3, width, patch, stride=patch, bias=False)
        self.class_embedding = nn.Parameter(torch.empty(width))
        self.positional_embedding = nn.Parameter(torch.empty(tokens, width))
        self.ln_pre = nn.LayerNorm(width)
        blocks = sum(name.endswith("ln_2.weight") for name in state)
        self.transformer = Transformer(width, mlp_width, blocks, exact_gelu)
        self.ln_post = nn.LayerNorm(width)
        self.proj = nn.Parameter(torch.empty(width, state["proj"].shape[1]))
