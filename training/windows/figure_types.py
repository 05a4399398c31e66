"""The shape of figures in the JSON files of model cards.

The files are published with weights, so keys stay as they are, also where the code has better words now:
``silent`` are the windows that a detector abstained on.
"""

from __future__ import annotations

from typing import TypedDict


class Rates(TypedDict):
    """`sidscan.training.common.metrics.DetectionMetrics`, rounded."""

    real: int
    synthetic: int
    auroc: float
    tpr_at_5: float
    tpr: float
    fpr: float


class FalsePositives(TypedDict):
    """Of one repository, or one kind, of photographs."""

    n: int
    fpr: float


class Intervals(TypedDict):
    """95 % intervals: low, high."""

    auroc_interval: list[float]
    tpr_at_5_interval: list[float]


class ConditionMetrics(Rates, Intervals):
    """All figures of one condition."""

    auroc_of_repositories: float
    generators: dict[str, Rates]
    real_repositories: dict[str, FalsePositives]
    real_kinds: dict[str, FalsePositives]


class SizeMetrics(TypedDict):
    """Among windows of one size."""

    real: int
    synthetic: int
    auroc: float


class Errors(SizeMetrics):
    """At the threshold."""

    fpr: float
    missed: float


class InconclusiveShares(TypedDict):
    """Shares of the windows of each label that the detector abstained on."""

    real: float
    synthetic: float


class AbstentionMetrics(TypedDict):
    """Errors of one condition; None where a label has no window."""

    windows: int
    inconclusive: InconclusiveShares
    reasons: dict[str, int]
    all: Errors | None
    conclusive: Errors | None
    silent: Errors | None


class AbstentionRule(TypedDict):
    """`sidscan.models.abstention.Abstention`."""

    side: int
    detail: float
    quality: int
    spread: float


class DataSource(TypedDict):
    """One repository and label."""

    fold: int
    repository: str
    label: str
    windows: int
    what: list[str]
    licence: str


class CatalogMetrics(TypedDict):
    """What `sidscan models list` shows."""

    accuracy: float
    average_precision: float
    about: str


class EffortReliability(TypedDict):
    """Shares by condition, and the logits that 0, 1, ... 100 % of the photographs do not exceed."""

    as_is: dict[str, float]
    jpeg75: dict[str, float]
    photograph_quantiles: list[float]


class ReliabilityFigures(TypedDict):
    """What `sidscan.models.reliability` reads: ``images`` says in words what was scored."""

    images: str
    encoder: str | None
    photographs: int
    synthetic: int
    efforts: dict[str, EffortReliability]


class FoldWeights(TypedDict):
    """The weights that score a fold, and the fold's repositories."""

    sha256: str
    repositories: list[str]
