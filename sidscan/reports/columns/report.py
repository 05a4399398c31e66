"""The columns of one report, and their cells."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches
from functools import partial
from operator import itemgetter
from typing import Any, Literal

from sidscan.errors import UsageError
from sidscan.records import RunHeader, ScanResult, Score
from sidscan.records.localization import Localization
from sidscan.reports.columns import images, maps, rows, runs, scores
from sidscan.reports.columns.column import Cell, CellKind, Column, ColumnType, Value, described

_TYPES: dict[CellKind, ColumnType] = {"text": "text", "number": "real", "date": "time", "evidence": "text"}
_MOST_NEAR = 3  # names that a message proposes

_PER_MODEL = {**described(scores.COLUMNS), **scores.OF_MODEL}
_AFTER_MODELS = {
    **described(images.COLUMNS),
    **described(runs.COLUMNS),
    **runs.OF_READER,
    **described(rows.LAST),
}

CSV_COLUMNS: dict[str, str] = {**described(rows.FIRST), **_PER_MODEL, **_AFTER_MODELS}
"""Every column of a report on one model, in order, with its description in Markdown."""

MAP_COLUMNS = described(maps.COLUMNS)
"""Columns of reports on runs with a localizer, with their descriptions; they stand before `model_choice`."""
DERIVED_COLUMNS = described(rows.DERIVED)
"""Columns of no report, with their descriptions; ``--only``, ``--sort`` and ``--columns`` take them."""
JOINED_COLUMNS = frozenset(
    name
    for name in (*CSV_COLUMNS, *MAP_COLUMNS)
    if name.startswith(("copy_", "mark", "map_")) or name in ("same_as", "note")
)
"""Columns that are known when a report is written, and not before (`sidscan.review.annotated`)."""
KNOWN_COLUMNS = frozenset({*CSV_COLUMNS, *MAP_COLUMNS, *DERIVED_COLUMNS})
"""All names; those of further models have the model's name and a point in front."""


def _itself(result: ScanResult) -> ScanResult:
    return result


@dataclass(frozen=True, slots=True)
class ReportColumn:
    """A column of one report.

    Attributes:
        get: the value, from its source.
        of: what a value is a fact about: an input, one model's score of it, a model, or the run.
        model: name of the model of a score.
        source: the record of a result that the value is read from; None where it has no such record. Columns
            that stand side by side share it, so that it is looked up once for all of them (`RowReader`).
    """

    name: str
    get: Callable[[Any], Value]
    kind: CellKind = "text"
    type: ColumnType = "text"
    separator: str = " "
    of: Literal["image", "score", "model", "run"] = "image"
    model: str = ""
    source: Callable[[ScanResult], Any] = _itself

    def value(self, result: ScanResult) -> Value:
        """What the column says of a result."""
        source = self.source(result)
        return None if source is None else self.get(source)

    def cell(self, result: ScanResult) -> Cell:
        """The value as one text or number."""
        return as_cell(self.value(result), self.separator)


def as_cell(value: Value, separator: str) -> Cell:
    """A value as one text or number."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    return separator.join(map(str, value)) if isinstance(value, tuple) else value


def choose_columns(header: RunHeader, names: Sequence[str]) -> list[ReportColumn]:
    """The columns with these names, in this order; all of the report if there are none.

    Raises:
        UsageError: a report of this run has no such column.
    """
    return [find_column(header, name) for name in names] if names else report_columns(header)


def find_column(header: RunHeader, name: str, also: Sequence[str] = ()) -> ReportColumn:
    """The column with this name.

    Args:
        also: other names that are taken where this one was given, for the message.

    Raises:
        UsageError: a report of this run has no such column; the message names the nearest, else all.
    """
    columns = {column.name: column for column in (*report_columns(header), *map(_of_result, rows.DERIVED))}
    if name in columns:
        return columns[name]
    known = [*also, *columns]
    if near := get_close_matches(name, known, n=_MOST_NEAR) or _with_part(name, columns):
        raise UsageError(
            f"there is no column {name!r}. Did you mean {' or '.join(near)}?",
            "The reference of report columns lists all.",
        )
    raise UsageError(f"there is no column {name!r}.", f"There are: {', '.join(known)}.")


def _with_part(part: str, columns: dict[str, ReportColumn]) -> list[str]:
    """Names of which a word is a part, such as ``date``; dates first, as texts have no order."""
    found = [column for name, column in columns.items() if part in name.split("_")]
    found.sort(key=lambda column: column.kind != "date")
    return [column.name for column in found[:_MOST_NEAR]]


def report_columns(header: RunHeader) -> list[ReportColumn]:
    """The columns of a report, in order, and their names as they are: a model may be named after its file."""
    return [
        *map(_of_result, rows.FIRST),
        *(column for index in range(len(header.models)) for column in _model_columns(header, index)),
        *(_made(column, source) for source, columns in images.BY_SOURCE for column in columns),
        *(_made(column, _localization) for column in maps.COLUMNS if header.localizer),
        *_same_in_all_rows({column.name: column.value(header) for column in runs.COLUMNS}, "run"),
        ReportColumn("decoder", lambda result: result.decoder or header.decoder),
        ReportColumn("sidscan_version", lambda result: result.sidscan_version or header.sidscan_version),
        *map(_of_result, rows.LAST),
    ]


def _made(column: Column[Any], source: Callable[[ScanResult], Any]) -> ReportColumn:
    type_ = column.type or _TYPES[column.kind]
    return ReportColumn(column.name, column.value, column.kind, type_, column.separator, source=source)


def _of_result(column: Column[ScanResult]) -> ReportColumn:
    return _made(column, _itself)


def _localization(result: ScanResult) -> Localization | None:
    return result.localization


def _model_columns(header: RunHeader, index: int) -> list[ReportColumn]:
    """The columns of one model; those of the first have bare names."""
    model = header.models[index]
    calibration = header.calibrations.get(model.name)
    stated = (model.name, model.digest, calibration.sha256[:16] if calibration else None)
    source = partial(_score_by, model.name)
    columns = [
        *(replace(_made(each, source), of="score") for each in scores.COLUMNS),
        *_same_in_all_rows(dict(zip(scores.OF_MODEL, stated, strict=True)), "model"),
    ]
    columns = [replace(column, model=model.name) for column in columns]
    return [replace(column, name=f"{model.name}.{column.name}") for column in columns] if index else columns


def _score_by(model: str, result: ScanResult) -> Score | None:
    return next((score for score in result.scores if score.model == model), None)


def _same_in_all_rows(values: Mapping[str, Value], of: Literal["model", "run"]) -> Iterator[ReportColumn]:
    """Columns whose source is the same object in all rows."""

    def source(_: ScanResult) -> Mapping[str, Value]:
        return values

    return (ReportColumn(name, itemgetter(name), of=of, source=source) for name in values)
