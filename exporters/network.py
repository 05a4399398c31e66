"""Models as one network: uint8 crops in; a detector's logits out, or a localizer's map. Encoders run once."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from sidscan.models.backbones import Feature
from sidscan.models.backbones.base import Encoder
from sidscan.models.detectors import Detector
from sidscan.models.heads.base import Head
from sidscan.models.heads.decoder import LocalizerNetwork
from sidscan.models.localizer_graph import OUTPUT_NAME
from sidscan.models.onnx_graph import output_names


class FeatureReader(nn.Module):
    """An encoder with the features read of it, as one module: exporters note the module of every operation.

    Args:
        encoder: a module.
        features: in the order of the outputs.
    """

    def __init__(self, encoder: Encoder, features: Sequence[Feature]) -> None:
        super().__init__()
        self.encoder = encoder
        self.features = tuple(features)

    def forward(self, crops: Tensor) -> tuple[Tensor, ...]:
        """Crops (b, 3, 224, 224) uint8 RGB -> features."""
        outputs = self.encoder.read(crops, set(self.features))
        return tuple(outputs[feature] for feature in self.features)


class ExportNetwork(nn.Module):
    """All that lies between decoded pixels and logits, normalisation included.

    Args:
        detectors: those that share an encoder hold the same encoder object (`models.detectors`).

    Attributes:
        mirror_invariant: of all its encoders.
    """

    def __init__(self, detectors: Sequence[Detector]) -> None:
        super().__init__()
        encoders = list({id(d.encoder): d.encoder for d in detectors}.values())
        read = [
            sorted({d.head.feature for d in detectors if d.encoder is encoder}, key=str)
            for encoder in encoders
        ]  # of every encoder
        self.encoders = nn.ModuleList(FeatureReader(*both) for both in zip(encoders, read, strict=True))
        self.heads = nn.ModuleList(detector.head for detector in detectors)
        owners = [next(i for i, e in enumerate(encoders) if e is d.encoder) for d in detectors]
        self._sources = [
            (owner, read[owner].index(d.head.feature)) for owner, d in zip(owners, detectors, strict=True)
        ]  # of every head: which encoder, which of its features

        self._probed = [detector.info.probed for detector in detectors]
        self.output_names = output_names([detector.info for detector in detectors])
        self.mirror_invariant = all(detector.encoder.mirror_invariant for detector in detectors)

    def forward(self, crops: Tensor) -> tuple[Tensor, ...]:
        """Crops (b, 224, 224, 3) uint8 RGB -> one (b,) of logits per output, float32."""
        pixels = crops.permute(0, 3, 1, 2)
        read = [encoder(pixels) for encoder in self.encoders]
        features = [read[owner][index] for owner, index in self._sources]
        logits = [head(of_head) for head, of_head in zip(self.heads, features, strict=True)]
        for head, of_head, kinds in zip(self.heads, features, self._probed, strict=True):
            assert isinstance(head, Head)
            logits += [head.caution_logits(of_head, kind) for kind in kinds]
        return tuple(each.float() for each in logits)


class MapNetwork(nn.Module):
    """All that lies between resized tiles and probabilities, normalisation included.

    Args:
        network: of a localizer.
    """

    output_names: Sequence[str] = (OUTPUT_NAME,)

    def __init__(self, network: LocalizerNetwork) -> None:
        super().__init__()
        pairs = zip(network.encoder_list, network.decoder.reads, strict=True)
        self.encoders = nn.ModuleList(FeatureReader(*pair) for pair in pairs)
        self.heads = nn.ModuleList([network.decoder])  # called so, as of detectors: it stays in fp32

    def forward(self, crops: Tensor) -> tuple[Tensor]:
        """Crops (b, read, read, 3) uint8 RGB -> probabilities (b, side, side), float32."""
        pixels = crops.permute(0, 3, 1, 2)
        features = [feature for encoder in self.encoders for feature in encoder(pixels)]
        (decoder,) = self.heads
        return (decoder(*features).float().sigmoid(),)


class Weightless(nn.Module):
    """A network whose weights are inputs, so that exporters can't compute anything from them in advance.

    Args:
        names: of its tensors, in the order of the inputs.
    """

    def __init__(self, network: ExportNetwork | MapNetwork, names: Sequence[str]) -> None:
        super().__init__()
        self._network = [network]  # in a list, lest its tensors count as weights of this module
        self._names = names
        self.output_names = network.output_names

    def forward(self, crops: Tensor, weights: list[Tensor]) -> tuple[Tensor, ...]:
        """Crops (b, 224, 224, 3) uint8 RGB -> what the network gives."""
        tensors = dict(zip(self._names, weights, strict=True))
        outputs: tuple[Tensor, ...] = torch.func.functional_call(self._network[0], tensors, (crops,))
        return outputs


@torch.inference_mode()
def logits(network: ExportNetwork, crops: Tensor) -> Tensor:
    """Crops (b, 224, 224, 3) -> (b, outputs)."""
    return torch.stack(network(crops), dim=1)
