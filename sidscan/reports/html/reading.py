"""Reads the index of an HTML report back."""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Iterator
from itertools import islice
from typing import Any

from sidscan.records import Decision, JsonObject, Mark
from sidscan.reports.json import exact_name
from sidscan.reports.reader import (
    DamagedReport,
    ReportRow,
    check_comparable,
    check_format_number,
    checked_row,
)
from sidscan.reports.stated import (
    StatedMark,
    StatedModel,
    StatedResult,
    StatedScore,
    made_by,
    part_of,
    stated_models,
)

INDEX_START = '<script type="application/json" id="index">'
"""The line before the index."""
END = "</html>\n"
"""The last line of a report."""

_STATED = (
    *("path", "path_bytes", "sha256", "status", "score", "evidence", "why", "model", "views", "decoder"),
    *("sidscan_version", "decisions"),
)


def report_rows(lines: Iterator[str]) -> Iterator[ReportRow]:
    """The rows of the index, for `sidscan verify`."""
    for row in islice(_index_rows(lines, []), 1, None):
        yield checked_row(_name_of(row), row["sha256"], row["saved_as"])


def stated_results(lines: Iterator[str]) -> Iterator[StatedResult]:
    """The rows with what two runs may differ in: the score of the strongest model, to six decimals.

    All rows are held at once, since the texts that they share stand behind them.
    """
    texts: list[str] = []
    rows = _index_rows(lines, texts)
    start = next(rows)
    check_comparable(start.get("selection"))
    models = {model.name: model for model in stated_models(start["run"], {})}
    for cells in [[row.get(name) for name in _STATED] for row in rows]:  # without those that take most memory
        row: dict[str, Any] = dict(zip(_STATED, cells, strict=True))
        words = {name: texts[row[name]] for name in start["indexed"] if row.get(name) is not None}
        yield _stated({**row, **words}, start, models)


def _index_rows(lines: Iterator[str], texts: list[str]) -> Iterator[JsonObject]:
    """The start of the index, then each row by the names of its columns.

    Args:
        texts: gets the texts that rows share, by number, once all rows are read.
    """
    if not any(line.startswith(INDEX_START) for line in lines):
        raise DamagedReport("it has no index")
    start = json.loads(next(lines, "").rstrip() + "]}")
    check_format_number(start["format"])
    yield start
    number, line = 0, ""
    while (line := next(lines, "")) and not line.startswith("]"):
        yield dict(zip(start["columns"], json.loads(line.rstrip().removesuffix(",")), strict=True))
        number += 1
    if number != start["rows_stated"]:
        raise DamagedReport(f"it has {number} results and states {start['rows_stated']}")
    texts += json.loads("{" + line.removeprefix("], ").rstrip().removesuffix("</script>"))["strings"]
    if deque(lines, maxlen=1) != deque([END]):
        raise DamagedReport("it ends early")


def _name_of(row: JsonObject) -> str:
    return exact_name(row["path"], row["path_bytes"])


def _stated(row: dict[str, Any], start: JsonObject, models: dict[str, StatedModel]) -> StatedResult:
    """A row with its texts."""
    run = start["run"]
    mark = Mark.of_decisions(tuple(Decision(*each) for each in row["decisions"] or ()))
    score = StatedScore(row["model"], row["score"], row["evidence"]) if row["evidence"] else None
    return StatedResult(
        name=_name_of(row),
        sha256=row["sha256"],
        status=row["status"],
        message="" if score else row["why"] or "",
        scores=(score,) if score else (),
        made_by=made_by(
            (models[score.model],) if score else (),
            run,
            row["views"],
            row["decoder"],
            row["sidscan_version"],
            part_of(run, start.get("pending", 0)),
        ),
        mark=StatedMark(mark.mark, mark.by, mark.at, mark.note) if mark else None,
        marks_known=True,
        localizer=made["name"] if (made := run.get("localizer")) else None,
    )
