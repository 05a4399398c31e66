"""Metrics of a detector, computed from its scores alone."""

from __future__ import annotations

from dataclasses import asdict, dataclass

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import roc_auc_score

Scores = NDArray[np.float64]


@dataclass(frozen=True)
class DetectionMetrics:
    """How well scores separate synthetic from real images. Rates are fractions.

    Attributes:
        real, synthetic: numbers of images.
        tpr_at_5: share of the synthetic images that score above the 95th percentile of the real ones.
        tpr, fpr: share of the synthetic and of the real images at or above the detector's own threshold.
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
    """Probability that a synthetic image scores above a real one; ties count half."""
    labels = np.r_[np.ones(len(synthetic)), np.zeros(len(real))]
    return float(roc_auc_score(labels, np.r_[synthetic, real]))


def detection_metrics(synthetic: Scores, real: Scores, threshold: float) -> DetectionMetrics:
    """Metrics of two sets of scores; neither may be empty."""
    return DetectionMetrics(
        real=len(real),
        synthetic=len(synthetic),
        auroc=auroc(synthetic, real),
        tpr_at_5=float((synthetic > np.quantile(real, 0.95)).mean()),
        tpr=float((synthetic >= threshold).mean()),
        fpr=float((real >= threshold).mean()),
    )


METRIC_NAMES = ("acc", "ap", "auroc", "tpr_at_fpr", "eer")
_NUMBERS_AT_ONCE = 4_000_000  # of a bootstrap, to bound its memory


@dataclass(frozen=True)
class ThresholdCurve:
    """Two sets of scores as ranks: all that any threshold metric needs.

    Attributes:
        values: (m,) distinct scores (or logits) of all images, falling.
        real, synthetic: (n,) for each image of a label, the index of its score in ``values``.
        calls: (m,) whether an image with that score is called synthetic.
    """

    values: Scores
    real: NDArray[np.intp]
    synthetic: NDArray[np.intp]
    calls: NDArray[np.bool_]

    def counts(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Numbers of real and of synthetic images per distinct score, (1, m) each."""
        size = len(self.values)
        return (
            np.bincount(self.real, minlength=size)[None],
            np.bincount(self.synthetic, minlength=size)[None],
        )


def threshold_curve(real: Scores, synthetic: Scores, threshold: float) -> ThresholdCurve:
    """Rank two non-empty sets of scores.

    An image is called synthetic if it scores above ``threshold``, not at it: the published code does so.
    """
    values, indices = np.unique(-np.r_[real, synthetic], return_inverse=True)
    return ThresholdCurve(-values, indices[: len(real)], indices[len(real) :], -values > threshold)


def compute_metrics(curve: ThresholdCurve, fpr: float) -> dict[str, float]:
    """Accuracy, average precision, AUROC, TPR at a false-positive rate, equal error rate; as fractions.

    ``tpr_at_fpr`` is the highest TPR among thresholds whose false-positive rate is at most ``fpr``. ``eer``
    is the lowest value over all thresholds of the larger of false-positive and false-negative rate.
    """
    row = _metrics_of_counts(*curve.counts(), curve.calls, fpr)[0]
    return dict(zip(METRIC_NAMES, row.tolist(), strict=True))


def roc(curve: ThresholdCurve) -> tuple[Scores, Scores]:
    """False-positive and true-positive rates for every threshold, from (0, 0) to (1, 1)."""
    real, synthetic = (np.r_[0, counts[0].cumsum()] for counts in curve.counts())
    return real / real[-1], synthetic / synthetic[-1]


def bootstrap(curve: ThresholdCurve, fpr: float, draws: int, seeds: tuple[int, int]) -> Scores:
    """Metrics of resamples, (draws, metrics): each label is drawn with replacement from its own images.

    Args:
        seeds: for the draws among the real and among the synthetic images. Sets that share their real
            images, in the same order, should share that seed: then a mean over the sets varies as it should.
    """
    rngs = [np.random.default_rng(seed) for seed in seeds]
    step = max(1, _NUMBERS_AT_ONCE // (len(curve.real) + len(curve.synthetic)))
    parts = []
    for start in range(0, draws, step):
        count = min(step, draws - start)
        real, synthetic = (
            _resampled_counts(indices, len(curve.values), count, rng)
            for indices, rng in zip((curve.real, curve.synthetic), rngs, strict=True)
        )
        parts.append(_metrics_of_counts(real, synthetic, curve.calls, fpr))
    return np.concatenate(parts) if parts else np.empty((0, len(METRIC_NAMES)))


def confidence_interval(draws: Scores) -> tuple[Scores, Scores]:
    """Bounds of the middle 95 % of resamples, (draws, k) -> (k,) and (k,); NaN without resamples."""
    if not len(draws):
        return np.full(draws.shape[1], np.nan), np.full(draws.shape[1], np.nan)
    low, high = np.quantile(draws, (0.025, 0.975), axis=0)
    return low, high


def _resampled_counts(
    indices: NDArray[np.intp], size: int, draws: int, rng: np.random.Generator
) -> NDArray[np.int64]:
    """Images per distinct score in each resample, (draws, size)."""
    drawn = indices[rng.integers(0, len(indices), (draws, len(indices)))]
    drawn += np.arange(draws)[:, None] * size
    return np.bincount(drawn.ravel(), minlength=draws * size).reshape(draws, size)


def _metrics_of_counts(
    real: NDArray[np.int64], synthetic: NDArray[np.int64], calls: NDArray[np.bool_], fpr: float
) -> Scores:
    """Counts per falling distinct score, (draws, m) each -> (draws, metrics)."""
    positives, negatives = synthetic.sum(axis=1), real.sum(axis=1)
    above_real, above = real.cumsum(axis=1), synthetic.cumsum(axis=1)
    right = synthetic[:, calls].sum(axis=1) + real[:, ~calls].sum(axis=1)
    accuracy = right / (positives + negatives)
    precision = above / np.maximum(above + above_real, 1)
    average_precision = (synthetic * precision).sum(axis=1) / positives
    # A synthetic image beats the real ones with lower scores, and half of those with the same score.
    area = (synthetic * (negatives[:, None] - above_real + real / 2)).sum(axis=1) / (positives * negatives)
    false_positive_rates, true_positive_rates = above_real / negatives[:, None], above / positives[:, None]
    best = np.where(false_positive_rates <= fpr, true_positive_rates, 0.0).max(axis=1)
    equal = np.maximum(false_positive_rates, 1 - true_positive_rates).min(axis=1)
    return np.stack([accuracy, average_precision, area, best, equal], axis=1)
