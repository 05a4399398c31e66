"""Runtimes: crops -> logits. What was asked for is what runs, or an error; never a silent replacement."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from sidscan.models.detectors import DetectorInfo

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class RuntimeInfo:
    """What computes the scores, e.g. ``pytorch 2.6.0``, ``cpu``, ``fp32``."""

    runtime: str
    device: str
    precision: str


class Runtime(Protocol):
    """Scores crops with one or several detectors."""

    info: RuntimeInfo
    detectors: tuple[DetectorInfo, ...]

    def logits(self, crops: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Crops (b, 224, 224, 3) RGB -> logits (b, number of detectors), in the order of ``detectors``."""
        ...
