"""The bundled detector with one ingredient changed: the rows of `sidscan.training.mini.ablations`."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

import torch
from torch import Tensor

from sidscan.models.backbones.mini import LEVELS, STATISTIC_KINDS, TONE_AND_FILTERS

from .fit import DEFAULT_FIT, Discriminants, FitConfig, pool_scores, std_along

PARTS = 8  # of every fold's repositories, for the learning curve
HARD_PHOTOGRAPHS = "the tenth of photographs that scores highest weighs three times"
FEATURE_GROUPS = (*itertools.product(range(LEVELS), STATISTIC_KINDS), (LEVELS, TONE_AND_FILTERS))

FeatureGroup: TypeAlias = tuple[int, str]
"""A level and a kind, as in `MiniEncoder.feature_groups`."""


@dataclass(frozen=True)
class CropStatistics:
    """What a readout gets of some crops.

    Attributes:
        statistics: (n, statistics), standardised.
        content_weight: (n,).
        group_sizes: how many statistics each feature group has.
    """

    statistics: Tensor
    content_weight: Tensor
    group_sizes: Sequence[int]


Readout: TypeAlias = Callable[[CropStatistics, Discriminants, FitConfig], Tensor]
"""Crops -> evidence (n,)."""


def source_scores(crops: CropStatistics, fitted: Discriminants) -> Tensor:
    """(n, sources), scaled as the encoder scales features."""
    scores = crops.statistics @ fitted.directions.T - fitted.directions @ fitted.mean
    return scores * crops.content_weight[:, None]


def as_shipped(crops: CropStatistics, fitted: Discriminants, config: FitConfig) -> Tensor:
    """The shipped detector's evidence."""
    return pool_scores(source_scores(crops, fitted), config)


def without_content_weight(crops: CropStatistics, fitted: Discriminants, config: FitConfig) -> Tensor:
    """Small images count as much as any."""
    return as_shipped(replace(crops, content_weight=torch.ones_like(crops.content_weight)), fitted, config)


def highest_and_mean(crops: CropStatistics, fitted: Discriminants, _: FitConfig) -> Tensor:
    """The evidence of version 3."""
    scores = source_scores(crops, fitted)
    return scores.amax(dim=1) + scores.mean(dim=1)


def mean_score(crops: CropStatistics, fitted: Discriminants, _: FitConfig) -> Tensor:
    """The mean of all sources' scores, which is one discriminant."""
    return source_scores(crops, fitted).mean(dim=1)


def equal_importance(crops: CropStatistics, fitted: Discriminants, config: FitConfig) -> Tensor:
    """Every feature group's part has one size over photographs: no importance estimator."""
    rescaled = fitted.directions.clone()
    for group in torch.split(torch.arange(len(fitted.mean)), list(crops.group_sizes)):
        rescaled[:, group] /= std_along(rescaled[:, group], fitted.covariance[group][:, group])[:, None]
    rescaled /= std_along(rescaled, fitted.covariance)[:, None]
    return as_shipped(crops, replace(fitted, directions=rescaled), config)


@dataclass(frozen=True)
class Variant:
    """One row.

    Attributes:
        feature_groups: those that it uses.
        fitted_on: training sets (`ablations.training_sets`); for several, the evidence of separate fits is
            averaged.
        parts: those of the fitted folds.
    """

    name: str
    readout: Readout = as_shipped
    config: FitConfig = DEFAULT_FIT
    feature_groups: frozenset[FeatureGroup] = frozenset(FEATURE_GROUPS)
    fitted_on: tuple[str, ...] = ("all",)
    parts: tuple[int, ...] = tuple(range(PARTS))


def variants() -> Iterator[Variant]:
    """All rows of the table, the shipped detector first."""
    yield Variant("as shipped")
    for kind in (*STATISTIC_KINDS, TONE_AND_FILTERS):
        yield Variant(
            f"without {kind}", feature_groups=frozenset(group for group in FEATURE_GROUPS if group[1] != kind)
        )
    for level in range(LEVELS):
        yield Variant(
            f"without 1/{2**level}",
            feature_groups=frozenset(group for group in FEATURE_GROUPS if group[0] != level),
        )
    yield Variant(
        "full resolution alone", feature_groups=frozenset(group for group in FEATURE_GROUPS if group[0] == 0)
    )
    yield Variant("every feature group as important (no importance estimator)", readout=equal_importance)
    yield Variant("small images count as much as any", readout=without_content_weight)
    yield Variant("one discriminant (mean of the scores)", readout=mean_score)
    yield Variant("highest score and the mean", readout=highest_and_mean)
    yield from _configurations()
    yield from _training_sets()


def _configurations() -> Iterator[Variant]:
    for margin in (1.0, 3.0):
        yield Variant(f"margin {margin:g}", config=replace(DEFAULT_FIT, margin=margin))
    for penalty in (0.01, 0.1, 0.5):
        yield Variant(f"penalty {penalty:g}", config=replace(DEFAULT_FIT, penalty=penalty))
    for share in (0.0, 0.5):
        yield Variant(
            f"of the covariance {share:.0%} synthetic", config=replace(DEFAULT_FIT, synthetic_share=share)
        )
    for shrinkage in (0.0, 40.0):
        yield Variant(
            f"sources shrunk by {shrinkage:g} windows", config=replace(DEFAULT_FIT, shrinkage=shrinkage)
        )


def _training_sets() -> Iterator[Variant]:
    for name in (
        "no degradations: windows as they are",
        "2 of 8 degradations, and the JPEG copies",
        "no further JPEG copies",
        "further JPEG copies alone",
        "every window weighs alike",
        "every repository weighs alike",
        HARD_PHOTOGRAPHS,
        "first corpus alone",
    ):
        yield Variant(name, fitted_on=(name,))
    halves = ("degradations 1 to 4, and the JPEG copies", "degradations 5 to 8, and the JPEG copies")
    yield Variant(halves[0], fitted_on=halves[:1])
    yield Variant(
        "two detectors of half the degradations each and the JPEG copies, averaged", fitted_on=halves
    )
