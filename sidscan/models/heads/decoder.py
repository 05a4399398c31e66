"""What every decoder is: patch features of an encoder, or of several -> a map of logits."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping

import torch
from torch import Tensor, nn

from sidscan.models.backbones import Feature
from sidscan.models.backbones.base import Encoder


class Decoder(nn.Module, ABC):
    """Features -> a square map of logits, one per pixel of the tile that was read.

    Attributes:
        reads: for each of its encoders, in order, the features that it reads.
        channels: of all these features together.
        side: of the map, pixels; 0 where it follows the size of the crops.
    """

    reads: tuple[tuple[Feature, ...], ...]
    channels: int
    side: int

    def folded(self) -> Decoder:
        """A decoder that computes the same in fewer steps, for use after training; itself by default."""
        return self

    @abstractmethod
    def forward(self, *features: Tensor) -> Tensor:
        """Features, float32, in the order of ``reads`` -> logits (b, side, side), row by row."""


class LocalizerNetwork(nn.Module):
    """Encoders and a decoder as one network.

    Args:
        encoders: as many as the decoder reads, in its order; each is given the same crops.
    """

    def __init__(self, encoders: tuple[Encoder, ...], decoder: Decoder) -> None:
        super().__init__()
        self.encoders = nn.ModuleList(encoders)
        self.decoder = decoder

    @property
    def encoder_list(self) -> tuple[Encoder, ...]:
        """The encoders, in the order in which the decoder reads them."""
        return tuple(encoder for encoder in self.encoders if isinstance(encoder, Encoder))

    def forward(self, crops: Tensor) -> Tensor:
        """uint8 RGB crops (b, 3, h, w) -> logits (b, side, side), float32."""
        logits: Tensor = self.decoder(*self.read(crops))
        return logits.float()

    def read(self, crops: Tensor) -> list[Tensor]:
        """uint8 RGB crops (b, 3, h, w) -> the features that the decoder takes."""
        features = []
        for encoder, names in zip(self.encoder_list, self.decoder.reads, strict=True):
            found = encoder.read(crops, set(names))
            features += [found[name] for name in names]
        return features


def with_weights(decoder: Decoder, tensors: Mapping[str, Tensor]) -> Decoder:
    """The decoder with these weights, frozen and ready to compute.

    Raises:
        RuntimeError: names or shapes are not the decoder's.
    """
    decoder.load_state_dict(_with_counters(decoder, tensors), strict=True)
    return decoder.eval().requires_grad_(False)


def _with_counters(decoder: Decoder, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Batch normalisation counts its batches in training; files of weights may leave that out."""
    counters = {
        name: torch.zeros_like(tensor)
        for name, tensor in decoder.state_dict().items()
        if name.endswith("num_batches_tracked")
    }
    return counters | dict(tensors)
