"""Rows whose columns have types, as .parquet and .db hold them, and how they are read back.

Texts are not escaped: no spreadsheet reads these files. What a spreadsheet leaves empty is null.
"""

from __future__ import annotations

import json
import os
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, cast

from sidscan.errors import UsageError
from sidscan.records import JsonObject, RunRecord
from sidscan.reports.base import BinaryFormat
from sidscan.reports.columns import Value
from sidscan.reports.json import (
    check_number,
    head_object,
    ijson_text,
    pending_in,
    printable,
    undecodable_bytes,
)
from sidscan.reports.reader import (
    PATH_BYTES,
    DamagedReport,
    ReportRow,
    check_comparable,
    check_format_number,
    checked_row,
)
from sidscan.reports.stated import COMPARED_COLUMNS, StatedResult, part_of, stated_row

_PATH = ("path", PATH_BYTES)
_HEX = "hex"  # key of an object that stands for bytes


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


class TypedFormat(BinaryFormat):
    """A format with types. Unpacked, it is a line about the report, and a JSON list of cells for each row."""

    def rows(self, lines: Iterator[str]) -> Iterator[ReportRow]:
        """For `sidscan verify`; their number must be what the facts about the run state."""
        table = _Table(lines)
        if not {"path", "sha256"} <= table.names:
            raise UsageError(
                "this report lacks column path or sha256, so nothing can be verified with it",
                "Write one with `sidscan report RECORD --columns path,sha256,...`.",
            )
        for row in table:
            yield checked_row(exact_path(row), row["sha256"], row.get("saved_as"), row.get("perceptual_hash"))

    def results(self, lines: Iterator[str]) -> Iterator[StatedResult]:
        """For `sidscan diff`; the report must have all rows of its run, and all columns."""
        table = _Table(lines)
        missing = not table.names.issuperset(COMPARED_COLUMNS)
        check_comparable(table.head.get("selection"), columns_missing=missing)
        part = part_of(table.head["run"], pending_in(table.head))
        for row in table:
            yield stated_row(exact_path(row), row, part)


def wanted(names: Iterable[str], columns: Collection[str]) -> list[str]:
    """Those of the names that are asked for, of whichever model; the exact path goes with the path."""
    asked = {*columns, *(_PATH if "path" in columns else ())}
    return [name for name in names if name in asked or name.rpartition(".")[2] in asked]


def head_line(names: Iterable[str], sent: Sequence[str], facts: str) -> bytes:
    """The first line of an unpacked report.

    Args:
        names: of all columns.
        sent: of those whose cells follow.
        facts: about its run, as `head_text` writes them.
    """
    return json.dumps({"columns": list(names), "sent": sent, "facts": facts}).encode() + b"\n"


def row_lines(rows: Iterable[Iterable[object]], most: int) -> Iterator[bytes]:
    """The other lines of an unpacked report.

    Args:
        most: bytes of the report. A row with a name of its own takes one at least, whatever compresses it.

    Raises:
        DamagedReport: there are more rows.
    """
    for number, cells in enumerate(rows, 1):
        if number > most:
            raise DamagedReport("it has more rows than bytes")
        yield json.dumps(list(cells), default=_plain_cell).encode() + b"\n"


def _plain_cell(cell: object) -> object:
    if isinstance(cell, bytes):
        return {_HEX: cell.hex()}
    if isinstance(cell, datetime):
        return cell.isoformat()
    raise DamagedReport("a cell has a type that no column has")


def _cell(raw: dict[str, Any]) -> object:
    return bytes.fromhex(raw[_HEX]) if raw.keys() == {_HEX} else raw


class _Table:
    """The lines of an unpacked report.

    Attributes:
        head: the facts about its run.
        names: of all its columns.

    Raises:
        NewerReport, DamagedReport, ValueError, LookupError, TypeError: it is not as sidscan writes it.
    """

    def __init__(self, lines: Iterator[str]) -> None:
        first = json.loads(next(lines, ""))
        self.names, self.head = set(first["columns"]), read_head(first["facts"])
        self._sent, self._lines = first["sent"], lines

    def __iter__(self) -> Iterator[dict[str, Any]]:
        number = 0
        for line in self._lines:
            number += 1
            yield dict(zip(self._sent, json.loads(line, object_hook=_cell), strict=True))
        check_number(number, self.head)
