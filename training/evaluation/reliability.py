"""Whether scores are probabilities: expected calibration error, and what a reliability diagram draws.

Scores are put into bins of equal width. In each, the mean score is compared with the share of synthetic
images (DeGroot and Fienberg, "The comparison and evaluation of forecasters", 1983; Naeini, Cooper and
Hauskrecht, AAAI 2015; Guo et al., ICML 2017, with 15 bins). The share depends on how many real images a set
has.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

BINS = 15


@dataclass(frozen=True)
class ReliabilityBins:
    """One model on one set, by bin, (bins,) each; NaN in bins without images.

    Attributes:
        images: how many.
        score: their mean score.
        synthetic: the share of them that is synthetic.
    """

    images: NDArray[np.int64]
    score: NDArray[np.float64]
    synthetic: NDArray[np.float64]

    @property
    def ece(self) -> float:
        """Expected calibration error: the mean over images of |mean score - share of synthetic images|."""
        gap = np.abs(self.score - self.synthetic)
        return float(np.nansum(gap * self.images) / self.images.sum())


def reliability(
    scores: NDArray[np.float64], synthetic: NDArray[np.bool_], bins: int = BINS
) -> ReliabilityBins:
    """Scores (n,) from 0 to 1 and labels (n,) by bin; the first bin holds 0, each its upper bound."""
    index = np.clip(np.ceil(scores * bins).astype(np.int64) - 1, 0, bins - 1)
    images = np.bincount(index, minlength=bins)
    with np.errstate(invalid="ignore"):
        mean = np.bincount(index, scores, bins) / images
        share = np.bincount(index, synthetic.astype(np.float64), bins) / images
    return ReliabilityBins(images, mean, share)
