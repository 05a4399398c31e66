"""Scores and maps of the same crops by one pass of an encoder that a detector and a localizer both read.

That needs tiles that are read as they are: those of a detector's crops, 224 native pixels. DeCLIP's tiles are
resized, so their crops are others than RINE's.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from sidscan.config import SIDE, Device, Precision
from sidscan.errors import ModelError
from sidscan.models.detectors import Detector, Encoders, load_detector
from sidscan.models.localizers import LoadedLocalizer, load_localizer
from sidscan.models.store import Store
from sidscan.runtimes.pytorch import DTYPES, encoder_precision, open_device


class ScoresAndMaps(NamedTuple):
    """Of some crops.

    Attributes:
        logits: (b,), of the detector.
        maps: (b, 224, 224), probabilities of the localizer.
    """

    logits: NDArray[np.float32]
    maps: NDArray[np.float32]


class SharedPass:
    """A detector and a localizer on one encoder.

    Args:
        detector, localizer: with the same encoder object (`load_shared`).

    Raises:
        ModelError: they read different encoders, or the localizer's tiles are resized.
        RuntimeUnavailable: the device or precision asked for can't be used here.
    """

    def __init__(
        self,
        detector: Detector,
        localizer: LoadedLocalizer,
        device: Device = "auto",
        precision: Precision = "auto",
    ) -> None:
        encoders, tile = list(localizer.network.encoders), localizer.info.tile
        names = f"{detector.info.name} and {localizer.info.name}"
        if encoders != [detector.encoder]:
            raise ModelError(f"{names} don't read one encoder")
        if (tile.side, tile.read) != (SIDE, SIDE):
            raise ModelError(f"{names} don't read the same crops: tiles of {tile.side} px are resized")
        self.detector, self.localizer = detector, localizer
        self._device = open_device(device)
        used = encoder_precision(precision, self._device, detector.fp16_safe, detector.info.name)
        detector.encoder.to(self._device, DTYPES[used])
        for module in (detector.head, localizer.network.decoder):
            module.to(self._device)

    @torch.inference_mode()
    def read(self, crops: NDArray[np.uint8]) -> ScoresAndMaps:
        """RGB crops (b, 224, 224, 3) -> logits and maps, by one pass of the encoder."""
        pixels = torch.from_numpy(crops).to(self._device).permute(0, 3, 1, 2)
        decoder = self.localizer.network.decoder
        (of_decoder,) = decoder.reads
        features = self.detector.encoder.read(pixels, {self.detector.head.feature, *of_decoder})
        logits = self.detector.head(features[self.detector.head.feature])
        maps = decoder(*(features[feature] for feature in of_decoder)).float().sigmoid()
        return ScoresAndMaps(logits.cpu().numpy(), maps.cpu().numpy())


def load_shared(
    detector: str, localizer: str | Path, store: Store | None = None, encoder: Path | None = None
) -> tuple[Detector, LoadedLocalizer]:
    """Both with their weights, verified; an encoder that both read is loaded once.

    Raises:
        as `load_detectors` and `load_localizer`.
    """
    encoders = Encoders(store or Store(), encoder)
    return load_detector(detector, encoders), load_localizer(localizer, encoders=encoders)
