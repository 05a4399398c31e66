"""How well a map agrees with a mask, and how much of an image it marks, at many thresholds at once."""

from __future__ import annotations

from typing import TypedDict

import numpy as np
from numpy.typing import NDArray

from sidscan.training.common.extras import import_extra

from .regions import Mask

THRESHOLDS = tuple(round(0.05 * step, 2) for step in range(1, 20))
AT_HALF = THRESHOLDS.index(0.5)
_SAMPLED = 4  # every fourth row and column suffice for average precision


class MapAgreement(TypedDict):
    """One map of one image.

    ``marked`` and ``iou`` have a value per threshold; ``iou`` and ``ap`` are fractions, and None where the
    mask has nothing synthetic (``ap`` also where it has nothing else).
    """

    marked: list[float]
    iou: list[float] | None
    ap: float | None


def agreement(values: Mask, synthetic: NDArray[np.bool_] | None) -> MapAgreement:
    """Of a map with a mask of the same size; without a mask, only what is marked."""
    marked = [float((values > threshold).mean()) for threshold in THRESHOLDS]
    if synthetic is None or not synthetic.any():
        return {"marked": marked, "iou": None, "ap": None}
    total = float(synthetic.mean())
    hits = [float(((values > threshold) & synthetic).mean()) for threshold in THRESHOLDS]
    iou = [hit / (share + total - hit) for hit, share in zip(hits, marked, strict=True)]
    return {"marked": marked, "iou": iou, "ap": _average_precision(values, synthetic)}


def _average_precision(values: Mask, synthetic: NDArray[np.bool_]) -> float | None:
    sampled, labels = (array[::_SAMPLED, ::_SAMPLED].ravel() for array in (values, synthetic))
    if labels.all() or not labels.any():
        return None
    return float(import_extra("sklearn.metrics").average_precision_score(labels, sampled))
