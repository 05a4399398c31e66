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
_CROPS = {1: "center", 10: "ten"}


@dataclass(frozen=True)
class ScanScores:
    """What a scan says of labelled images.

    Attributes:
        table: as `scores.read_scores` gives it; labelled images that the report lacks have an error.
        absent: labelled images that the report lacks.
        unlabelled: rows of the report without a label.
    """

    table: pd.DataFrame
    absent: int
    unlabelled: int


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
    """The scores of a report for the images of test sets: by path, else by the bytes of the file.

    Raises:
        UsageError: the report can't be read, or has no score for any of these images.
    """
    with open_compared(report) as run:
        results = list(run)
    images = {image.path: image for one in test_sets.sets for image in one.images}
    found = _matched(results, list(images.values()))
    made_by = _MadeBy.of(results)
    rows = [
        row
        for one in test_sets.sets
        for image in one.images
        for row in _rows(one.key, image, found.get(image.path), made_by)
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
    return ScanScores(table, len(images) - len(found), unlabelled)


def _matched(results: Sequence[StatedResult], images: Sequence[LabelledImage]) -> dict[Path, StatedResult]:
    """Results by the path of their image."""
    by_name = {_absolute(result.name): result for result in results}
    found = {image.path: by_name[name] for image in images if (name := _absolute(image.path)) in by_name}
    by_bytes = {result.sha256: result for result in results if result.sha256}
    missing = [image for image in images if image.path not in found] if by_bytes else []
    for image in missing:
        try:
            digest = hashlib.sha256(read_content(image.path)).hexdigest()
        except OSError as error:
            raise UsageError(f"{image.path} can't be read: {error.strerror or error}") from error
        if digest in by_bytes:
            found[image.path] = by_bytes[digest]
    return found


def _absolute(name: str | Path) -> str:
    return str(Path(name).absolute().resolve())


def _rows(key: str, image: LabelledImage, result: StatedResult | None, run: _MadeBy) -> Iterator[ScoreRow]:
    """One row for each model of the report."""
    scores = {score.model: score.score for score in result.scores} if result else {}
    of_row = _MadeBy.of([result]) if result else _MadeBy({}, "")
    for model, digest in run.digests.items():
        error = "" if model in scores else _NOT_THERE if result is None else _reason(result)
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
