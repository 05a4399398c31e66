"""Scores -> metrics for each test set and averaged, with bootstrap intervals."""

from __future__ import annotations

import math
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd

from sidscan.errors import UsageError
from sidscan.training.common import metrics
from sidscan.training.common.metrics import METRIC_NAMES, Scores, ThresholdCurve

from .reliability import ReliabilityBins, reliability
from .testsets import published_layouts

Rank = Literal["logit", "score"]
MEAN_KEY = "mean"
PREVALENCES = (0.01, 0.1, 0.5)
MISS_COSTS = (1.0, 10.0, 100.0)
FEWEST_IMAGES = 5
"""Of a label, for an interval: resamples of fewer images hardly differ, and would show a certainty."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MetricsConfig:
    """How metrics are computed from scores.

    Attributes:
        threshold: images that score above it count as synthetic.
        fpr: the false-positive rate at which the true-positive rate is measured.
        resamples: bootstrap resamples; 0 leaves the intervals out.
        seed: of the resamples.
        prevalences: shares of synthetic images, for the cost of a triage.
        miss_costs: what a missed synthetic image costs, in needless looks.
    """

    threshold: float = 0.5
    fpr: float = 0.05
    resamples: int = 1000
    seed: int = 0
    prevalences: tuple[float, ...] = PREVALENCES
    miss_costs: tuple[float, ...] = MISS_COSTS

    def __post_init__(self) -> None:
        """Checks the values.

        Raises:
            UsageError: a value is out of range.
        """
        if not 0 < self.threshold < 1 or not 0 <= self.fpr <= 1 or self.resamples < 0:
            raise UsageError("--threshold and --fpr lie between 0 and 1, --bootstrap is not negative")
        if not all(0 < share < 1 for share in self.prevalences) or not all(
            0 < cost < math.inf for cost in self.miss_costs
        ):
            raise UsageError("--prevalence lies between 0 and 1, and --miss-cost is above 0")

    def costs(self) -> dict[str, tuple[float, ...]]:
        """What the settings of an evaluation keep of it; `costs.kept_costs` reads it."""
        return {"prevalences": self.prevalences, "miss_costs": self.miss_costs}


@dataclass(frozen=True)
class SetMetrics:
    """Metrics of one test set, or their mean over several; fractions by name in `metrics.METRIC_NAMES`.

    Attributes:
        generator: of the synthetic images, where they are those of one generator of a set; else empty.
        ece: expected calibration error of the scores (`reliability`); of a mean, the mean over the sets.
        low, high: bounds of the 95 % interval; NaN without a bootstrap, and where a set has fewer images of a
            label than `FEWEST_IMAGES`.
        unreadable: images that were left out because they have no score.
    """

    key: str
    real: int
    synthetic: int
    unreadable: int
    generator: str
    ece: float
    values: Mapping[str, float]
    low: Mapping[str, float]
    high: Mapping[str, float]

    @property
    def has_few_images(self) -> bool:
        """Whether there are too few images of a label for an interval."""
        return min(self.real, self.synthetic) < FEWEST_IMAGES


@dataclass(frozen=True)
class ModelMetrics:
    """All metrics of one model.

    Attributes:
        sets: in published order.
        generators: each generator of each set, with all real images of the set; empty where nothing is known.
        curves: key of a set -> its curve.
        ranked_by: key of a set -> what the values of its curve are.
        reliability: key of a set -> its scores by bin.
        crops, perturbation: as the scores file states them.
    """

    model: str
    digest: str
    crops: str
    perturbation: str
    sets: tuple[SetMetrics, ...]
    mean: SetMetrics
    generators: tuple[SetMetrics, ...]
    curves: Mapping[str, ThresholdCurve]
    ranked_by: Mapping[str, Rank]
    reliability: Mapping[str, ReliabilityBins]

    def one_sided_sets(self) -> tuple[str, ...]:
        """Sets in which all images are called synthetic, or none is."""
        return tuple(key for key, curve in self.curves.items() if curve.calls.all() or not curve.calls.any())

    def missing_sets(self) -> tuple[str, ...]:
        """Sets of the same published layout that have no scores; empty for sets of your own."""
        keys = {one_set.key for one_set in self.sets}
        for known in published_layouts():
            layout = [one_set.key for one_set in known]
            if keys <= set(layout):
                return tuple(key for key in layout if key not in keys)
        return ()


def compute_model_metrics(scores: pd.DataFrame, config: MetricsConfig) -> list[ModelMetrics]:
    """Metrics of every model in a table of scores (`scores.read_scores`), in the table's order.

    Raises:
        UsageError: a set has no score for real images, or none for synthetic images.
    """
    return [_model_metrics(str(name), rows, config) for name, rows in scores.groupby("model", sort=False)]


def _model_metrics(name: str, rows: pd.DataFrame, config: MetricsConfig) -> ModelMetrics:
    sets, generators, curves, resampled = [], [], {}, []
    by_bin: dict[str, ReliabilityBins] = {}
    for key in sorted(rows["set"].unique(), key=_published_position):
        set_rows = rows[rows["set"] == key]
        curves[key] = _curve(key, set_rows, config.threshold)
        seeds = _seeds(key, set_rows, config.seed)
        resampled.append(metrics.bootstrap(curves[key], config.fpr, config.resamples, seeds))
        values = metrics.compute_metrics(curves[key], config.fpr)
        by_bin[key] = _reliability(set_rows)
        sets.append(_set_metrics(key, set_rows, values, resampled[-1], by_bin[key].ece))
        generators += _by_generator(key, set_rows, config)
    means = {name: float(np.mean([one_set.values[name] for one_set in sets])) for name in METRIC_NAMES}
    return ModelMetrics(
        model=name,
        digest=_distinct(rows, "digest"),
        crops=_distinct(rows, "crops"),
        perturbation=_distinct(rows, "perturbation"),
        sets=tuple(sets),
        mean=_set_metrics(
            MEAN_KEY, rows, means, np.mean(resampled, axis=0), float(np.mean([one.ece for one in sets]))
        ),
        generators=tuple(generators),
        curves=curves,
        ranked_by={key: _rank(rows[rows["set"] == key]) for key in curves},
        reliability=by_bin,
    )


def _by_generator(key: str, rows: pd.DataFrame, config: MetricsConfig) -> list[SetMetrics]:
    """Metrics of each generator of a set, against all real images of the set."""
    real, synthetic = (rows[rows["label"] == label] for label in ("real", "synthetic"))
    found = []
    for generator in sorted(set(synthetic["generator"]) - {""}):
        own = synthetic[synthetic["generator"] == generator]
        if not (own["error"] == "").any():
            continue  # no image of it could be read
        both = pd.concat([real, own])
        curve = _curve(key, both, config.threshold)
        seeds = _seeds(f"{key} {generator}", both, config.seed)
        draws = metrics.bootstrap(curve, config.fpr, config.resamples, seeds)
        values = metrics.compute_metrics(curve, config.fpr)
        found.append(_set_metrics(key, both, values, draws, _reliability(both).ece, generator))
    return found


def _published_position(key: str) -> tuple[int, str]:
    """Sorts published sets in their order, and then other sets by name."""
    order = [one_set.key for known in published_layouts() for one_set in known]
    return (order.index(key) if key in order else len(order), key)


def _curve(key: str, rows: pd.DataFrame, threshold: float) -> ThresholdCurve:
    """Ranks images by logit where all have one: scores near 1 are too close together to rank by."""
    scored = rows[rows["error"] == ""]
    rank = _rank(rows)
    ranks = scored[rank].to_numpy(dtype=np.float64)
    synthetic = (scored["label"] == "synthetic").to_numpy()
    if synthetic.all() or not synthetic.any():
        lacking = "real" if synthetic.any() else "synthetic"
        raise UsageError(f"{key} has no score for any {lacking} image, so it has no metrics")
    cut = math.log(threshold / (1 - threshold)) if rank == "logit" else threshold
    return metrics.threshold_curve(ranks[~synthetic], ranks[synthetic], cut)


def _rank(rows: pd.DataFrame) -> Rank:
    """What the images of a set are ranked by."""
    return "logit" if rows.loc[rows["error"] == "", "logit"].notna().all() else "score"


def _seeds(key: str, rows: pd.DataFrame, seed: int) -> tuple[int, int]:
    """Seeds for real and synthetic images. Sets with the same real images share the first seed."""
    real = rows.loc[(rows["label"] == "real") & (rows["error"] == ""), "path"]
    names = "\n".join(real) if real.any() else key
    return zlib.crc32(f"{seed} real {names}".encode()), zlib.crc32(f"{seed} {key}".encode())


def _reliability(rows: pd.DataFrame) -> ReliabilityBins:
    scored = rows[rows["error"] == ""]
    return reliability(
        scored["score"].to_numpy(np.float64), (scored["label"] == "synthetic").to_numpy(np.bool_)
    )


def _set_metrics(
    key: str,
    rows: pd.DataFrame,
    values: Mapping[str, float],
    resampled: Scores,
    ece: float,
    generator: str = "",
) -> SetMetrics:
    low, high = (
        dict(zip(METRIC_NAMES, bound.tolist(), strict=True))
        for bound in metrics.confidence_interval(resampled)
    )
    scored = rows[rows["error"] == ""]
    counts = scored.groupby(["set", "label"]).size()
    if counts.min() < FEWEST_IMAGES:  # of a mean: in any set
        low = high = dict.fromkeys(METRIC_NAMES, math.nan)
    return SetMetrics(
        key=key,
        real=int((scored["label"] == "real").sum()),
        synthetic=int((scored["label"] == "synthetic").sum()),
        unreadable=len(rows) - len(scored),
        generator=generator,
        ece=ece,
        values=dict(values),
        low=low,
        high=high,
    )


def _distinct(rows: pd.DataFrame, column: str) -> str:
    return ", ".join(sorted({str(value) for value in rows[column]}))
