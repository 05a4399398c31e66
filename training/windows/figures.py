"""Figures of a detector, from its scores of windows whose repositories it was not fitted on."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import average_precision_score

from sidscan.training.common.metrics import Scores, auroc, detection_metrics

from .corpus import FOLDS, Window, synthetic_mask
from .figure_types import (
    CatalogMetrics,
    ConditionMetrics,
    EffortReliability,
    FalsePositives,
    Intervals,
    Rates,
    SizeMetrics,
)
from .generators import generator_family
from .window_score import LOGIT, SMALLER_SIDE

MIN_OF_ONE_SIZE = 200  # windows of each label, for an AUROC among those of one size
_RESAMPLES = 1000  # bootstrap draws of whole repositories
_SEED = 0


def metrics_by_condition(
    windows: Sequence[Window], logits_of: Mapping[str, Scores], threshold: float
) -> dict[str, ConditionMetrics]:
    """`condition_metrics` of every condition, by its name."""
    return {name: condition_metrics(windows, logits, threshold) for name, logits in logits_of.items()}


def condition_metrics(windows: Sequence[Window], logits: Scores, threshold: float) -> ConditionMetrics:
    """All figures of one condition: logits (windows,), threshold on the score."""
    scores = scores_of_logits(logits)
    synthetic = synthetic_mask(windows)
    real = scores[~synthetic]
    by_repo = _groups(windows, scores, synthetic, lambda window: window.repo)
    by_family = _groups(windows, scores, synthetic, generator_family)
    return {
        **_rates(scores[synthetic], real, threshold),
        **_intervals(windows, scores),
        "auroc_of_repositories": rounded(np.mean([auroc(group, real) for group in by_repo.values()])),
        "generators": {name: _rates(group, real, threshold) for name, group in by_family.items()},
        "real_repositories": _false_positives(
            windows, scores, ~synthetic, threshold, lambda window: window.repo
        ),
        "real_kinds": _false_positives(
            windows, scores, ~synthetic, threshold, lambda window: window.category
        ),
    }


def scores_of_logits(logits: Scores) -> Scores:
    """Sigmoid."""
    scores: Scores = 1 / (1 + np.exp(-logits))
    return scores


def _rates(synthetic: Scores, real: Scores, threshold: float) -> Rates:
    exact = detection_metrics(synthetic, real, threshold)
    return {
        "real": exact.real,
        "synthetic": exact.synthetic,
        "auroc": rounded(exact.auroc),
        "tpr_at_5": rounded(exact.tpr_at_5),
        "tpr": rounded(exact.tpr),
        "fpr": rounded(exact.fpr),
    }


def rounded(figure: float | np.floating) -> float:
    """As cards state it."""
    return round(float(figure), 4)


def _groups(
    windows: Sequence[Window], scores: Scores, chosen: NDArray[np.bool_], key: Callable[[Window], str]
) -> dict[str, Scores]:
    """Scores of the chosen windows by key, the largest group first."""
    keys = np.array([key(window) for window in windows])
    counts = Counter(keys[chosen].tolist())
    names = sorted(counts, key=lambda name: (-counts[name], name))
    return {name: scores[chosen & (keys == name)] for name in names}


def _false_positives(
    windows: Sequence[Window],
    scores: Scores,
    chosen: NDArray[np.bool_],
    threshold: float,
    key: Callable[[Window], str],
) -> dict[str, FalsePositives]:
    groups = _groups(windows, scores, chosen, key)
    return {
        name: {"n": len(group), "fpr": rounded((group >= threshold).mean())} for name, group in groups.items()
    }


def _intervals(windows: Sequence[Window], scores: Scores) -> Intervals:
    """95 % intervals of figures without a threshold: whole repositories drawn with replacement, per label."""
    rng = np.random.default_rng(_SEED)
    synthetic = synthetic_mask(windows)
    labels = [
        list(_groups(windows, scores, label, lambda window: window.repo).values())
        for label in (synthetic, ~synthetic)
    ]
    draws = []
    for _ in range(_RESAMPLES):
        positive, negative = (
            np.concatenate([repos[index] for index in rng.integers(0, len(repos), len(repos))])
            for repos in labels
        )
        resample = detection_metrics(positive, negative, threshold=0.5)
        draws.append((resample.auroc, resample.tpr_at_5))
    low, high = np.quantile(draws, (0.025, 0.975), axis=0)
    return {
        "auroc_interval": [rounded(low[0]), rounded(high[0])],
        "tpr_at_5_interval": [rounded(low[1]), rounded(high[1])],
    }


def metrics_by_size(windows: Sequence[Window], measured: NDArray[np.float64]) -> dict[str, SizeMetrics]:
    """AUROC among windows of one size, for sizes that many windows of both labels have.

    Args:
        measured: (windows, fields of `WindowScore`).
    """
    synthetic = synthetic_mask(windows)
    sides = measured[:, SMALLER_SIDE]
    metrics: dict[str, SizeMetrics] = {}
    for side in sorted(set(sides.tolist()), reverse=True):
        positive, negative = (measured[(sides == side) & label, LOGIT] for label in (synthetic, ~synthetic))
        if min(len(positive), len(negative)) >= MIN_OF_ONE_SIZE:
            area = rounded(auroc(positive, negative))
            metrics[f"{side:g}"] = {"real": len(negative), "synthetic": len(positive), "auroc": area}
    return metrics


def metrics_by_fold(
    windows: Sequence[Window], folds: Mapping[str, int], logits: Scores, threshold: float
) -> dict[str, Rates]:
    """Figures of every fold alone, by its number."""
    scores = scores_of_logits(logits)
    synthetic = synthetic_mask(windows)
    fold_of = np.array([folds[window.repo] for window in windows])
    return {
        str(fold): _rates(
            scores[synthetic & (fold_of == fold)], scores[~synthetic & (fold_of == fold)], threshold
        )
        for fold in range(FOLDS)
    }


def effort_reliability(
    images: Sequence[Window], as_is: Scores, jpeg75: Scores, threshold: float
) -> EffortReliability:
    """What reports say of an effort, from logits (images,) under both conditions."""
    synthetic = synthetic_mask(images)
    found, recompressed = (scores_of_logits(logits) >= threshold for logits in (as_is, jpeg75))
    return {
        **{
            name: {"found": rounded(above[synthetic].mean()), "flagged": rounded(above[~synthetic].mean())}
            for name, above in (("as_is", found), ("jpeg75", recompressed))
        },  # type: ignore[typeddict-item]
        "photograph_quantiles": [
            rounded(logit) for logit in np.quantile(as_is[~synthetic], np.linspace(0, 1, 101))
        ],
    }


def catalog_metrics(windows: Sequence[Window], logits: Scores, threshold: float) -> CatalogMetrics:
    """What `sidscan models list` shows of every detector."""
    scores, synthetic = scores_of_logits(logits), synthetic_mask(windows)
    return {
        "accuracy": rounded(float(np.mean((scores >= threshold) == synthetic))),
        "average_precision": rounded(float(average_precision_score(synthetic, scores))),
        "about": "five folds of its model card, ten crops, as they are; accuracy at its threshold",
    }
