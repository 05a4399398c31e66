"""Logits of a detector's patches, whose mean is the logit of an image."""

from __future__ import annotations

from torch import Tensor, nn

from sidscan.models.backbones import Feature
from sidscan.models.heads.decoder import Decoder


class PatchLogits(Decoder):
    """A linear probe at each place of a map; its result has as many places, and no fixed side.

    Args:
        reads: the map, of the detector's encoder.
        weight, bias: of the probe, (1, channels) and (1,).
    """

    side = 0

    def __init__(self, reads: Feature, weight: Tensor, bias: Tensor) -> None:
        super().__init__()
        self.reads = ((reads,),)
        self.channels = weight.shape[1]
        self.probe = nn.Conv2d(self.channels, 1, 1)
        self.probe.load_state_dict({"weight": weight[..., None, None], "bias": bias})
        self.eval().requires_grad_(False)

    def forward(self, *features: Tensor) -> Tensor:
        """A map (b, channels, rows, columns), float32 -> logits (b, rows, columns)."""
        (places,) = features
        logits: Tensor = self.probe(places)
        return logits[:, 0]
