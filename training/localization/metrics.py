"""How well a map agrees with a mask: IoU, average precision and F1, as DeCLIP's evaluation computes them.

DeCLIP: github.com/bit-ml/DeCLIP @ 09d4293, utils/utils.py. Its F1 is TruFor's (github.com/grip-unina/TruFor),
but for TruFor's second try with the inverted map.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional

from sidscan.training.common.extras import import_extra

Map: TypeAlias = NDArray[np.float32]
"""(height, width), the probability of every pixel to be synthetic."""
Region: TypeAlias = NDArray[np.bool_]
"""(height, width), whether a pixel is synthetic."""

THRESHOLD = 0.5  # a pixel counts as synthetic above it, not at it
_EPSILON = 1e-8  # pixels; gives 100 where both regions are empty
_ERODED, _DILATED = 15, 11  # pixels, side of the square; TruFor's


@dataclass(frozen=True, slots=True)
class MapMetrics:
    """Agreement of one map with one mask. AP and F1 are fractions; IoU is in percent, as published.

    Attributes:
        ap: None where the mask has no synthetic pixel.
        f1_fixed, f1_best: at `THRESHOLD`, and at the image's best threshold; None where nothing of the region
            is left once its border is ignored.
    """

    iou: float
    ap: float | None
    f1_fixed: float | None
    f1_best: float | None


def map_metrics(probabilities: Map, synthetic: Region) -> MapMetrics:
    """Metrics of a map that has the mask's own size (`resized_map`)."""
    kept, inside = pixels_off_borders(synthetic)
    values = probabilities[kept]
    return MapMetrics(
        iou=iou(probabilities > THRESHOLD, synthetic),
        ap=average_precision(probabilities, synthetic),
        f1_fixed=f1_at(values, inside[kept], THRESHOLD),
        f1_best=best_f1(values, inside[kept]),
    )


def resized_map(probabilities: Map, height: int, width: int) -> Map:
    """A map in the mask's own size: bilinear, antialiased where it shrinks, as torchvision resizes."""
    if probabilities.shape == (height, width):
        return probabilities
    batch = torch.from_numpy(np.ascontiguousarray(probabilities))[None, None]
    resized = functional.interpolate(
        batch, (height, width), mode="bilinear", align_corners=False, antialias=True
    )
    result: Map = resized[0, 0].numpy()
    return result


def iou(predicted: Region, synthetic: Region) -> float:
    """Intersection over union in percent; 100 where both are empty."""
    intersection = np.count_nonzero(predicted & synthetic)
    union = np.count_nonzero(predicted | synthetic)
    return float(100 * ((intersection + _EPSILON) / (union + _EPSILON)))


def average_precision(probabilities: Map, synthetic: Region) -> float | None:
    """Average precision of the pixels of one image; None where none is synthetic."""
    if not synthetic.any():
        return None
    metrics = import_extra("sklearn.metrics")
    return float(metrics.average_precision_score(synthetic.ravel(), probabilities.ravel()))


def pixels_off_borders(synthetic: Region) -> tuple[Region, Region]:
    """Which pixels F1 counts, and which of these are synthetic.

    The region is eroded with a square of 15, its surroundings begin where it ends when dilated with 11; what
    lies between is ignored.
    """
    ndimage = import_extra("scipy.ndimage")
    pixels = synthetic.astype(np.uint8)
    inside: Region = ndimage.minimum_filter(pixels, _ERODED) > 0
    outside: Region = ndimage.maximum_filter(pixels, _DILATED) == 0
    return inside | outside, inside


def f1_at(values: NDArray[np.float32], inside: NDArray[np.bool_], threshold: float) -> float | None:
    """F1 of pixels (n,) above a threshold; None where none of them is synthetic."""
    if not inside.any():
        return None
    predicted = values > threshold
    hits = np.count_nonzero(predicted & inside)
    return float(2 * hits / (np.count_nonzero(predicted) + np.count_nonzero(inside)))


def best_f1(values: NDArray[np.float32], inside: NDArray[np.bool_]) -> float | None:
    """The highest F1 of any threshold among the values themselves, pixels (n,) above it counting."""
    if not inside.any():
        return None
    order = np.argsort(values)
    ranked, hits = values[order], inside[order]
    missed = np.cumsum(hits)  # synthetic pixels at or below each value
    found = missed[-1] - missed
    predicted = len(values) - np.arange(1, len(values) + 1)
    last = np.append(ranked[1:] > ranked[:-1], True)  # equal values fall together
    f1 = 2 * found[last] / (predicted[last] + missed[-1])
    return float(f1.max())
