"""Metrics compared with scikit-learn and with a bootstrap written as a plain loop."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import accuracy_score, average_precision_score, roc_auc_score, roc_curve

from sidscan.training.common import metrics
from sidscan.training.common.metrics import METRIC_NAMES, Scores


def draw_scores(seed: int, real: int, synthetic: int, ties: bool) -> tuple[Scores, Scores]:
    rng = np.random.default_rng(seed)
    sides = rng.normal(0, 1, real), rng.normal(1, 1.5, synthetic)
    return (sides[0].round(1), sides[1].round(1)) if ties else sides


def expected(real: Scores, synthetic: Scores, threshold: float, fpr: float) -> list[float]:
    labels, scores = np.r_[np.zeros(len(real)), np.ones(len(synthetic))], np.r_[real, synthetic]
    rates, hits, _ = roc_curve(labels, scores, drop_intermediate=False)
    return [
        accuracy_score(labels, scores > threshold),
        average_precision_score(labels, scores),
        roc_auc_score(labels, scores),
        hits[rates <= fpr].max(),
        np.maximum(rates, 1 - hits).min(),
    ]


@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize(("real", "synthetic"), [(1, 1), (30, 7), (200, 300)])
def test_metrics_are_those_of_scikit_learn(real: int, synthetic: int, ties: bool) -> None:
    sides = draw_scores(real, real, synthetic, ties)
    computed = metrics.compute_metrics(metrics.threshold_curve(*sides, threshold=0.5), fpr=0.05)
    assert [computed[name] for name in METRIC_NAMES] == pytest.approx(expected(*sides, 0.5, 0.05), abs=1e-12)


def test_a_score_at_the_threshold_is_predicted_real() -> None:
    computed = metrics.compute_metrics(
        metrics.threshold_curve(np.array([0.5, 0.5]), np.array([0.5, 0.6]), 0.5), 0.05
    )
    assert computed["acc"] == 0.75


def test_roc_runs_from_corner_to_corner() -> None:
    rates, hits = metrics.roc(metrics.threshold_curve(np.array([0.0, 1.0]), np.array([1.0, 2.0]), 0.5))
    assert rates.tolist() == [0, 0, 0.5, 1]
    assert hits.tolist() == [0, 0.5, 1, 1]


def test_the_bootstrap_equals_a_plain_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    real, synthetic = draw_scores(0, 40, 25, ties=True)
    monkeypatch.setattr(metrics, "_NUMBERS_AT_ONCE", 65)  # one resample at a time, like the loop
    resamples = metrics.bootstrap(metrics.threshold_curve(real, synthetic, 0.5), 0.1, 20, (3, 4))
    real_rng, synthetic_rng = np.random.default_rng(3), np.random.default_rng(4)
    for row in resamples:
        sides = (
            real[real_rng.integers(0, 40, (1, 40))[0]],
            synthetic[synthetic_rng.integers(0, 25, (1, 25))[0]],
        )
        assert row.tolist() == pytest.approx(expected(*sides, 0.5, 0.1), abs=1e-12)


def test_the_chunk_size_changes_only_memory_use(monkeypatch: pytest.MonkeyPatch) -> None:
    curve = metrics.threshold_curve(*draw_scores(1, 30, 30, ties=False), 0.5)
    whole = metrics.bootstrap(curve, 0.05, 50, (0, 1))
    monkeypatch.setattr(metrics, "_NUMBERS_AT_ONCE", 7 * 60)
    assert np.array_equal(metrics.bootstrap(curve, 0.05, 50, (0, 1)), whole)


def test_a_confidence_interval_has_its_stated_coverage() -> None:
    truth, covered = 0.760250, 0  # AUROC of N(0,1) against N(1,1): Phi(1/sqrt(2))
    for seed in range(60):
        rng = np.random.default_rng(seed)
        curve = metrics.threshold_curve(rng.normal(0, 1, 150), rng.normal(1, 1, 150), 0.5)
        low, high = metrics.confidence_interval(metrics.bootstrap(curve, 0.05, 300, (2 * seed, 2 * seed + 1)))
        covered += int(low[2] <= truth <= high[2])
    assert covered >= 52  # of 60 at 95 %: 57 expected, fewer than 52 once in a thousand


def test_without_resamples_there_is_no_interval() -> None:
    curve = metrics.threshold_curve(*draw_scores(0, 5, 5, ties=False), 0.5)
    low, high = metrics.confidence_interval(metrics.bootstrap(curve, 0.05, 0, (0, 1)))
    assert np.isnan(low).all()
    assert np.isnan(high).all()
