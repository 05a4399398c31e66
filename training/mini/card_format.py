"""The shape of mini.json, the figures behind the bundled detector's model card.

The file is published with the weights, so its keys stay as they are, also where the code has better words
now: ``histories`` are random degradations, ``copies`` are recompressions, ``bar`` is the margin,
``certainty_power`` is the power of the content weight, and `KIND_KEYS` has the old names of two kinds of
statistics. `sidscan.training.windows.figure_types` has the parts that other detectors' cards share.
"""

from __future__ import annotations

from typing import TypedDict

from sidscan.models.backbones.mini import TONE_AND_FILTERS
from sidscan.training.windows.figure_types import (
    AbstentionMetrics,
    AbstentionRule,
    CatalogMetrics,
    ConditionMetrics,
    DataSource,
    FoldWeights,
    Rates,
    ReliabilityFigures,
    SizeMetrics,
)

KIND_KEYS = {"periodicity": "rhythm", TONE_AND_FILTERS: "looks"}


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
    reliability: ReliabilityFigures
    first_corpus: dict[str, ConditionMetrics]
    half_by_side: dict[str, SizeMetrics]
    abstention: AbstentionRule
    abstaining: dict[str, AbstentionMetrics]
    per_fold: dict[str, dict[str, Rates]]
    sources: list[DataSource]
