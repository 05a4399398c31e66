"""Detectors as one network: uint8 crops in, one output per head; encoders run once."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from sidscan.models.backbones import Reading
from sidscan.models.detectors import Detector


class Network(nn.Module):
    """All that lies between decoded pixels and logits, normalisation included.

    Args:
        detectors: those that share an encoder hold the same encoder object (`models.detectors.load`).
    """

    def __init__(self, detectors: Sequence[Detector]) -> None:
        super().__init__()
        encoders = list({id(d.encoder): d.encoder for d in detectors}.values())
        places = {id(encoder): place for place, encoder in enumerate(encoders)}
        self.encoders = nn.ModuleList(encoders)
        self.heads = nn.ModuleList(detector.head for detector in detectors)
        self._reads: list[tuple[int, Reading]] = [
            (places[id(detector.encoder)], detector.head.reads) for detector in detectors
        ]

    def forward(self, crops: Tensor) -> tuple[Tensor, ...]:
        """Crops (b, 224, 224, 3) uint8 RGB -> one (b,) of logits per head, float32."""
        pixels = crops.permute(0, 3, 1, 2)
        read: list[dict[Reading, Tensor]] = []
        for place, encoder in enumerate(self.encoders):
            asked = {reading for owner, reading in self._reads if owner == place}
            read.append(encoder.read(pixels, asked))  # type: ignore[operator]
        return tuple(
            head(read[place][reading]).float()
            for head, (place, reading) in zip(self.heads, self._reads, strict=True)
        )


@torch.inference_mode()
def logits(network: Network, crops: Tensor) -> Tensor:
    """Crops (b, 224, 224, 3) -> (b, heads)."""
    return torch.stack(network(crops), dim=1)
