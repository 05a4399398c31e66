"""When fewer than ten crops decide: the distances of rine-b16's cascade, measured on whole images."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from sidscan.images.crops import CENTRE, UNMIRRORED
from sidscan.models.cascade import Cascade

KEPT = 0.99  # share of the detections of all ten crops that a cascade must keep
_DISTANCES = np.arange(0.0, 8.01, 0.05)  # logits that are tried
_MIRRORS = 0.02  # share of images whose mirror images are read, at most


class CascadeOutcome(NamedTuple):
    """What a cascade comes to on some images.

    Attributes:
        logits: (images,), the mean over the crops that it computes.
        crops: (images,), their number: 1, 5 or 10.
    """

    logits: NDArray[np.float64]
    crops: NDArray[np.int64]


def run_cascade(logits: NDArray[np.float64], threshold: float, cascade: Cascade) -> CascadeOutcome:
    """As `sidscan.scoring.cascade` decides.

    Args:
        logits: (images, 10).
        threshold: logit.
    """
    centre, five = logits[:, CENTRE], logits[:, :UNMIRRORED].mean(axis=1)
    further = centre >= threshold - cascade.centre
    mirrors = further & (np.abs(five - threshold) <= cascade.mirrors)
    means = np.where(mirrors, logits.mean(axis=1), np.where(further, five, centre))
    return CascadeOutcome(means, np.where(mirrors, 10, np.where(further, 5, 1)))


def choose_cascade(logits: NDArray[np.float64], synthetic: NDArray[np.bool_], threshold: float) -> Cascade:
    """The cheapest cascade that keeps `KEPT` of the synthetic images that ten crops find.

    The mirror images are read where the mean of five crops is nearest to the threshold, in `_MIRRORS` of the
    images.

    Raises:
        ValueError: ten crops find no synthetic image, or no cascade keeps enough of them.
    """
    found = synthetic & (logits.mean(axis=1) >= threshold)
    five = np.abs(logits[:, :UNMIRRORED].mean(axis=1) - threshold)
    mirrors = round(float(np.quantile(five, _MIRRORS)), 3)
    for distance in _DISTANCES:
        cascade = Cascade(centre=round(float(distance), 2), mirrors=mirrors)
        kept = run_cascade(logits[found], threshold, cascade).logits >= threshold
        if len(kept) and kept.mean() >= KEPT:
            return cascade
    raise ValueError(f"no cascade keeps {KEPT:.0%} of the {found.sum()} detections of ten crops")
