"""DeCLIP's decoders (Smeu, Oneata and Oneata, WACV 2025, arXiv 2409.08849).

Tensors have the names of the published files, so that those load strictly. Three kinds of decoder read CLIP's
features: ``conv-4``, ``conv-12`` and ``conv-20`` upsample them between convolutions, ``linear`` judges each
patch alone, ``attention`` after two more blocks of a transformer.
"""

from __future__ import annotations

import copy
from itertools import pairwise
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.fusion import fuse_conv_bn_eval

from sidscan.models.backbones import Feature, PatchTokens, StageMap
from sidscan.models.backbones.clip_layers import ResidualAttentionBlock
from sidscan.models.families.declip import BOTH, KERNEL, RESNET, SIDE, VIT, WIDTHS, Upsampling, upsampling
from sidscan.models.heads.decoder import Decoder

_FUSED_STAGE = 3  # of the residual network, beside a vision transformer


class ConvDecoder(Decoder):
    """Four blocks of convolutions, each doubling the side, and a last convolution to one logit per pixel.

    Args:
        channels: of the features.
        convs: of all blocks together: 4, 12 or 20.
        reads: one feature, or two of two encoders: a vision transformer's, then a residual network's.
        upsampling: which blocks double the side, and what follows them.
    """

    def __init__(
        self, channels: int, convs: int, reads: tuple[tuple[Feature, ...], ...], upsampling: Upsampling
    ) -> None:
        super().__init__()
        self.reads, self.channels, self.side = reads, channels, SIDE
        self.fc = nn.Sequential(*_conv_layers(channels, convs // len(WIDTHS), upsampling))

    def forward(self, *features: Tensor) -> Tensor:
        """Maps of features (b, c, g, g) -> logits (b, 256, 256)."""
        first, *others = features
        if others:
            size = first.shape[-2:]
            resized = [
                functional.interpolate(other, size=size, mode="bilinear", align_corners=False)
                for other in others
            ]
            first = torch.cat([first, *resized], dim=1)
        maps = self.fc[:-1](first)
        if maps.shape[-1] != SIDE:  # patches that are not 16 x 16: as published for residual networks
            maps = functional.interpolate(maps, size=(SIDE, SIDE), mode="bilinear", align_corners=False)
        return cast(Tensor, self.fc[-1](maps)).squeeze(1)

    def folded(self) -> ConvDecoder:
        """The same decoder, its batch normalisation as part of the convolutions before it."""
        other = copy.deepcopy(self).eval()
        layers = list(other.fc)
        for number, (layer, following) in enumerate(pairwise(layers)):
            if isinstance(layer, nn.Conv2d) and isinstance(following, nn.BatchNorm2d):
                layers[number], layers[number + 1] = fuse_conv_bn_eval(layer, following), nn.Identity()
        other.fc = nn.Sequential(*layers)
        return other.requires_grad_(False)


class LinearDecoder(Decoder):
    """A linear probe of every patch token, its 16 x 16 logits enlarged (bicubic)."""

    def __init__(self, channels: int, block: int) -> None:
        super().__init__()
        self.reads, self.channels, self.side = ((PatchTokens(block),),), channels, SIDE
        self.fc = nn.Sequential(nn.Linear(channels, 1))

    def forward(self, *features: Tensor) -> Tensor:
        """Patch tokens (b, d, g, g) -> logits (b, 256, 256)."""
        (tokens,) = features
        return _enlarged(self.fc(tokens.permute(0, 2, 3, 1)).squeeze(3))


class AttentionDecoder(Decoder):
    """Two blocks of a transformer over all tokens, then a linear probe of every patch.

    As published, attention is causal: a patch sees the class token and the patches before it, row by row.
    """

    def __init__(self, channels: int, block: int) -> None:
        super().__init__()
        self.reads = ((PatchTokens(block, with_class_token=True),),)
        self.channels, self.side = channels, SIDE
        self.att1, self.att2 = _CausalBlock(channels), _CausalBlock(channels)
        self.fc = nn.Sequential(nn.Linear(channels, 1))

    def forward(self, *features: Tensor) -> Tensor:
        """Tokens (b, 1 + g * g, d), the class token first -> logits (b, 256, 256)."""
        (tokens,) = features
        logits = self.fc(self.att2(self.att1(tokens)))[:, 1:, 0]
        side = round(logits.shape[1] ** 0.5)
        return _enlarged(logits.reshape(-1, side, side))


class _CausalBlock(ResidualAttentionBlock):
    """A residual block of CLIP's transformer, with a causal mask."""

    def __init__(self, width: int) -> None:
        super().__init__(width, 4 * width)

    def forward(self, tokens: Tensor) -> Tensor:
        tokens = tokens + self.attend(tokens, causal=True)
        return cast(Tensor, tokens + self.mlp(self.ln_2(tokens)))


def make_decoder(kind: str, arch: str, layer: int, channels: int) -> Decoder:
    """An untrained decoder, as the published code calls its parts.

    Args:
        kind: ``conv-4``, ``conv-12``, ``conv-20``, ``linear`` or ``attention``.
        arch: which encoders, by `sidscan.models.families.declip.ARCHS`.
        layer: block of the vision transformer, from 0; stage of a residual network alone, from 1.
        channels: of the features.
    """
    if kind == "linear":
        return LinearDecoder(channels, layer)
    if kind == "attention":
        return AttentionDecoder(channels, layer)
    reads: dict[str, tuple[tuple[Feature, ...], ...]] = {
        VIT: ((PatchTokens(layer),),),
        RESNET: ((StageMap(layer),),),
        BOTH: ((PatchTokens(layer),), (StageMap(_FUSED_STAGE),)),
    }
    return ConvDecoder(channels, int(kind.removeprefix("conv-")), reads[arch], upsampling(arch, layer))


def _conv_layers(channels: int, depth: int, upsampling: Upsampling) -> list[nn.Module]:
    """The layers of ``fc``; their numbers are those of the published files."""
    layers: list[nn.Module] = []
    for width, doubles in zip(WIDTHS, upsampling.doubles, strict=True):
        for inputs in (channels, *[width] * (depth - 1)):
            layers += [
                nn.Conv2d(inputs, width, KERNEL, padding=KERNEL // 2),
                nn.BatchNorm2d(width),
                nn.ReLU(),
            ]
        channels = width
        if doubles:
            layers.append(nn.Upsample(scale_factor=2, mode="bilinear"))
    if upsampling.fixed:
        layers.append(nn.Upsample(size=(SIDE, SIDE), mode="bilinear"))
    return [*layers, nn.Conv2d(channels, 1, KERNEL, padding=KERNEL // 2)]


def _enlarged(logits: Tensor) -> Tensor:
    """Logits (b, g, g) -> (b, 256, 256)."""
    return functional.interpolate(logits[:, None], size=(SIDE, SIDE), mode="bicubic").squeeze(1)
