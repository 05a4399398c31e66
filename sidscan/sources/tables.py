"""Lists that are tables: CSV or TSV, whose first row names the columns."""

from __future__ import annotations

import csv
import os
import re
from collections.abc import Iterator, Sequence
from typing import TextIO

from sidscan.errors import UsageError
from sidscan.reports.csv_escape import unescape_cell

_DELIMITERS = ",;\t|"
_SUFFIXES = (".csv", ".tsv", ".tab")
_WEB_ADDRESS = re.compile("https?://", re.IGNORECASE)
_SEPARATOR_LINE = re.compile("sep=(.)", re.IGNORECASE)  # the first line of some of Excel's files
_LONGEST_CELL = 1 << 24  # characters; reports of sidscan may hold long EXIF texts
_MAX_COLUMNS_SHOWN = 20
# The first ones of a report of sidscan, of every version; its cells are escaped.
_REPORT_COLUMNS = ("path", "status", "error_stage", "error_class", "error_message")


def looks_like_table(source: str, start: str) -> bool:
    """Whether a list's name and first line are those of a table with several columns."""
    line = start.lstrip("\ufeff").partition("\n")[0].strip()
    if not source.lower().endswith(_SUFFIXES) or _WEB_ADDRESS.match(line) or os.path.lexists(line):
        return False
    return any(delimiter in line for delimiter in _DELIMITERS)


def read_column(text: TextIO, source: str, column: str | None) -> Iterator[str]:
    """The cells of a column, without empty ones.

    A report of sidscan may be such a list; its cells are unescaped. The delimiter is the comma, semicolon,
    tab or bar with which the first row has that column. Capitals and blanks around names of columns do not
    matter.

    Raises:
        UsageError: there is no such column, two of them, or none was named.
    """
    csv.field_size_limit(max(csv.field_size_limit(), _LONGEST_CELL))
    header = text.readline()
    separator = _SEPARATOR_LINE.fullmatch(header.lstrip("\ufeff").rstrip("\r\n"))
    if separator:
        header = text.readline()
    try:
        delimiter, columns = _split_header(header.lstrip("\ufeff"), separator[1] if separator else "", column)
        index = _index(columns, column, source)
        is_report = tuple(columns[: len(_REPORT_COLUMNS)]) == _REPORT_COLUMNS
        for row in csv.reader(text, delimiter=delimiter):
            if len(row) > index and row[index].strip():
                yield unescape_cell(row[index]) if is_report else row[index].strip()
    except csv.Error as error:
        raise UsageError(f"the list {source} can't be read as a table: {error}", "Save it as CSV.") from error


def _split_header(header: str, separator: str, column: str | None) -> tuple[str, list[str]]:
    """The delimiter and the names of the columns: as the column that is wanted, else most columns, say."""
    readings = [
        (each, [cell.strip() for cell in next(csv.reader([header.rstrip("\r\n")], delimiter=each), [])])
        for each in (separator or _DELIMITERS)
    ]
    wanted = (column or "").strip().casefold()
    return max(readings, key=lambda each: (wanted in map(str.casefold, each[1]), len(each[1])))


def shown_names(columns: Sequence[str]) -> str:
    """The names of columns, for a message; of many the first."""
    return ", ".join(columns[:_MAX_COLUMNS_SHOWN]) + (" ..." if len(columns) > _MAX_COLUMNS_SHOWN else "")


def _index(columns: list[str], column: str | None, source: str) -> int:
    names = shown_names(columns)
    if column is None:
        raise UsageError(
            f"the list {source} is a table with the columns {names}",
            "Name the one with paths or URLs: --list-column NAME.",
        )
    exact = [index for index, name in enumerate(columns) if name == column]
    similar = [index for index, name in enumerate(columns) if name.casefold() == column.strip().casefold()]
    found = exact or similar
    if not found:
        raise UsageError(
            f"the list {source} has no column {column!r}; its columns are {names}",
            "Name one of them with --list-column NAME.",
        )
    if len(found) > 1:
        raise UsageError(f"the list {source} has {len(found)} columns {column!r}", "Give each its own name.")
    return found[0]
