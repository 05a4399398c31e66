"""A localizer that needs no weights: it says what the red channel says."""

from __future__ import annotations

from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from sidscan.runtimes import RuntimeInfo


@dataclass
class RedLocalizer:
    """Probabilities are red / 255; what is not a tile is squashed into one."""

    side: int = 128
    read: int = 128
    stride: int = 64
    threshold: float = 0.5
    alarm_area: float | None = None
    alarm_contrast: float | None = None
    name: str = "red"
    runtime: RuntimeInfo = field(default_factory=lambda: RuntimeInfo("a test", "cpu", "fp32", ""))
    batch: int = 4
    tiles_read: int = 0

    def __post_init__(self) -> None:
        self.info: Any = SimpleNamespace(  # what reports say of it
            name=self.name,
            digest="ab" * 8,
            files={self.name: "ab" * 32},
            provenance={self.name: "a test"},
            licence="Apache-2.0",
            tile=SimpleNamespace(side=self.side, read=self.read, stride=self.stride),
            threshold=self.threshold,
            alarm_area=self.alarm_area,
            alarm_contrast=self.alarm_contrast,
            card={},
        )

    def maps(self, tiles: NDArray[np.uint8]) -> NDArray[np.float32]:
        """RGB (b, h, w, 3) -> probabilities (b, side, side)."""
        self.tiles_read += len(tiles)
        red = [
            Image.fromarray(tile[..., 0]).resize((self.side, self.side), Image.Resampling.BILINEAR)
            for tile in tiles
        ]
        return np.stack([np.asarray(each, np.float32) / 255 for each in red])
