"""From results, image by image, to the figures of the card.

Nothing is chosen on the images that it is reported of.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping, Sequence
from typing import TypedDict

import numpy as np
from numpy.typing import NDArray

from sidscan.review.sample_estimate import wilson
from sidscan.training.windows.corpus import FOLDS, Window

from .agreement import AT_HALF, THRESHOLDS
from .measure import COMPOSITES, CONDITIONS, LARGER, SIDE, WITH_REGIONS
from .photographs import PhotographResult, alarm_level, stand_for
from .results import Result

LEAST_ALARMS = 3  # images of known contrast for which a share is stated


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
    """Composites of one kind, size of image, size of region and condition."""

    kind: str
    side: int
    area: float | None
    condition: str
    alarms: float | None  # share of images whose contrast exceeds the alarm; None: too few were measured
    interval: list[float] | None  # of that share, Wilson, 95 %
    methods: dict[str, MethodFigures]


class PhotographFigures(TypedDict):
    """Whole photographs of one kind, at the alarms that the photographs of the other folds set."""

    kind: str
    images: int
    repositories: int
    marked: float  # mean share above the threshold, tiles side by side
    apart: float  # share of images that set off the alarm, tiles side by side
    interval: list[float]  # of that share, Wilson, 95 %
    again: int  # images that were read as `localize` reads them
    again_alarms: int  # how many of these set off the alarm
    alarms: float  # share of all that would, estimated from these


Contrasts = NDArray[np.float64]


def fold_alarms(
    photographs: Sequence[Window], results: Sequence[PhotographResult], folds: Sequence[int]
) -> tuple[list[float], list[float]]:
    """For each fold, alarms that photographs of the others set: `localize`'s tiles, and side by side."""
    overlapping, counts = overlapping_contrasts(results), stand_for(results)
    apart = np.array([each["apart"]["contrast"] for each in results])
    of_localize, side_by_side = [], []
    for number in range(FOLDS):
        kept = [i for i, fold in enumerate(folds) if fold != number]
        others = [photographs[i] for i in kept]
        of_localize.append(alarm_level(overlapping[kept], others, counts[kept]))
        side_by_side.append(alarm_level(apart[kept], others))
    return of_localize, side_by_side


def overlapping_contrasts(results: Sequence[PhotographResult]) -> Contrasts:
    """0 for photographs that were not read again: nothing stands for itself there."""
    return np.array([each["overlapping"]["contrast"] if each["overlapping"] else 0.0 for each in results])


def photograph_figures(
    photographs: Sequence[Window],
    results: Sequence[PhotographResult],
    folds: Sequence[int],
    alarms: tuple[Sequence[float], Sequence[float]],
) -> list[PhotographFigures]:
    """By kind, and of all together.

    Args:
        alarms: of each fold, as `fold_alarms`.
    """
    again, apart = (np.array([levels[fold] for fold in folds]) for levels in alarms)
    table = {
        "marked": np.array([each["apart"]["marked"][AT_HALF] for each in results]),
        "apart": np.array([each["apart"]["contrast"] for each in results]) > apart,
        "again": np.array([each["overlapping"] is not None for each in results]),
        "alarms": overlapping_contrasts(results) > again,
        "counts": stand_for(results),
    }
    groups = sorted({photograph.category for photograph in photographs})
    return [
        _photographs(kind, [p for p in photographs if kind in ("all", p.category)],
                     {name: column[[kind in ("all", p.category) for p in photographs]]
                      for name, column in table.items()})
        for kind in (*groups, "all")
    ]  # fmt: skip


def _photographs(
    kind: str, members: Sequence[Window], table: Mapping[str, NDArray[np.float64]]
) -> PhotographFigures:
    counts = table["counts"]
    return {
        "kind": kind,
        "images": len(members),
        "repositories": len({each.repo for each in members}),
        "marked": round(float(table["marked"].mean()), 4),
        "apart": round(float(table["apart"].mean()), 4),
        "interval": _interval(float(table["apart"].mean()), len(members)),
        "again": int(table["again"].sum()),
        "again_alarms": int(table["alarms"].sum()),
        "alarms": round(float((counts * table["alarms"]).sum() / max(counts.sum(), 1.0)), 4),
    }


def _interval(share: float, images: int) -> list[float]:
    return [round(bound, 4) for bound in wilson(share, images)]


def composite_figures(results: Sequence[Result], alarms: Sequence[float]) -> list[CompositeFigures]:
    """One entry per kind, size of region and condition."""
    tuned = {name: tuned_thresholds(results, name) for name in _names(results)}
    entries = []
    for side, condition in itertools.product((SIDE, *LARGER), CONDITIONS):
        for row in COMPOSITES:
            members = [r for r in results if _row(r) == (side, condition, *row)]
            if members:
                entries.append(_composites(members, tuned, alarms))
    return entries


def _row(result: Result) -> tuple[int, str, str, float | None]:
    return result["side"], result["condition"], result["kind"], result["area"]


def _composites(
    members: Sequence[Result], tuned: Mapping[str, Sequence[int]], alarms: Sequence[float]
) -> CompositeFigures:
    above = [r["contrast"] > alarms[r["fold"]] for r in members if r["contrast"] is not None]
    enough = len(above) >= LEAST_ALARMS
    first = members[0]
    return {
        "kind": first["kind"],
        "side": first["side"],
        "area": first["area"],
        "condition": first["condition"],
        "alarms": round(float(np.mean(above)), 4) if enough else None,
        "interval": _interval(float(np.mean(above)), len(above)) if enough else None,
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
        if name in r["maps"] and r["side"] == SIDE and r["kind"] in WITH_REGIONS
        if r["maps"][name]["iou"] is not None
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
