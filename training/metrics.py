"""Figures of a detector, computed from scores alone."""

from __future__ import annotations

from dataclasses import asdict, dataclass

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import roc_auc_score

Scores = NDArray[np.float64]


@dataclass(frozen=True)
class Figures:
    """How well scores tell synthetic from real pictures; fractions.

    Attributes:
        tpr_at_5: share of synthetic pictures above the score that 5 % of these real ones exceed.
        tpr, fpr: share of synthetic and of real pictures at or above the shipped threshold.
    """

    real: int
    synthetic: int
    auroc: float
    tpr_at_5: float
    tpr: float
    fpr: float

    def as_dict(self) -> dict[str, float]:
        """For JSON."""
        return asdict(self)


def auroc(synthetic: Scores, real: Scores) -> float:
    """Chance that a synthetic picture scores above a real one, ties counting half."""
    labels = np.r_[np.ones(len(synthetic)), np.zeros(len(real))]
    return float(roc_auc_score(labels, np.r_[synthetic, real]))


def figures(synthetic: Scores, real: Scores, threshold: float) -> Figures:
    """Figures of two sets of scores, neither empty."""
    return Figures(
        real=len(real),
        synthetic=len(synthetic),
        auroc=auroc(synthetic, real),
        tpr_at_5=float((synthetic > np.quantile(real, 0.95)).mean()),
        tpr=float((synthetic >= threshold).mean()),
        fpr=float((real >= threshold).mean()),
    )
