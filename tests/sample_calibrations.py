"""Calibrations with invented logits."""

from __future__ import annotations

from collections.abc import Iterable

from sidscan.models.detector_info import DetectorInfo
from sidscan.scoring.calibration import Calibration

MODEL = DetectorInfo("mini", "a" * 16, 0.5, {"mini": "a" * 64}, {"mini": "bundled"})


def calibration(logits: Iterable[float], fpr: float = 0.05, crops: str = "ten") -> Calibration:
    """A calibration of ``MODEL``."""
    return Calibration(
        model=MODEL.name,
        weights=MODEL.files,
        crops=crops,
        runtime="pytorch 2",
        device="cpu",
        precision="fp32",
        decoder="Pillow 13",
        sidscan_version="0.1.0",
        created="2026-01-01T00:00:00+00:00",
        unreadable=0,
        skipped=0,
        duplicates=0,
        target_fpr=fpr,
        logits=tuple(sorted(map(float, logits))),
    )
