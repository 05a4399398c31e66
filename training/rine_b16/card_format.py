"""The shape of rine_b16.json, the figures behind the model card of rine-b16."""

from __future__ import annotations

from typing import TypedDict

from sidscan.training.windows.figure_types import (
    AbstentionRule,
    CatalogMetrics,
    ConditionMetrics,
    DataSource,
    FoldWeights,
    Intervals,
    Rates,
    ReliabilityFigures,
)


class ComparedFigures(Intervals):
    """What one detector comes to under one condition; no threshold is involved.

    Attributes:
        tpr_at_5: share of the synthetic images above the level that 5 % of these photographs exceed.
        auroc_of_repositories: mean over synthetic repositories.
        generators: by family; empty where they are not stated.
    """

    real: int
    synthetic: int
    auroc: float
    tpr_at_5: float
    auroc_of_repositories: float
    generators: dict[str, Rates]


class ComparisonFigures(TypedDict):
    """By condition, then by detector.

    Attributes:
        windows: the centre crop of windows: all as they are and as JPEG 75, some of each repository and label
            at half size.
        images: the centre crop of some whole images.
    """

    windows: dict[str, dict[str, ComparedFigures]]
    images: dict[str, dict[str, ComparedFigures]]


class EnsembleTraining(TypedDict):
    """How the weights were made; the views, and the fields of `fit.EnsembleConfig`."""

    command: str
    encoder: str
    views: list[str]
    config: dict[str, float | list[int]]


class CascadeRule(TypedDict):
    """`sidscan.models.cascade.Cascade`."""

    centre: float
    mirrors: float


class CascadeFigures(TypedDict):
    """What the cascade comes to on whole images, beside all ten crops.

    Attributes:
        crops: mean number of crops of a photograph, of a synthetic image.
        kept: share of the synthetic images above the threshold by ten crops that are above it by the cascade.
        changed: share of all images that change sides of the threshold.
    """

    crops: dict[str, float]
    kept: float
    changed: float
    rates: Rates


class Flagged(TypedDict):
    """Of one kind of real images, or of the synthetic ones."""

    n: int
    flagged: float


class ProbeFigures(TypedDict):
    """How well the probe ``drawn`` tells art from photographs, by probes that never saw the repository.

    Attributes:
        drawn, photographs: how many images of art by people there are, and photographs.
        auroc: of these.
        found: share of the art above the level that 2 % of the photographs exceed.
        kinds: shares flagged at the threshold, by kind of real images; and of the synthetic images.
    """

    drawn: int
    photographs: int
    auroc: float
    found: float
    kinds: dict[str, Flagged]


class ToldFigures(TypedDict):
    """Of the whole images that rows give a caution; rates at the threshold, None where there is no image."""

    real: int
    fpr: float | None
    synthetic: int
    tpr: float | None


class CautionRule(TypedDict):
    """`sidscan.models.cautions.Caution`."""

    kind: str
    told_by: str
    false_positive_rate: float
    images: int
    threshold: float | None


class EnsembleCard(TypedDict):
    """The whole file.

    Attributes:
        told: by word of a caution; whole images, ten crops, as they are.
        probe: of the caution ``drawn``, by condition; ten crops, and ``centre`` for the centre crop alone.
        comparison: with `mini`'s method and a plain probe, by crops of the same windows and images.
        windows: by condition; the centre crop of every window.
        hard: by condition; the centre crop of some windows, very small or strongly compressed.
        whole: by condition; ten crops of whole images.
        centre: by condition; the centre crop of the same whole images.
    """

    name: str
    version: str
    licence: str
    sha256: str
    parameters: int
    card_command: str
    training: EnsembleTraining
    threshold: float
    threshold_made: str
    abstention: AbstentionRule
    cascade: CascadeRule
    cautions: list[CautionRule]
    told: dict[str, ToldFigures]
    probe: dict[str, ProbeFigures]
    folds: list[FoldWeights]
    metrics: CatalogMetrics
    windows: dict[str, ConditionMetrics]
    hard: dict[str, ConditionMetrics]
    whole: dict[str, ConditionMetrics]
    centre: dict[str, ConditionMetrics]
    effort: dict[str, CascadeFigures]
    reliability: ReliabilityFigures
    comparison: ComparisonFigures
    per_fold: dict[str, dict[str, Rates]]
    sources: list[DataSource]
