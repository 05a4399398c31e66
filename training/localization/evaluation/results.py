"""Rows -> figures for each set, localizer and perturbation, and their means over the sets."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from sidscan.training.common.metrics import auroc
from sidscan.training.datasets.rows import SET_SEPARATOR

from .rows import MapRow

MEAN_KEY = "mean"


@dataclass(frozen=True, slots=True, kw_only=True)
class MapFigures:
    """Means over images. IoU is in percent, the others are fractions; None where there is nothing to average.

    Attributes:
        protocol: how images were read: ``global``, ``tiles``, or ``global and tiles``.
        synthetic, real: images measured; those without a synthetic part count for the AUROC alone.
        without_f1: images whose region is too small for F1, which ignores its border (`metrics`).
        constant_iou: of a map that marks every pixel.
        auroc_area, auroc_mean: how often an image with a synthetic part has a larger marked area, or a larger
            mean of the map, than a real one.
        unreadable: images that were left out.
    """

    set: str
    model: str
    digest: str
    trained_on: str
    protocol: str
    perturbation: str
    synthetic: int
    real: int
    unreadable: int
    iou: float | None
    constant_iou: float | None
    ap: float | None
    f1_fixed: float | None
    f1_best: float | None
    without_f1: int
    auroc_area: float | None
    auroc_mean: float | None


def figures(rows: Sequence[MapRow]) -> list[MapFigures]:
    """Figures in the order of models, perturbations and sets; each perturbation ends with its mean."""
    result = []
    for model, perturbation in dict.fromkeys((row.model, row.perturbation) for row in rows):
        own = [row for row in rows if (row.model, row.perturbation) == (model, perturbation)]
        sets = sorted({name for row in own for name in _sets(row)})
        shared = [row for row in own if not _sets(row)]
        of_sets = [_of_set(name, [row for row in own if name in _sets(row)] + shared) for name in sets]
        result += [*of_sets, _mean(of_sets, own)] if of_sets else []
    return result


def _sets(row: MapRow) -> list[str]:
    return [name for name in row.set.split(SET_SEPARATOR) if name]


def _of_set(name: str, rows: Sequence[MapRow]) -> MapFigures:
    measured = [row for row in rows if not row.error]
    synthetic = [row for row in measured if row.label == "synthetic"]
    real = [row for row in measured if row.label == "real"]
    return MapFigures(
        set=name,
        **_identity(rows),
        synthetic=len(synthetic),
        real=len(real),
        unreadable=len(rows) - len(measured),
        iou=_average([row.iou for row in synthetic]),
        constant_iou=_average([None if row.region is None else 100 * row.region for row in synthetic]),
        ap=_average([row.ap for row in synthetic]),
        f1_fixed=_average([row.f1_fixed for row in synthetic]),
        f1_best=_average([row.f1_best for row in synthetic]),
        without_f1=sum(row.f1_fixed is None for row in synthetic),
        auroc_area=_auroc([row.area for row in synthetic], [row.area for row in real]),
        auroc_mean=_auroc([row.mean for row in synthetic], [row.mean for row in real]),
    )


def _mean(of_sets: Sequence[MapFigures], rows: Sequence[MapRow]) -> MapFigures:
    """Plain means over the sets; counts of distinct images."""
    measured = [row for row in rows if not row.error]
    return MapFigures(
        set=MEAN_KEY,
        **_identity(rows),
        synthetic=sum(row.label == "synthetic" for row in measured),
        real=sum(row.label == "real" for row in measured),
        unreadable=len(rows) - len(measured),
        iou=_average([each.iou for each in of_sets]),
        constant_iou=_average([each.constant_iou for each in of_sets]),
        ap=_average([each.ap for each in of_sets]),
        f1_fixed=_average([each.f1_fixed for each in of_sets]),
        f1_best=_average([each.f1_best for each in of_sets]),
        without_f1=sum(each.without_f1 for each in of_sets),
        auroc_area=_average([each.auroc_area for each in of_sets]),
        auroc_mean=_average([each.auroc_mean for each in of_sets]),
    )


def _identity(rows: Sequence[MapRow]) -> dict[str, str]:
    names = ("model", "digest", "trained_on", "perturbation")
    stated = {name: str(getattr(rows[0], name)) for name in names}
    return {**stated, "protocol": " and ".join(sorted({row.protocol for row in rows if row.protocol}))}


def _average(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if known else None


def _auroc(synthetic: Sequence[float | None], real: Sequence[float | None]) -> float | None:
    positives, negatives = (
        np.array([value for value in values if value is not None]) for values in (synthetic, real)
    )
    return auroc(positives, negatives) if len(positives) and len(negatives) else None
