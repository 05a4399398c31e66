"""Rows whose columns have types, as .parquet and .db hold them, and how they are read back.

Texts are not escaped: no spreadsheet reads these files. What a spreadsheet leaves empty is null.
"""

from __future__ import annotations

import json
import os
from collections.abc import Collection, Mapping
from typing import Any, cast

from sidscan.errors import UsageError
from sidscan.records import JsonObject, RunRecord
from sidscan.reports.columns import Value
from sidscan.reports.json import head_object, ijson_text, pending_in, printable, undecodable_bytes
from sidscan.reports.reader import (
    DamagedReport,
    ReportRow,
    check_comparable,
    check_format_number,
    checked_row,
)
from sidscan.reports.stated import COMPARED_COLUMNS, StatedResult, part_of, stated_row

PATH_BYTES = "path_bytes"
"""The column, behind ``path``, of names that are not UTF-8."""
VERIFIED_COLUMNS = ("path", PATH_BYTES, "sha256", "saved_as", "perceptual_hash")
"""Columns that `report_row` reads."""


def head_text(record: RunRecord) -> str:
    """The facts about a run, as JSON: what a JSON report has before its results."""
    return ijson_text(head_object(record))


def read_head(text: str | bytes) -> JsonObject:
    """The inverse of `head_text`.

    Raises:
        NewerReport, DamagedReport, ValueError: this version can't read the report.
    """
    head = json.loads(text)
    if not isinstance(head, dict):
        raise DamagedReport("the facts about its run are not an object")
    check_format_number(head.get("format"))
    return head


def path_bytes(name: str) -> bytes | None:
    """The bytes of a name, if they are not UTF-8."""
    return None if undecodable_bytes(name) is None else os.fsencode(name)


def plain(value: Value) -> Value:
    """A value whose texts any UTF-8 file can hold; None for an empty text."""
    if isinstance(value, str):
        return printable(value) or None
    if isinstance(value, tuple):
        return cast("Value", tuple(printable(each) if isinstance(each, str) else each for each in value))
    return value


def as_text(value: Value) -> str:
    """A value as text, exactly."""
    return ijson_text(value) if isinstance(value, tuple) else str(plain(value) or "")


def exact_path(row: Mapping[str, Any]) -> str:
    """The name that a row states.

    Raises:
        DamagedReport: it states none.
    """
    shown, data = row["path"], row.get(PATH_BYTES)
    if not isinstance(shown, str) or not isinstance(data, bytes | None):
        raise DamagedReport("a path is not text")
    return shown if data is None else os.fsdecode(data)


def report_row(row: Mapping[str, Any]) -> ReportRow:
    """For `sidscan verify`."""
    return checked_row(exact_path(row), row["sha256"], row.get("saved_as"), row.get("perceptual_hash"))


def check_verifiable(columns: Collection[str]) -> None:
    """Refuse a report by which no file can be hashed again.

    Raises:
        UsageError: it lacks a column for that.
    """
    if not {"path", "sha256"} <= set(columns):
        raise UsageError(
            "this report lacks column path or sha256, so nothing can be verified with it",
            "Write one with `sidscan report RECORD --columns path,sha256,...`.",
        )


def check_whole(columns: Collection[str], head: JsonObject) -> None:
    """Refuse to compare a report that shows a part of its run, or some columns.

    Raises:
        UsageError: it does.
    """
    check_comparable(head.get("selection"), columns_missing=not COMPARED_COLUMNS.issubset(columns))


def typed_result(row: Mapping[str, Any], head: JsonObject) -> StatedResult:
    """For `sidscan diff`."""
    return stated_row(exact_path(row), row, part_of(head["run"], pending_in(head)))
