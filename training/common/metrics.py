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


MEASURES = ("acc", "ap", "auroc", "tpr_at_fpr", "eer")
_CHUNK = 4_000_000  # numbers of a bootstrap held at a time


@dataclass(frozen=True)
class Curve:
    """How many pictures of each label lie at or above every distinct value, from the highest value down.

    Attributes:
        values: (m,) distinct ranks of the pictures (logits or scores), falling.
        real, synthetic: (n,) for each picture of a label the place of its value in ``values``.
        calls: (m,) whether a picture of that value is called synthetic.
    """

    values: Scores
    real: NDArray[np.intp]
    synthetic: NDArray[np.intp]
    calls: NDArray[np.bool_]

    def counts(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Pictures per distinct value, (1, m) each: real, synthetic."""
        size = len(self.values)
        return (
            np.bincount(self.real, minlength=size)[None],
            np.bincount(self.synthetic, minlength=size)[None],
        )


def curve(real: Scores, synthetic: Scores, cut: float) -> Curve:
    """Of two non-empty sets of scores; those above ``cut`` are called synthetic (as published: not at it)."""
    values, places = np.unique(-np.r_[real, synthetic], return_inverse=True)
    return Curve(-values, places[: len(real)], places[len(real) :], -values > cut)


def measures(found: Curve, fpr: float) -> dict[str, float]:
    """Accuracy, average precision, AUROC, TPR at a false-positive rate, equal error rate; fractions.

    ``tpr_at_fpr`` is the highest TPR among thresholds whose false-positive rate is at most ``fpr``; ``eer``
    the smallest that the larger one of false-positive and false-negative rate can be.
    """
    row = _measures(*found.counts(), found.calls, fpr)[0]
    return dict(zip(MEASURES, row.tolist(), strict=True))


def roc(found: Curve) -> tuple[Scores, Scores]:
    """False and true positive rates for every threshold, from (0, 0) to (1, 1)."""
    real, synthetic = (np.r_[0, side[0].cumsum()] for side in found.counts())
    return real / real[-1], synthetic / synthetic[-1]


def bootstrap(found: Curve, fpr: float, draws: int, seeds: tuple[int, int]) -> Scores:
    """Measures of resamples, (draws, measures): each label is drawn with replacement from its own pictures.

    Args:
        seeds: of the draws among real and among synthetic pictures. Sets that share their real pictures, in
            the same order, should share that seed: then a mean over them varies as it should.
    """
    rngs = [np.random.default_rng(seed) for seed in seeds]
    step = max(1, _CHUNK // (len(found.real) + len(found.synthetic)))
    parts = []
    for start in range(0, draws, step):
        count = min(step, draws - start)
        real, synthetic = (
            _resampled(side, len(found.values), count, rng)
            for side, rng in zip((found.real, found.synthetic), rngs, strict=True)
        )
        parts.append(_measures(real, synthetic, found.calls, fpr))
    return np.concatenate(parts) if parts else np.empty((0, len(MEASURES)))


def interval(draws: Scores) -> tuple[Scores, Scores]:
    """Bounds that hold the middle 95 % of resamples, (draws, k) -> (k,) and (k,); NaN without resamples."""
    if not len(draws):
        return np.full(draws.shape[1], np.nan), np.full(draws.shape[1], np.nan)
    low, high = np.quantile(draws, (0.025, 0.975), axis=0)
    return low, high


def _resampled(
    places: NDArray[np.intp], size: int, draws: int, rng: np.random.Generator
) -> NDArray[np.int64]:
    """Pictures per distinct value in each resample, (draws, size)."""
    drawn = places[rng.integers(0, len(places), (draws, len(places)))]
    drawn += np.arange(draws)[:, None] * size
    return np.bincount(drawn.ravel(), minlength=draws * size).reshape(draws, size)


def _measures(
    real: NDArray[np.int64], synthetic: NDArray[np.int64], calls: NDArray[np.bool_], fpr: float
) -> Scores:
    """Counts per falling distinct value, (draws, m) each -> (draws, measures)."""
    positives, negatives = synthetic.sum(axis=1), real.sum(axis=1)
    above_real, above = real.cumsum(axis=1), synthetic.cumsum(axis=1)
    right = synthetic[:, calls].sum(axis=1) + real[:, ~calls].sum(axis=1)
    accuracy = right / (positives + negatives)
    precision = above / np.maximum(above + above_real, 1)
    average_precision = (synthetic * precision).sum(axis=1) / positives
    # a synthetic picture beats the real ones below its value, and half of those at it
    area = (synthetic * (negatives[:, None] - above_real + real / 2)).sum(axis=1) / (positives * negatives)
    rates, hits = above_real / negatives[:, None], above / positives[:, None]
    best = np.where(rates <= fpr, hits, 0.0).max(axis=1)
    equal = np.maximum(rates, 1 - hits).min(axis=1)
    return np.stack([accuracy, average_precision, area, best, equal], axis=1)
