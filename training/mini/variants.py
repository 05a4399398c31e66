"""The bundled detector with one ingredient changed: the rows of `sidscan.training.mini.ablations`."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

import torch
from torch import Tensor

from sidscan.models.backbones.mini import KINDS, LEVELS, LOOKS

from .fit import SETTINGS, Discriminants, Settings, deviations, verdict

PARTS = 8  # of every fold's repositories, for the learning curve
HARD_NAME = "the tenth of photographs that reads highest weighs thrice"
DEPTHS = (*itertools.product(range(LEVELS), KINDS), (LEVELS, LOOKS))

Depth: TypeAlias = tuple[int, str]
"""A level and a kind, as the encoder has them."""


@dataclass(frozen=True)
class Crops:
    """Some crops, as a readout sees them.

    Attributes:
        statistics: (n, statistics), standardised.
        certainty: (n,).
        widths: how many statistics each depth has.
    """

    statistics: Tensor
    certainty: Tensor
    widths: Sequence[int]


Readout: TypeAlias = Callable[[Crops, Discriminants, Settings], Tensor]
"""Crops -> evidence (n,)."""


def readings(crops: Crops, found: Discriminants) -> Tensor:
    """(n, schools), scaled as the encoder scales features."""
    read = crops.statistics @ found.directions.T - found.directions @ found.mean
    return read * crops.certainty[:, None]


def as_shipped(crops: Crops, found: Discriminants, settings: Settings) -> Tensor:
    """The verdict of the product."""
    return verdict(readings(crops, found), settings)


def certain(crops: Crops, found: Discriminants, settings: Settings) -> Tensor:
    """The verdict where a small picture counts as much as any."""
    return as_shipped(replace(crops, certainty=torch.ones_like(crops.certainty)), found, settings)


def highest_and_mean(crops: Crops, found: Discriminants, _: Settings) -> Tensor:
    """Version 3's."""
    read = readings(crops, found)
    return read.amax(dim=1) + read.mean(dim=1)


def consensus(crops: Crops, found: Discriminants, _: Settings) -> Tensor:
    """The mean of all schools' readings, which is one discriminant."""
    return readings(crops, found).mean(dim=1)


def alike(crops: Crops, found: Discriminants, settings: Settings) -> Tensor:
    """The verdict where every depth's share has one size over photographs: no importance estimator."""
    rescaled = found.directions.clone()
    for place in torch.split(torch.arange(len(found.mean)), list(crops.widths)):
        rescaled[:, place] /= deviations(rescaled[:, place], found.spread[place][:, place])[:, None]
    rescaled /= deviations(rescaled, found.spread)[:, None]
    return as_shipped(crops, replace(found, directions=rescaled), settings)


@dataclass(frozen=True)
class Variant:
    """One row.

    Attributes:
        depths: those that it has.
        sources: the sums that it is fitted on; several are fitted apart and their evidence averaged.
        parts: those of the fitted folds.
    """

    name: str
    readout: Readout = as_shipped
    settings: Settings = SETTINGS
    depths: frozenset[Depth] = frozenset(DEPTHS)
    sources: tuple[str, ...] = ("all",)
    parts: tuple[int, ...] = tuple(range(PARTS))


def variants() -> Iterator[Variant]:
    """All rows of the table, the shipped detector first. What they are fitted on: see `treatments`."""
    yield Variant("as shipped")
    for kind in (*KINDS, LOOKS):
        yield Variant(f"without {kind}", depths=frozenset(depth for depth in DEPTHS if depth[1] != kind))
    for level in range(LEVELS):
        yield Variant(
            f"without 1/{2**level}", depths=frozenset(depth for depth in DEPTHS if depth[0] != level)
        )
    yield Variant("full resolution alone", depths=frozenset(depth for depth in DEPTHS if depth[0] == 0))
    yield Variant("every depth as important (no importance estimator)", readout=alike)
    yield Variant("small pictures count as much as any", readout=certain)
    yield Variant("one discriminant (mean of the readings)", readout=consensus)
    yield Variant("highest reading and the mean", readout=highest_and_mean)
    for bar in (1.0, 3.0):
        yield Variant(f"bar {bar:g}", settings=replace(SETTINGS, bar=bar))
    for penalty in (0.01, 0.1, 0.5):
        yield Variant(f"penalty {penalty:g}", settings=replace(SETTINGS, penalty=penalty))
    for share in (0.0, 0.5):
        yield Variant(
            f"of the covariance {share:.0%} synthetic", settings=replace(SETTINGS, synthetic_share=share)
        )
    for shrinkage in (0.0, 40.0):
        yield Variant(
            f"schools shrunk by {shrinkage:g} windows", settings=replace(SETTINGS, shrinkage=shrinkage)
        )
    for source in (
        "no histories: windows as they are",
        "2 of 8 histories, and the JPEG copies",
        "no further JPEG copies",
        "further JPEG copies alone",
        "every window weighs alike",
        "every repository weighs alike",
        HARD_NAME,
        "first corpus alone",
    ):
        yield Variant(source, sources=(source,))
    halves = ("histories 1 to 4, and the JPEG copies", "histories 5 to 8, and the JPEG copies")
    yield Variant(halves[0], sources=halves[:1])
    yield Variant("two detectors of half the histories each and the JPEG copies, averaged", sources=halves)
