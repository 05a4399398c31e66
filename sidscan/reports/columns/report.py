"""The columns of one report, and their cells."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches
from functools import partial
from typing import Literal, TypeVar

from sidscan.errors import UsageError
from sidscan.records import RunHeader, ScanResult, Score
from sidscan.records.localization import Localization
from sidscan.reports.columns import images, maps, rows, runs, scores
from sidscan.reports.columns.column import Cell, CellKind, Column, ColumnType, Value, described

_Source = TypeVar("_Source")
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


@dataclass(frozen=True, slots=True)
class ReportColumn:
    """A column of one report.

    Attributes:
        of: what a value is a fact about: an input, one model's score of it, a model, or the run.
        model: name of the model of a score.
    """

    name: str
    value: Callable[[ScanResult], Value]
    kind: CellKind = "text"
    type: ColumnType = "text"
    separator: str = " "
    of: Literal["image", "score", "model", "run"] = "image"
    model: str = ""

    def cell(self, result: ScanResult) -> Cell:
        """The value as one text or number."""
        value = self.value(result)
        if isinstance(value, bool):
            return "yes" if value else "no"
        return self.separator.join(map(str, value)) if isinstance(value, tuple) else value


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
        *map(_of_result, images.COLUMNS),
        *(map(_of_map, maps.COLUMNS) if header.localizer else ()),
        *(
            ReportColumn(column.name, partial(_same, column.value(header)), of="run")
            for column in runs.COLUMNS
        ),
        ReportColumn("decoder", lambda result: result.decoder or header.decoder),
        ReportColumn("sidscan_version", lambda result: result.sidscan_version or header.sidscan_version),
        *map(_of_result, rows.LAST),
    ]


def _made(column: Column[_Source], value: Callable[[ScanResult], Value]) -> ReportColumn:
    return ReportColumn(column.name, value, column.kind, column.type or _TYPES[column.kind], column.separator)


def _of_result(column: Column[ScanResult]) -> ReportColumn:
    return _made(column, column.value)


def _of_map(column: Column[Localization]) -> ReportColumn:
    return _made(column, lambda r: column.value(r.localization) if r.localization else None)


def _model_columns(header: RunHeader, index: int) -> list[ReportColumn]:
    """The columns of one model; those of the first have bare names."""
    model = header.models[index]
    calibration = header.calibrations.get(model.name)
    stated = (model.name, model.digest, calibration.sha256[:16] if calibration else None)
    columns = [
        *(
            replace(_made(each, partial(_score_value, model.name, each)), of="score", model=model.name)
            for each in scores.COLUMNS
        ),
        *(
            ReportColumn(name, partial(_same, value), of="model", model=model.name)
            for name, value in zip(scores.OF_MODEL, stated, strict=True)
        ),
    ]
    return [replace(column, name=f"{model.name}.{column.name}") for column in columns] if index else columns


def _same(value: Value, _: ScanResult) -> Value:
    return value


def _score_value(model: str, column: Column[Score], result: ScanResult) -> Value:
    return next((column.value(score) for score in result.scores if score.model == model), None)
