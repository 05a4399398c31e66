"""The shape of mini.json, the figures behind the bundled detector's model card.

The file is published with the weights, so its keys stay as they are, also where the code has better words
now: ``histories`` are random degradations, ``copies`` are recompressions, ``bar`` is the margin,
``certainty_power`` is the power of the content weight, ``silent`` are the windows that the detector abstained
on, and `KIND_KEYS` has the old names of two kinds of statistics.
"""

from __future__ import annotations

from typing import TypedDict

from sidscan.models.backbones.mini import TONE_AND_FILTERS

KIND_KEYS = {"periodicity": "rhythm", TONE_AND_FILTERS: "looks"}


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


class FoldWeights(TypedDict):
    """The weights that score a fold, and the fold's repositories."""

    sha256: str
    repositories: list[str]


class Training(TypedDict):
    """How the weights were made."""

    command: str
    histories: int
    copies: int
    penalty: float
    shrinkage: float
    synthetic_share: float
    bar: float
    consensus: float
    certainty_power: float


class ModelCard(TypedDict):
    """The whole file; ``pooled`` and what follows has one entry per condition, by its name."""

    name: str
    version: str
    licence: str
    sha256: str
    parameters: int
    card_command: str
    training: Training
    importance: dict[str, float]
    threshold: float
    threshold_made: str
    folds: list[FoldWeights]
    metrics: CatalogMetrics
    pooled: dict[str, ConditionMetrics]
    first_corpus: dict[str, ConditionMetrics]
    half_by_side: dict[str, SizeMetrics]
    abstention: AbstentionRule
    abstaining: dict[str, AbstentionMetrics]
    per_fold: dict[str, dict[str, Rates]]
    sources: list[DataSource]
