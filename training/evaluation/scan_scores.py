"""A report, or the record, of a scan and a labelled data set -> the scores of an evaluation."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import pandas as pd

from sidscan.errors import UsageError
from sidscan.models.catalog import CATALOG
from sidscan.reports.stated import StatedResult
from sidscan.review.compared_runs import open_compared
from sidscan.training.common.durable_file import escape_line_breaks
from sidscan.training.datasets.content import read_content
from sidscan.training.datasets.rows import LabelledImage

from .scores import ScoreRow
from .testsets import TestSetCollection

_NOT_THERE = "not in the report"
_CHANGED = "changed since the scan: other bytes"
_CROPS = {1: "center", 10: "ten"}


@dataclass(frozen=True)
class ScanScores:
    """What a scan says of labelled images.

    Attributes:
        table: as `scores.read_scores` gives it; labelled images that the report lacks have an error.
        absent: labelled images that the report lacks.
        changed: labelled images that have other bytes now than when they were scanned; they have an error.
        unlabelled: rows of the report without a label.
        by_name: images that were matched by their path alone: the report states no digest of them.
    """

    table: pd.DataFrame
    absent: int
    changed: int
    unlabelled: int
    by_name: int


@dataclass(frozen=True)
class _Matches:
    """Results by the path of their image; what of them was not compared by bytes, and what differs."""

    found: Mapping[Path, StatedResult]
    by_name: int
    changed: frozenset[Path]


@dataclass(frozen=True)
class _MadeBy:
    """What rows were made by, as the first that states it has it.

    Attributes:
        digests: by model.
        crops: as `ScoreRow` has it, of models that read crops.
    """

    digests: Mapping[str, str]
    crops: str

    @classmethod
    def of(cls, results: Iterable[StatedResult]) -> _MadeBy:
        digests: dict[str, str] = {}
        crops = ""
        for result in results:
            for model in result.made_by.models:
                digests[model.name] = digests.get(model.name) or model.digest or ""
            number = result.made_by.crops
            crops = crops or (_CROPS.get(number, f"{number} crops") if number else "")
        return cls(digests, crops)


def join_scan(report: Path, test_sets: TestSetCollection) -> ScanScores:
    """The scores of a report for the images of test sets, matched by the bytes of the file.

    Where the report states no digest, the path decides.

    Raises:
        UsageError: an image or the report can't be read, or it has no score for any of these images.
    """
    with open_compared(report) as run:
        results = list(run)
    images = {image.path: image for one in test_sets.sets for image in one.images}
    matches = _matched(results, list(images.values()))
    found = matches.found
    made_by = _MadeBy.of(results)
    rows = [
        row
        for one in test_sets.sets
        for image in one.images
        for row in _rows(one.key, image, matches, made_by)
    ]
    if all(row.error for row in rows):
        raise UsageError(
            f"{report} has no score for any image of the data set",
            "Scan these images, or name the data set that was scanned.",
        )
    table = pd.DataFrame([asdict(row) for row in rows])
    for name in ("logit", "score"):
        table[name] = pd.to_numeric(table[name])
    labelled = {id(result) for result in found.values()}
    unlabelled = sum(id(result) not in labelled for result in results)
    absent = len(images) - len(found) - len(matches.changed)
    return ScanScores(table, absent, len(matches.changed), unlabelled, matches.by_name)


def _matched(results: Sequence[StatedResult], images: Sequence[LabelledImage]) -> _Matches:
    """Match by path and bytes, else by bytes; by path alone where the report states no bytes.

    Raises:
        UsageError: an image can't be read.
    """
    by_path = {_absolute(result.name): result for result in results}
    by_bytes = {result.sha256: result for result in results if result.sha256}
    found: dict[Path, StatedResult] = {}
    changed: set[Path] = set()
    by_name = 0
    for image in images:
        named = by_path.get(_absolute(image.path))
        if named is not None and not named.sha256:
            found[image.path] = named
            by_name += bool(named.scores)
        elif by_bytes:
            digest = _digest(image.path)
            result = named if named and named.sha256 == digest else by_bytes.get(digest)
            if result is not None:
                found[image.path] = result
            elif named is not None:
                changed.add(image.path)
    return _Matches(found, by_name, frozenset(changed))


def _digest(path: Path) -> str:
    try:
        return hashlib.sha256(read_content(path)).hexdigest()
    except OSError as error:
        raise UsageError(f"{path} can't be read: {error.strerror or error}") from error


def _absolute(name: str | Path) -> str:
    return str(Path(name).absolute().resolve())


def _rows(key: str, image: LabelledImage, matches: _Matches, run: _MadeBy) -> Iterator[ScoreRow]:
    """One row for each model of the report."""
    result = matches.found.get(image.path)
    missing = _CHANGED if image.path in matches.changed else _NOT_THERE
    scores = {score.model: score.score for score in result.scores} if result else {}
    of_row = _MadeBy.of([result]) if result else _MadeBy({}, "")
    for model, digest in run.digests.items():
        error = "" if model in scores else missing if result is None else _reason(result)
        yield ScoreRow(
            set=key,
            group=image.group,
            path=image.name,
            generator=image.generator,
            label=image.label,
            model=model,
            digest=of_row.digests.get(model) or digest,
            crops=_view_of(model) or of_row.crops or run.crops,
            perturbation="",
            score=scores.get(model),
            error=error,
        )


def _view_of(model: str) -> str:
    """What a model reads instead of crops, in words; empty for crops."""
    entry = CATALOG.get(model)
    return str(entry.view) if entry and entry.view else ""


def _reason(result: StatedResult) -> str:
    return escape_line_breaks(f"{result.status}: {result.message}" if result.message else result.status)
