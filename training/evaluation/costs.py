"""What errors cost: cost curves, and the cost of a triage of 1,000 images.

Cost curves are those of Drummond and Holte, "Cost curves: An improved method for visualizing classifier
performance", Machine Learning 65 (2006). Their horizontal axis joins how common synthetic images are and what
errors cost into one number from 0 to 1. The vertical axis is the expected cost, where 1 is the cost of erring
on every image.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sidscan.errors import UsageError
from sidscan.training.common.run_settings import read_settings

from .results import MEAN_KEY, MetricsConfig, ModelMetrics

Floats = NDArray[np.float64]
POINTS = 51  # of a curve
IMAGES = 1000  # of a triage


@dataclass(frozen=True)
class ErrorRates:
    """Error rates of a detector at rising thresholds; ``mean`` is the mean over the sets at each threshold.

    Attributes:
        thresholds: (k,) scores; images that score above one are flagged. The first flags every image.
        missed: (k,) share of the synthetic images that are not flagged.
        needless: (k,) share of the real images that are.
        chosen: missed and needless at ``--threshold``.
    """

    model: str
    set: str
    thresholds: Floats
    missed: Floats
    needless: Floats
    chosen: tuple[float, float]

    def best(self, weight_missed: float, weight_needless: float) -> int:
        """The index of the threshold with the lowest weighted sum of both rates."""
        return int(np.argmin(weight_missed * self.missed + weight_needless * self.needless))


@dataclass(frozen=True)
class CostCurve:
    """Normalised expected cost, (`POINTS`,) each.

    Attributes:
        axis: the probability cost, 0 to 1: prevalence times the cost of a miss, as a share of that and of the
            rest times the cost of a needless look.
        chosen: the cost at ``--threshold``.
        best: the cost at the threshold that is best for each point, found on these same images.
    """

    model: str
    set: str
    axis: Floats
    chosen: Floats
    best: Floats

    @property
    def trivial(self) -> Floats:
        """The cost of flagging every image, or none, whichever is lower."""
        return np.minimum(self.axis, 1 - self.axis)


@dataclass(frozen=True)
class TriageCost:
    """The expected cost of a triage of `IMAGES` images, in needless looks.

    Attributes:
        prevalence: share of synthetic images.
        miss_cost: how many needless looks a missed synthetic image is worth.
        missed, needless, cost: at ``--threshold``.
        best_threshold, best_cost: the best on these same images.
        look_at_none, look_at_all: the cost without a detector.
    """

    model: str
    set: str
    prevalence: float
    miss_cost: float
    missed: float
    needless: float
    cost: float
    best_threshold: float
    best_cost: float
    look_at_none: float
    look_at_all: float


def kept_costs(folder: Path, names: Sequence[str]) -> dict[str, tuple[float, ...]]:
    """Prevalences and costs of misses of an evaluation, by their names in `MetricsConfig`.

    Evaluations of earlier versions state none.

    Args:
        names: which of them are wanted.

    Raises:
        UsageError: it states something else than numbers.
    """
    try:
        settings = read_settings(folder)
    except OSError:
        return {}
    kept = {name: settings[name] for name in names if name in settings}
    for name, values in kept.items():
        if not isinstance(values, list) or not values or not all(type(one) in (int, float) for one in values):
            raise UsageError(
                f"{folder / 'evaluation.json'}: {name} is not a list of numbers",
                "Correct it, or name --prevalence and --miss-cost.",
            )
    return {name: tuple(map(float, values)) for name, values in kept.items() if isinstance(values, list)}


def error_rates(model: ModelMetrics, threshold: float) -> list[ErrorRates]:
    """Of each set, and of their mean at thresholds that all sets share."""
    own = {key: _scores(model, key) for key in model.curves}
    rates = [_rates(model.model, key, scores, threshold) for key, scores in own.items()]
    common = _thresholds(np.concatenate([np.concatenate(scores) for scores in own.values()]))
    missed, needless = (
        np.mean([_shares(scores[index], common, flagged) for scores in own.values()], axis=0)
        for index, flagged in ((1, False), (0, True))
    )
    chosen = (float(np.mean([one.chosen[side] for one in rates])) for side in (0, 1))
    return [*rates, ErrorRates(model.model, MEAN_KEY, common, missed, needless, (next(chosen), next(chosen)))]


def cost_curve(rates: ErrorRates) -> CostCurve:
    """The curve of a detector on a set."""
    axis = np.linspace(0, 1, POINTS)
    best = [rates.best(share, 1 - share) for share in axis]
    missed, needless = rates.chosen
    return CostCurve(
        rates.model,
        rates.set,
        axis,
        axis * missed + (1 - axis) * needless,
        axis * rates.missed[best] + (1 - axis) * rates.needless[best],
    )


def triage_costs(rates: ErrorRates, config: MetricsConfig) -> list[TriageCost]:
    """The costs at every combination of prevalence and cost of a miss."""
    return [
        _triage_cost(rates, prevalence, miss_cost)
        for prevalence in config.prevalences
        for miss_cost in config.miss_costs
    ]


def _triage_cost(rates: ErrorRates, prevalence: float, miss_cost: float) -> TriageCost:
    synthetic, real = IMAGES * prevalence, IMAGES * (1 - prevalence)
    missed, needless = synthetic * rates.chosen[0], real * rates.chosen[1]
    best = rates.best(synthetic * miss_cost, real)
    return TriageCost(
        model=rates.model,
        set=rates.set,
        prevalence=prevalence,
        miss_cost=miss_cost,
        missed=missed,
        needless=needless,
        cost=missed * miss_cost + needless,
        best_threshold=float(rates.thresholds[best]),
        best_cost=float(synthetic * miss_cost * rates.missed[best] + real * rates.needless[best]),
        look_at_none=synthetic * miss_cost,
        look_at_all=real,
    )


def _scores(model: ModelMetrics, key: str) -> tuple[Floats, Floats]:
    """Scores of the real and of the synthetic images of a set, rising."""
    curve = model.curves[key]
    values = curve.values
    if model.ranked_by[key] == "logit":
        values = 1 / (1 + np.exp(-np.clip(values, -700, 700)))
    return np.sort(values[curve.real]), np.sort(values[curve.synthetic])


def _rates(model: str, key: str, scores: Sequence[Floats], threshold: float) -> ErrorRates:
    thresholds = _thresholds(np.concatenate(scores))
    real, synthetic = scores
    at = np.array([threshold])
    chosen = (float(_shares(synthetic, at, False)[0]), float(_shares(real, at, True)[0]))
    missed, needless = _shares(synthetic, thresholds, False), _shares(real, thresholds, True)
    return ErrorRates(model, key, thresholds, missed, needless, chosen)


def _thresholds(scores: Floats) -> Floats:
    """One below all scores, one between each two, one at the highest: rising."""
    values = np.unique(scores)
    lowest = np.array([min(0.0, values[0]) - 1e-9])
    return np.concatenate([lowest, (values[:-1] + values[1:]) / 2, values[-1:]])


def _shares(scores: Floats, thresholds: Floats, flagged: bool) -> Floats:
    """The share of rising scores above each threshold, or not above it."""
    below = np.searchsorted(scores, thresholds, "right")
    shares: Floats = (len(scores) - below if flagged else below) / len(scores)
    return shares
