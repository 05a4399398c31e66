"""Figures of the shipped localizer-b16 on repositories that it never saw."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TypedDict, cast

import numpy as np

from sidscan.review.sample_estimate import wilson
from sidscan.training.windows.corpus import FOLDS, Window

from .agreement import AT_HALF
from .figures import CompositeFigures, composite_figures
from .photographs import Reading
from .results import OURS, Result

REAL = "all photographs"
"""Of whole images, the kind of all that are real."""


class PhotographReading(Reading):
    """One whole image, read as `sidscan localize` reads it."""

    kind: str
    repo: str
    file: str
    synthetic: bool


class WholeFigures(TypedDict):
    """Whole images of one kind, at the shipped alarm."""

    kind: str
    synthetic: bool
    images: int
    repositories: int
    marked: float  # mean share above the threshold
    alarms: int  # images that set off the alarm
    interval: list[float]  # of their share, Wilson, 95 %


class UnseenComposites(CompositeFigures):
    """Composites of one kind, size of image, size of region and condition."""

    error: float | None  # standard error of the mean IoU of localizer-b16


class UnseenSource(TypedDict):
    """A repository, and how many of its images were at hand."""

    repository: str
    label: str
    what: list[str]
    licence: str
    images: int


class UnseenFigures(TypedDict):
    """What the card says of them."""

    alarm_contrast: float
    composites: list[UnseenComposites]
    whole: list[WholeFigures]
    sources: list[UnseenSource]


def unseen_figures(
    results: Iterable[Result | PhotographReading], alarm: float, windows: Sequence[Window]
) -> UnseenFigures:
    """From results, image by image.

    Args:
        alarm: the shipped contrast.
        windows: all images that were at hand.
    """
    all_results = list(results)
    composites = [cast("Result", each) for each in all_results if "condition" in each]
    whole = [each for each in all_results if "condition" not in each]
    return {
        "alarm_contrast": alarm,
        "composites": [
            {**entry, "error": _error(entry, composites)}
            for entry in composite_figures(composites, [alarm] * FOLDS)
        ],
        "whole": whole_figures(whole, alarm),
        "sources": _sources(windows),
    }


def _error(entry: CompositeFigures, results: Iterable[Result]) -> float | None:
    row = [entry[key] for key in ("kind", "area", "condition", "side")]
    maps = [r["maps"][OURS] for r in results if [r["kind"], r["area"], r["condition"], r["side"]] == row]
    ious = [each["iou"][AT_HALF] for each in maps if each["iou"] is not None]
    return round(float(np.std(ious, ddof=1) / len(ious) ** 0.5), 4) if len(ious) > 1 else None


def whole_figures(readings: Sequence[PhotographReading], alarm: float) -> list[WholeFigures]:
    """Photographs by kind and all together, then synthetic images all together."""
    real = [reading for reading in readings if not reading["synthetic"]]
    synthetic = [reading for reading in readings if reading["synthetic"]]
    kinds = sorted({reading["kind"] for reading in real})
    groups = [(kind, [reading for reading in real if reading["kind"] == kind]) for kind in kinds]
    return [
        _whole(kind, members, alarm)
        for kind, members in [*groups, (REAL, real), ("synthetic", synthetic)]
        if members
    ]


def _whole(kind: str, members: Sequence[PhotographReading], alarm: float) -> WholeFigures:
    alarms = sum(reading["contrast"] > alarm for reading in members)
    return {
        "kind": kind,
        "synthetic": members[0]["synthetic"],
        "images": len(members),
        "repositories": len({reading["repo"] for reading in members}),
        "marked": round(float(np.mean([reading["marked"][AT_HALF] for reading in members])), 4),
        "alarms": alarms,
        "interval": [round(bound, 4) for bound in wilson(alarms / len(members), len(members))],
    }


def _sources(windows: Sequence[Window]) -> list[UnseenSource]:
    groups: dict[tuple[str, bool], list[Window]] = {}
    for window in windows:
        groups.setdefault((window.repo, window.synthetic), []).append(window)
    return [
        {
            "repository": repo,
            "label": "synthetic" if synthetic else "real",
            "what": sorted({window.category for window in members}),
            "licence": members[0].licence,
            "images": len(members),
        }
        for (repo, synthetic), members in sorted(groups.items(), key=lambda entry: entry[0][0].lower())
    ]
