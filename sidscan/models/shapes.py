"""Shapes of weights: what a file's tensors say of the network that they belong to."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, TypeAlias


@dataclass(frozen=True, slots=True)
class HeadShape:
    """Shape of a RINE head (paper, section 3)."""

    num_blocks: int  # n
    embed_dim: int  # d
    proj_dim: int  # d'
    num_proj_layers: int  # q, Linear layers in each of Q1 and Q2

    def __str__(self) -> str:
        return f"n={self.num_blocks} d={self.embed_dim} d'={self.proj_dim} q={self.num_proj_layers}"


@dataclass(frozen=True, slots=True)
class ProbeShape:
    """Shape of a linear probe on an encoder's image embedding."""

    embed_dim: int

    def __str__(self) -> str:
        return f"linear probe on an embedding of {self.embed_dim}"


@dataclass(frozen=True, slots=True)
class EncoderShape:
    """Shape of a CLIP vision transformer; ``num_tokens`` counts the patches and the class token."""

    num_blocks: int
    embed_dim: int
    patch_size: int  # pixels
    num_tokens: int
    output_dim: int  # width after the projection

    def __str__(self) -> str:
        return (
            f"{self.num_blocks} blocks, width {self.embed_dim}, patch {self.patch_size}, "
            f"{self.num_tokens} tokens, embedding {self.output_dim}"
        )


@dataclass(frozen=True, slots=True)
class ResNetShape:
    """Shape of CLIP's residual network: blocks of its four stages, and widths."""

    layers: tuple[int, int, int, int]
    width: int  # of the stem
    output_dim: int  # width of the embedding

    def __str__(self) -> str:
        return f"stages of {self.layers} blocks, width {self.width}, embedding {self.output_dim}"


@dataclass(frozen=True, slots=True)
class DeclipShape:
    """Which decoder of DeCLIP reads what.

    Attributes:
        arch: the encoders, as the published code names them.
        layer: block of the vision transformer, from 0; stage of a residual network alone, from 1.
        decoder: ``conv-4``, ``conv-12``, ``conv-20``, ``linear`` or ``attention``.
        channels: of the features that it reads.
    """

    arch: str
    layer: int
    decoder: str
    channels: int

    def __str__(self) -> str:
        return f"{self.arch}, layer{self.layer}, {self.decoder} on {self.channels} channels"


@dataclass(frozen=True, slots=True)
class ConvNetShape:
    """Shape of a convolutional network that ends in one logit.

    Attributes:
        network: what it is called in publications.
        features: that its last layer reads.
    """

    network: str
    features: int

    def __str__(self) -> str:
        return f"{self.network}, one logit of {self.features} features"


@dataclass(frozen=True, slots=True)
class ProbedEncoderShape:
    """Shape of an encoder of its own under a linear probe on its embedding."""

    encoder: EncoderShape

    def __str__(self) -> str:
        return f"{self.encoder}; a linear probe"


@dataclass(frozen=True, slots=True)
class DiscriminatorShape:
    """Shape of StyleGAN's discriminator for images of 256x256 pixels.

    Attributes:
        first: channels at full resolution; each half as many pixels a side has twice as many, up to ``last``.
        last: channels at the end.
    """

    first: int
    last: int
    sides: ClassVar[tuple[int, ...]] = (256, 128, 64, 32, 16, 8, 4)  # pixels of the maps
    joined_from: ClassVar[int] = 128  # pixels: convolution and halving are one from this side on

    def width(self, side: int) -> int:
        """Channels of maps with that side, pixels."""
        return min(self.first * self.sides[0] // side, self.last)

    def __str__(self) -> str:
        return f"StyleGAN discriminator of 256 x 256 pixels, {self.first} to {self.last} channels"


Shape: TypeAlias = (
    HeadShape
    | ProbeShape
    | EncoderShape
    | ResNetShape
    | DeclipShape
    | ConvNetShape
    | ProbedEncoderShape
    | DiscriminatorShape
)
