"""Scores -> figures per test set and averaged, with bootstrap intervals."""

from __future__ import annotations

import math
import zlib
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from sidscan.errors import UsageError
from sidscan.training.common import metrics
from sidscan.training.common.metrics import METRIC_NAMES, Scores, ThresholdCurve

from .testsets import KINDS

_ORDER = [kind.key for kinds in KINDS.values() for kind in kinds]
MEAN = "mean"


@dataclass(frozen=True, slots=True, kw_only=True)
class ResultsConfig:
    """How figures are made of scores.

    Attributes:
        threshold: pictures that score above it are called synthetic.
        fpr: false-positive rate at which the true-positive rate is told.
        draws: bootstrap resamples; 0 leaves the intervals out.
        seed: of the resamples.
    """

    threshold: float = 0.5
    fpr: float = 0.05
    draws: int = 1000
    seed: int = 0

    def __post_init__(self) -> None:
        """Refuses rates that are none.

        Raises:
            UsageError: the threshold is not within 0..1, or the rate not within 0..1.
        """
        if not 0 < self.threshold < 1 or not 0 <= self.fpr <= 1 or self.draws < 0:
            raise UsageError("--threshold and --fpr lie between 0 and 1, --bootstrap is not negative")


@dataclass(frozen=True)
class Measured:
    """Figures of one set, or their mean over sets; fractions by name in `metrics.METRIC_NAMES`.

    Attributes:
        low, high: bounds of the 95 % interval; NaN without a bootstrap.
        unreadable: pictures left out because they have no score.
    """

    key: str
    real: int
    synthetic: int
    unreadable: int
    figures: Mapping[str, float]
    low: Mapping[str, float]
    high: Mapping[str, float]


@dataclass(frozen=True)
class ModelResult:
    """Everything about one model.

    Attributes:
        sets: in published order.
        curves: key of a set -> its curve.
        crops, perturbation: as the scores file states them.
    """

    model: str
    digest: str
    crops: str
    perturbation: str
    sets: tuple[Measured, ...]
    mean: Measured
    curves: Mapping[str, ThresholdCurve]

    def missing(self) -> tuple[str, ...]:
        """Sets of the same published layout that are not there; none for sets of one's own."""
        keys = {measured.key for measured in self.sets}
        for kinds in KINDS.values():
            layout = [kind.key for kind in kinds]
            if keys <= set(layout):
                return tuple(key for key in layout if key not in keys)
        return ()


def results(rows: pd.DataFrame, config: ResultsConfig) -> list[ModelResult]:
    """Figures of every model in a scores file (`scores.read`), in its order.

    Raises:
        UsageError: a set lacks scored pictures of one label.
    """
    return [_model(str(name), group, config) for name, group in rows.groupby("model", sort=False)]


def _model(name: str, rows: pd.DataFrame, config: ResultsConfig) -> ModelResult:
    keys = sorted(rows["set"].unique(), key=lambda key: (_ORDER.index(key) if key in _ORDER else 99, key))
    sets, curves, draws = [], {}, []
    for key in keys:
        part = rows[rows["set"] == key]
        curves[key] = _curve(key, part, config.threshold)
        draws.append(metrics.bootstrap(curves[key], config.fpr, config.draws, _seeds(key, part, config.seed)))
        sets.append(_measured(key, part, metrics.compute_metrics(curves[key], config.fpr), draws[-1]))
    means = {name: float(np.mean([one.figures[name] for one in sets])) for name in METRIC_NAMES}
    return ModelResult(
        model=name,
        digest=_one(rows, "digest"),
        crops=_one(rows, "crops"),
        perturbation=_one(rows, "perturbation"),
        sets=tuple(sets),
        mean=_measured(MEAN, rows, means, np.mean(draws, axis=0)),
        curves=curves,
    )


def _curve(key: str, rows: pd.DataFrame, threshold: float) -> ThresholdCurve:
    """Ranks are logits where there are any: scores near 1 can no longer be told apart."""
    scored = rows[rows["error"] == ""]
    by_logit = bool(scored["logit"].notna().all())
    ranks = scored["logit" if by_logit else "score"].to_numpy(dtype=np.float64)
    synthetic = (scored["label"] == "synthetic").to_numpy()
    if synthetic.all() or not synthetic.any():
        lacking = "real" if synthetic.any() else "synthetic"
        raise UsageError(f"{key} holds no {lacking} picture with a score; it has no figures")
    cut = math.log(threshold / (1 - threshold)) if by_logit else threshold
    return metrics.threshold_curve(ranks[~synthetic], ranks[synthetic], cut)


def _seeds(key: str, rows: pd.DataFrame, seed: int) -> tuple[int, int]:
    """Sets with the same real pictures are resampled alike among these."""
    real = rows.loc[(rows["label"] == "real") & (rows["error"] == ""), "path"]
    names = "\n".join(real) if real.any() else key
    return zlib.crc32(f"{seed} real {names}".encode()), zlib.crc32(f"{seed} {key}".encode())


def _measured(key: str, rows: pd.DataFrame, figures: Mapping[str, float], draws: Scores) -> Measured:
    low, high = (
        dict(zip(METRIC_NAMES, bound.tolist(), strict=True)) for bound in metrics.confidence_interval(draws)
    )
    scored = rows["error"] == ""
    return Measured(
        key=key,
        real=int((scored & (rows["label"] == "real")).sum()),
        synthetic=int((scored & (rows["label"] == "synthetic")).sum()),
        unreadable=int((~scored).sum()),
        figures=dict(figures),
        low=low,
        high=high,
    )


def _one(rows: pd.DataFrame, column: str) -> str:
    return ", ".join(sorted({str(value) for value in rows[column]}))
