"""From results, image by image, to the figures of the card.

Nothing is chosen on the images that it is reported of.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TypedDict

import numpy as np
from numpy.typing import NDArray

from sidscan.training.windows.corpus import FOLDS, Window

from .agreement import AT_HALF, THRESHOLDS
from .measure import COMPOSITES, CONDITIONS, WITH_REGIONS
from .photographs import alarm_area
from .results import Result

Shares = NDArray[np.float64]
"""Of each photograph, the share above each of THRESHOLDS, (photographs, thresholds)."""


class MethodFigures(TypedDict):
    """Means over images; None where there is nothing to take a mean of.

    ``iou_tuned`` is at the threshold that is best for this method on composites of the other four folds.
    """

    images: int
    iou: float | None
    iou_tuned: float | None
    ap: float | None
    marked: float


class CompositeFigures(TypedDict):
    """Composites of one kind, size of region and condition."""

    kind: str
    area: float | None
    condition: str
    alarms: float  # share of images of which localizer-b16 marks more than the alarm area
    methods: dict[str, MethodFigures]


class PhotographFigures(TypedDict):
    """Whole photographs of one kind, at the alarm that the photographs of the other folds set."""

    kind: str
    images: int
    repositories: int
    alarms: float
    marked: float  # mean share above the threshold


def fold_alarms(shares: Shares, photographs: Sequence[Window], folds: Sequence[int]) -> list[float]:
    """For each fold, the alarm area that the photographs of the other folds set."""
    others = [[i for i, fold in enumerate(folds) if fold != number] for number in range(FOLDS)]
    return [alarm_area(shares[kept, AT_HALF], [photographs[i] for i in kept]) for kept in others]


def photograph_figures(
    shares: Shares, photographs: Sequence[Window], folds: Sequence[int], alarms: Sequence[float]
) -> list[PhotographFigures]:
    """By kind, and of all together."""
    groups = sorted({photograph.category for photograph in photographs})
    return [
        _photographs(kind, [i for i, each in enumerate(photographs) if kind in ("all", each.category)],
                     shares, photographs, folds, alarms)
        for kind in (*groups, "all")
    ]  # fmt: skip


def _photographs(
    kind: str,
    members: Sequence[int],
    shares: Shares,
    photographs: Sequence[Window],
    folds: Sequence[int],
    alarms: Sequence[float],
) -> PhotographFigures:
    marked = shares[members, AT_HALF]
    above = marked > np.array([alarms[folds[i]] for i in members])
    return {
        "kind": kind,
        "images": len(members),
        "repositories": len({photographs[i].repo for i in members}),
        "alarms": round(float(above.mean()), 4),
        "marked": round(float(marked.mean()), 4),
    }


def composite_figures(
    results: Sequence[Result], alarms: Sequence[float], ours: str
) -> list[CompositeFigures]:
    """One entry per kind, size of region and condition."""
    tuned = {name: tuned_thresholds(results, name) for name in _names(results)}
    entries = []
    for condition in CONDITIONS:
        for kind, area in COMPOSITES:
            members = [
                r for r in results if (r["kind"], r["area"], r["condition"]) == (kind, area, condition)
            ]
            if members:
                entries.append(_composites(members, tuned, alarms, ours))
    return entries


def _composites(
    members: Sequence[Result], tuned: Mapping[str, Sequence[int]], alarms: Sequence[float], ours: str
) -> CompositeFigures:
    above = [r["maps"][ours]["marked"][AT_HALF] > alarms[r["fold"]] for r in members]
    first = members[0]
    return {
        "kind": first["kind"],
        "area": first["area"],
        "condition": first["condition"],
        "alarms": round(float(np.mean(above)), 4),
        "methods": {name: method_figures(members, name, tuned[name]) for name in _names(members)},
    }


def method_figures(results: Sequence[Result], name: str, tuned: Sequence[int]) -> MethodFigures:
    """Of those images that the method saw.

    Args:
        tuned: for each fold, index of the threshold that was chosen on the others.
    """
    seen = [(r["fold"], r["maps"][name]) for r in results if name in r["maps"]]
    ious = [(fold, each["iou"]) for fold, each in seen if each["iou"] is not None]
    return {
        "images": len(seen),
        "iou": _mean(iou[AT_HALF] for _, iou in ious),
        "iou_tuned": _mean(iou[tuned[fold]] for fold, iou in ious),
        "ap": _mean(each["ap"] for _, each in seen if each["ap"] is not None),
        "marked": round(float(np.mean([each["marked"][AT_HALF] for _, each in seen])), 4),
    }


def tuned_thresholds(results: Iterable[Result], name: str) -> list[int]:
    """For each fold, the index of the threshold with the highest mean IoU on the other folds' composites."""
    seen = [
        (r["fold"], r["maps"][name]["iou"])
        for r in results
        if name in r["maps"] and r["kind"] in WITH_REGIONS and r["maps"][name]["iou"] is not None
    ]
    chosen = []
    for number in range(FOLDS):
        others = np.array([iou for fold, iou in seen if fold != number] or [[0.0] * len(THRESHOLDS)])
        chosen.append(int(others.mean(axis=0).argmax()))
    return chosen


def _names(results: Iterable[Result]) -> list[str]:
    return list(dict.fromkeys(name for result in results for name in result["maps"]))


def _mean(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return round(float(np.mean(known)), 4) if known else None
