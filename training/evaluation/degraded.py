"""The same test images at several strengths of JPEG, resizing, blur, noise and sharing.

Each strength is an evaluation in a folder of its own, ``degraded/NAME`` beside the scores of the unchanged
images. So it continues where it stopped, and only one is in memory at a time.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pandas as pd

from sidscan.errors import UsageError
from sidscan.training.common.degradations import (
    KINDS,
    UNCHANGED,
    Degradation,
    curve,
    find_degradation,
    parse_degradation,
)
from sidscan.training.common.run_settings import read_settings

from .results import MetricsConfig, ModelMetrics, SetMetrics, compute_model_metrics
from .run import Evaluation, evaluation_settings, open_score_file
from .scores import latest_rows, read_scores

ALL = "all"
FOLDER = "degraded"
METRICS = (("ACC", "acc"), ("AP", "ap"), ("AUROC", "auroc"))
"""Heading and name of what curves show."""
_SCORES_FILE = "scores.csv"
_IMAGE = ["set", "label", "path", "model"]
_SAME = ("tests", "models", "crops", "decoder", "runtime")  # settings that curves share with the plain scores


@dataclass(frozen=True)
class Point:
    """One detector on the images with one degradation; on the unchanged ones where the kind is ``none``."""

    model: str
    degradation: Degradation
    sets: tuple[SetMetrics, ...]
    mean: SetMetrics


@dataclass(frozen=True)
class Curves:
    """All points, the unchanged images first, then by kind and strength.

    Attributes:
        left_out: folders whose scores can't be compared with those of the unchanged images, each with why.
    """

    points: tuple[Point, ...]
    left_out: tuple[str, ...] = ()

    @property
    def models(self) -> list[str]:
        """In the order of tables."""
        return list(dict.fromkeys(point.model for point in self.points))

    @property
    def kinds(self) -> list[str]:
        """Kinds that were measured."""
        return list(dict.fromkeys(p.degradation.kind for p in self.points if p.degradation != Degradation()))

    def strengths(self, kind: str) -> list[Degradation]:
        """Of a kind, weakest first, the unchanged images among them; of resizing, from large to small."""
        own = {point.degradation for point in self.points if point.degradation.kind in (kind, UNCHANGED)}
        return sorted(own, key=lambda each: _order(each, kind))

    def point(self, model: str, degradation: Degradation) -> Point | None:
        """The detector there, if it was measured."""
        return next((p for p in self.points if (p.model, p.degradation) == (model, degradation)), None)


def parse_degradations(values: Iterable[str]) -> list[Degradation]:
    """``("jpeg,blur-2",)`` -> the curve of JPEG, and one strength of blur; ``all`` for all curves.

    Raises:
        UsageError: there is no such kind or strength.
    """
    found: list[Degradation] = []
    for name in (name.strip() for value in values for name in value.split(",") if name.strip()):
        if name == ALL:
            found += [each for kind in KINDS for each in curve(kind)]
        elif name in KINDS:
            found += curve(name)
        elif "-" in name:
            found.append(parse_degradation(name))
        else:
            raise UsageError(
                f"no degradation is called {name}", f"Choose among {', '.join(KINDS)}, or name {ALL}."
            )
    return list(dict.fromkeys(found))


def degraded_evaluation(
    plain: Evaluation, tests: Sequence[Path], degradation: Degradation, folder: Path, fresh: bool = False
) -> Evaluation:
    """The evaluation of the same images and models with a degradation, ready to run or to continue.

    Args:
        tests: the folders that hold the test sets.
        folder: of the plain evaluation.

    Raises:
        OutputError: its folder holds another evaluation, or one that is running, or can't be written.
    """
    config = replace(plain.config, perturbation=degradation.name)
    settings = evaluation_settings(plain.test_sets.layout, tests, plain.runtime, config)
    file = open_score_file(folder / FOLDER / degradation.name, settings, fresh)
    return replace(plain, config=config, file=file)


def read_curves(
    folder: Path, scores: pd.DataFrame, models: Sequence[ModelMetrics], config: MetricsConfig
) -> Curves | None:
    """What was measured in a folder of scores; None without any degradation.

    Args:
        scores, models: of the unchanged images.
    """
    found = {
        degradation: path
        for path in (folder / FOLDER).glob(f"*/{_SCORES_FILE}")
        if (degradation := find_degradation(path.parent.name))
    }
    points = [Point(model.model, Degradation(), model.sets, model.mean) for model in models]
    left_out = []
    wanted = _images(scores)
    for degradation in sorted(found, key=lambda each: (list(KINDS).index(each.kind), _order(each))):
        if not latest_rows(found[degradation]):
            left_out.append(f"{degradation.name}: {len(wanted)} of {len(wanted)} scores are missing")
            continue
        table = read_scores(found[degradation])
        own_images = _images(table)
        if why := _difference(folder, found[degradation].parent, wanted, own_images):
            left_out.append(f"{degradation.name}: {why}")
            continue
        if own_images != wanted:  # images that have left the data set
            table = table[[image in wanted for image in _image_keys(table)]]
        table = table.assign(generator="")  # curves are of sets
        own = compute_model_metrics(table, config)
        points += [Point(model.model, degradation, model.sets, model.mean) for model in own]
    return Curves(tuple(points), tuple(left_out)) if found else None


def degraded_rows(curves: Curves) -> list[dict[str, object]]:
    """A row for each point and set, and for its mean over the sets."""
    return [
        {
            "model": point.model,
            "set": one.key,
            "kind": point.degradation.kind,
            "strength": point.degradation.strength,
            "n_real": one.real,
            "n_synthetic": one.synthetic,
            "unreadable": one.unreadable,
            **_figures(one),
        }
        for point in curves.points
        for one in (*point.sets, point.mean)
    ]


def has_failures(curves: Curves | None) -> bool:
    """Whether an image has no score once it is degraded."""
    return curves is not None and any(point.mean.unreadable for point in curves.points)


def _figures(one: SetMetrics) -> dict[str, float | None]:
    found: dict[str, float | None] = {}
    for _, name in METRICS:
        bounds = {"low": one.low[name], "high": one.high[name]}
        found[name] = one.values[name]
        found |= {f"{name}_{side}": None if math.isnan(value) else value for side, value in bounds.items()}
    return found


def _order(degradation: Degradation, kind: str = "") -> tuple[float, ...]:
    """The place of a strength among those of its kind; of the unchanged images, among those of ``kind``."""
    if degradation.kind == UNCHANGED:
        return (-1.0,) if kind == "resize" else (-math.inf,)
    if degradation.kind in ("jpeg", "resize"):
        return tuple(-value for value in degradation.values)
    if degradation.kind == "shared":
        side, quality, uploads = degradation.values
        return (-side, -quality, uploads)
    return degradation.values


def _images(scores: pd.DataFrame) -> set[tuple[str, ...]]:
    return set(_image_keys(scores))


def _image_keys(scores: pd.DataFrame) -> Iterator[tuple[str, ...]]:
    """What tells the rows apart, row by row."""
    yield from scores[_IMAGE].itertuples(index=False, name=None)


def _difference(plain: Path, folder: Path, wanted: set[tuple[str, ...]], own: set[tuple[str, ...]]) -> str:
    """Why scores can't stand beside those of the unchanged images; empty where they can."""
    if missing := len(wanted - own):
        return f"{missing} of {len(wanted)} scores are missing"
    first, second = _settings(plain), _settings(folder)
    differing = [name for name in _SAME if first.get(name) != second.get(name)]
    return f"other settings ({', '.join(differing)})" if differing else ""


def _settings(folder: Path) -> dict[str, object]:
    try:
        return read_settings(folder)
    except OSError:
        return {}
