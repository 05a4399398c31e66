"""CLIP's image encoder, as RINE (the CLS token after every block's ``ln_2``), DeCLIP and others read it."""

from __future__ import annotations

from collections.abc import Mapping, Set
from typing import cast

import torch
from torch import Tensor

from sidscan.models.backbones import Feature, PatchTokens
from sidscan.models.backbones.clip_layers import ResidualAttentionBlock, VisionTransformer
from sidscan.models.backbones.clip_pixels import ClipPixels


class ClipEncoder(ClipPixels):
    """A CLIP vision transformer, read at every depth.

    The published code hooks every block's ``ln_2``, i.e. K_l = LN2(x + attention)[CLS], before that
    block's MLP; the paper (section 3.1) writes the block's output. Published heads need the former.

    Nothing is computed that no feature depends on: for RINE, of the last block only the CLS query, and
    neither its MLP nor ``ln_post`` nor the projection.

    Args:
        visual: the vision transformer, with its weights.
    """

    def __init__(self, visual: VisionTransformer) -> None:
        super().__init__()
        self.visual = visual
        self.num_blocks = len(visual.transformer.resblocks)
        self.embed_dim: int = visual.conv1.out_channels
        self.output_dim: int = visual.proj.shape[1]
        self.side: int = visual.image_size  # pixels
        self.depths = self.num_blocks * (self.embed_dim,)
        self.levels = self.num_blocks * ((self.embed_dim, self.side // visual.conv1.kernel_size[0]),)
        self.place_statistics()

    @classmethod
    def from_state(cls, state: Mapping[str, Tensor], exact_gelu: bool = False) -> ClipEncoder:
        """An encoder with the given weights (open_clip's names, without ``visual.``), in float32.

        Its shape is read from the weights, which don't tell its activation function.

        Args:
            exact_gelu: as most of open_clip's own models have it; OpenAI's have QuickGELU.

        Raises:
            RuntimeError: names or shapes are not those of a CLIP vision transformer.
        """
        with torch.device("meta"):
            visual = VisionTransformer(state, exact_gelu)
        visual.load_state_dict(
            {name: tensor.float() for name, tensor in state.items()}, strict=True, assign=True
        )
        return cls(visual).eval().requires_grad_(False)

    @property
    def description(self) -> dict[str, object]:
        """The activation function of its blocks, too."""
        activation = type(self._resblocks()[0].mlp[1]).__name__
        return {**super().description, "activation": activation}

    def forward(self, crops: Tensor) -> Tensor:
        """uint8 RGB crops (b, 3, h, w) -> K (b, n, d), float32; h and w as the weights were trained for."""
        return self.read(crops, {"blocks"})["blocks"]

    def read(self, crops: Tensor, features: Set[Feature]) -> dict[Feature, Tensor]:
        """uint8 RGB crops (b, 3, h, w) -> the features asked for, float32.

        ``blocks`` and ``maps`` are tokens after every block's ``ln_2``, CLS and patches; ``embedding`` is
        CLIP's own, CLS after the last block, ``ln_post`` and the projection; ``pooled`` the same before the
        projection. `PatchTokens` are the stream
        that leaves a block: alone, they need no block above theirs.
        """
        taps = {feature for feature in features if isinstance(feature, PatchTokens)}
        if taps == features:
            return self._read_taps(crops, taps)
        last_number = self.num_blocks - 1
        patches_too = "maps" in features or any(tap.block == last_number for tap in taps)
        tokens_read = None if patches_too else 1  # all, or CLS alone
        stream, normed = self._embed(crops), []
        outputs: dict[Feature, Tensor] = {}  # a call of the type can not be compiled
        for number, block in enumerate(self._resblocks()[:-1]):
            stream = stream + block.attend(stream)
            both = block.ln_2(stream)
            normed.append(both[:, :tokens_read])
            stream = stream + block.mlp(both)
            outputs |= _tapped(stream, taps, number)
        last = self._resblocks()[-1]
        ending = stream[:, :tokens_read] + last.attend(stream, queries=tokens_read)
        normed.append(last.ln_2(ending))
        if any(tap.block == last_number for tap in taps):
            outputs |= _tapped(ending + last.mlp(normed[-1]), taps, last_number)
        if "blocks" in features:
            outputs["blocks"] = torch.stack([tokens[:, 0] for tokens in normed], dim=1).float()
        if "maps" in features:
            outputs["maps"] = torch.stack([_as_map(tokens[:, 1:]) for tokens in normed], dim=1).float()
        if "embedding" in features or "pooled" in features:
            cls = self.visual.ln_post(ending[:, 0] + last.mlp(normed[-1][:, :1])[:, 0])
            if "pooled" in features:
                outputs["pooled"] = cls.float()
            if "embedding" in features:
                outputs["embedding"] = (cls @ self.visual.proj).float()
        return outputs

    def width_of(self, feature: Feature) -> int | None:
        """Channels of the patch tokens after a block that it has."""
        has = isinstance(feature, PatchTokens) and 0 <= feature.block < self.num_blocks
        return self.embed_dim if has else None

    def _read_taps(self, crops: Tensor, taps: Set[PatchTokens]) -> dict[Feature, Tensor]:
        """The stream after some blocks, and nothing computed above the highest of them."""
        stream, outputs = self._embed(crops), dict[Feature, Tensor]()
        for number in range(max(tap.block for tap in taps) + 1):
            block = self._resblocks()[number]
            stream = stream + block.attend(stream)
            stream = stream + block.mlp(block.ln_2(stream))
            outputs |= _tapped(stream, taps, number)
        return outputs

    def _embed(self, crops: Tensor) -> Tensor:
        """Pixels -> token stream (b, tokens, d): normalisation, patches, CLS, positions, ln_pre."""
        visual = self.visual
        pixels = self.normalised(crops).to(visual.conv1.weight.dtype)
        patches = visual.conv1(pixels).flatten(2).transpose(1, 2)
        cls = visual.class_embedding.to(patches.dtype).expand(patches.shape[0], 1, -1)
        stream = torch.cat([cls, patches], dim=1) + visual.positional_embedding.to(patches.dtype)
        return cast(Tensor, visual.ln_pre(stream))

    def _resblocks(self) -> list[ResidualAttentionBlock]:
        return cast(list[ResidualAttentionBlock], list(self.visual.transformer.resblocks))


def _tapped(stream: Tensor, taps: Set[PatchTokens], number: int) -> dict[Feature, Tensor]:
    """What is asked for of the stream that leaves a block."""
    return {
        tap: (stream if tap.with_class_token else _as_map(stream[:, 1:])).float()
        for tap in taps
        if tap.block == number
    }


def _as_map(patches: Tensor) -> Tensor:
    """Patch tokens (b, g * g, d) -> (b, d, g, g)."""
    side = round(patches.shape[1] ** 0.5)
    return patches.transpose(1, 2).reshape(patches.shape[0], -1, side, side)
