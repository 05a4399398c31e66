"""Statistics against independent computations: DeLong's test by its definition, bins by loops."""

from __future__ import annotations

import math
from itertools import product

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from sklearn.calibration import calibration_curve
from sklearn.metrics import roc_auc_score

from sidscan.training.evaluation.costs import cost_curve, error_rates, triage_costs
from sidscan.training.evaluation.paired import agreement, delong, only_one, paired_tests
from sidscan.training.evaluation.reliability import reliability
from sidscan.training.evaluation.results import MetricsConfig, compute_model_metrics

few = st.lists(st.integers(0, 4), min_size=2, max_size=7)


def psi(real: float, synthetic: float) -> float:
    return 0.5 if real == synthetic else float(real < synthetic)


def by_definition(real: np.ndarray, synthetic: np.ndarray) -> tuple[float, float]:
    """Difference of AUROC and its variance, as DeLong et al. write them; scores are (2, n) and (2, m)."""
    grid = np.array([[[psi(x, y) for y in synthetic[k]] for x in real[k]] for k in range(2)])
    theta = grid.mean(axis=(1, 2))
    v10, v01 = grid.mean(axis=1), grid.mean(axis=2)  # per synthetic, per real
    s = np.cov(v10) / v10.shape[1] + np.cov(v01) / v01.shape[1]
    contrast = np.array([1.0, -1.0])
    return float(contrast @ theta), float(contrast @ s @ contrast)


@given(st.data())
def test_delong_is_as_its_paper_defines_it(data: st.DataObject) -> None:
    n, m = data.draw(st.integers(2, 6)), data.draw(st.integers(2, 6))
    real, synthetic = (
        np.array([data.draw(st.lists(st.integers(0, 5), min_size=k, max_size=k)) for _ in range(2)], float)
        for k in (n, m)
    )
    found = delong((real[0], real[1]), (synthetic[0], synthetic[1]))
    difference, variance = by_definition(real, synthetic)
    assert found.difference == pytest.approx(difference, abs=1e-12)
    assert found.error**2 == pytest.approx(variance, abs=1e-12)
    labels = np.r_[np.zeros(n), np.ones(m)]
    aucs = [roc_auc_score(labels, np.r_[real[k], synthetic[k]]) for k in range(2)]
    assert found.difference == pytest.approx(aucs[0] - aucs[1], abs=1e-12)
    if found.error > 1e-9:
        assert found.p == pytest.approx(2 * stats.norm.sf(abs(difference) / math.sqrt(variance)), rel=1e-9)


def test_p_values_are_uniform_where_detectors_are_alike() -> None:
    rng = np.random.default_rng(0)
    ps = []
    for _ in range(400):
        shared = [rng.normal(size=60), rng.normal(1, size=60)]
        pairs = [tuple(each + rng.normal(size=60) for _ in range(2)) for each in shared]
        ps.append(delong((pairs[0][0], pairs[0][1]), (pairs[1][0], pairs[1][1])).p)
    assert stats.kstest(ps, "uniform").pvalue > 0.01
    assert 0.02 < np.mean(np.array(ps) < 0.05) < 0.09


def test_equal_detectors_do_not_differ() -> None:
    scores = np.array([0.1, 0.4, 0.4]), np.array([0.3, 0.9])
    result = delong((scores[0], scores[0]), (scores[1], scores[1]))
    assert (result.difference, result.error, result.p) == (0.0, 0.0, 1.0)


@given(few, few)
def test_calibration_error_is_as_counted_by_hand(real: list[int], synthetic: list[int]) -> None:
    scores = np.array([*real, *synthetic]) / 4
    labels = np.array([False] * len(real) + [True] * len(synthetic))
    found = reliability(scores, labels, bins=3)
    total = 0.0
    for low, high in ((0, 1 / 3), (1 / 3, 2 / 3), (2 / 3, 1)):
        inside = [k for k, s in enumerate(scores) if (low < s <= high) or (low == 0 and s == 0)]
        if inside:
            total += len(inside) / len(scores) * abs(np.mean(scores[inside]) - np.mean(labels[inside]))
    assert found.ece == pytest.approx(total)
    assert found.images.sum() == len(scores)


def test_the_diagram_is_that_of_scikit_learn() -> None:
    rng = np.random.default_rng(1)
    scores = rng.uniform(size=500)  # none of them on the bound of a bin
    labels = rng.uniform(size=500) < scores**2
    share, mean = calibration_curve(labels, scores, n_bins=15)
    found = reliability(scores, labels)
    assert found.synthetic == pytest.approx(share)
    assert found.score == pytest.approx(mean)


def table(**models: list[float]) -> pd.DataFrame:
    """Scores of images a, b (real) and c, d, e (synthetic), all in one set."""
    images = [("real", "a"), ("real", "b"), ("synthetic", "c"), ("synthetic", "d"), ("synthetic", "e")]
    rows = [
        {
            "set": "s",
            "label": label,
            "path": path,
            "model": model,
            "score": scores[k],
            "logit": math.nan,
            "error": "",
        }
        for (model, scores), (k, (label, path)) in product(models.items(), enumerate(images))
    ]
    frame: pd.DataFrame = pd.DataFrame(rows)
    return frame


def test_agreement_counts_what_one_detector_alone_finds() -> None:
    scores = table(
        one=[0.9, 0.1, 0.9, 0.1, 0.9], two=[0.1, 0.1, 0.9, 0.9, 0.1], three=[0.1, 0.1, 0.1, 0.1, 0.9]
    )
    counts = {
        each.model: (each.found, each.only_found, each.only_missed, each.flagged, each.only_flagged)
        for each in agreement(scores, 0.5)
    }
    assert counts == {"one": (2, 0, 0, 1, 1), "two": (2, 1, 1, 0, 0), "three": (1, 0, 1, 0, 0)}
    assert only_one(scores, 0.5).to_dict("list") == {
        "set": ["s", "s"],
        "label": ["real", "synthetic"],
        "path": ["a", "d"],
        "model": ["one", "two"],
    }
    pairs = [(test.first, test.second, test.real, test.synthetic) for test in paired_tests(scores)]
    assert pairs == [("one", "two", 2, 3), ("one", "three", 2, 3), ("two", "three", 2, 3)]


def test_images_without_a_path_or_a_score_are_not_paired() -> None:
    scores = table(one=[0.9, 0.1, 0.9, 0.1, 0.9], two=[0.1, 0.1, 0.9, 0.9, 0.1])
    failed = scores.assign(error=["OSError"] + 9 * [""])
    assert [(each.real, each.synthetic) for each in agreement(failed, 0.5)] == [(1, 3), (1, 3)]
    assert paired_tests(failed) == []  # one real image is not enough
    assert agreement(scores.assign(path=""), 0.5) == []


CONFIG = MetricsConfig(threshold=0.35, resamples=0, prevalences=(0.02, 0.3), miss_costs=(1.0, 40.0))


def scored_sets(**sets: tuple[list[int], list[int]]) -> pd.DataFrame:
    """Scores in tenths, real and synthetic, of one detector."""
    rows = [
        {"set": key, "label": label, "path": f"{label}{index}", "model": "m", "logit": math.nan,
         "score": score / 10, "error": "", "generator": "", "digest": "", "crops": "", "perturbation": ""}
        for key, both in sets.items()
        for label, scores in zip(("real", "synthetic"), both, strict=True)
        for index, score in enumerate(scores)
    ]  # fmt: skip
    made: pd.DataFrame = pd.DataFrame(rows)
    return made


tenths = st.lists(st.integers(0, 10), min_size=1, max_size=6)


@given(st.tuples(tenths, tenths, tenths, tenths))
def test_costs_are_sums_over_images_at_every_threshold(lists: tuple[list[int], ...]) -> None:
    scores = scored_sets(a=(lists[0], lists[1]), b=(lists[2], lists[3]))
    (model,) = compute_model_metrics(scores, CONFIG)
    *_, mean = error_rates(model, CONFIG.threshold)

    def cost(threshold: float, miss: float, needless: float) -> float:
        parts = []
        for real, synthetic in (lists[:2], lists[2:]):
            missed = sum(score / 10 <= threshold for score in synthetic) / len(synthetic)
            looked = sum(score / 10 > threshold for score in real) / len(real)
            parts.append(miss * missed + needless * looked)
        return sum(parts) / 2

    grid = [-1, *(step / 20 for step in range(21))]
    for each in triage_costs(mean, CONFIG):
        miss, needless = 1000 * each.prevalence * each.miss_cost, 1000 * (1 - each.prevalence)
        assert each.cost == pytest.approx(cost(0.35, miss, needless))
        assert each.cost == pytest.approx(each.missed * each.miss_cost + each.needless)
        assert each.best_cost == pytest.approx(min(cost(threshold, miss, needless) for threshold in grid))
        assert each.best_cost == pytest.approx(cost(each.best_threshold, miss, needless))
        assert each.best_cost <= min(each.look_at_none, each.look_at_all) + 1e-9
    curve = cost_curve(mean)
    assert curve.best[25] == pytest.approx(min(cost(threshold, 0.5, 0.5) for threshold in grid))
    assert curve.chosen[10] == pytest.approx(cost(0.35, 0.2, 0.8))
    assert (curve.best <= curve.trivial + 1e-9).all()


def test_thresholds_of_logits_are_scores() -> None:
    scores = scored_sets(a=([2, 3], [7, 8]))
    scores["logit"] = np.log(scores["score"] / (1 - scores["score"]))
    (model,) = compute_model_metrics(scores, CONFIG)
    (best, *_) = triage_costs(error_rates(model, 0.5)[0], CONFIG)
    assert best.best_threshold == pytest.approx(0.5)
    assert best.best_cost == best.cost == 0
