"""CSV: one row per input, one column per fact; opens in a spreadsheet."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import TextIO

from sidscan.errors import UsageError
from sidscan.records import RunRecord
from sidscan.reports.base import FormatOptions, ReportFormat, report_format
from sidscan.reports.columns import KNOWN_COLUMNS, NUMBER_COLUMN, Cell, RowReader, choose_columns
from sidscan.reports.csv_escape import escape_cell, unescape_cell
from sidscan.reports.private import (
    FLAG,
    PEOPLE_COLUMNS,
    PLACE_COLUMNS,
    URL_COLUMNS,
    private_date,
    private_text,
)
from sidscan.reports.reader import (
    LONGEST_LINE,
    DamagedReport,
    ReportRow,
    check_comparable,
    check_format_number,
    checked_row,
)
from sidscan.reports.stated import COMPARED_COLUMNS, StatedResult, stated_row

_FIRST_COLUMNS = ("path", "status", "error_stage", "error_class", "error_message", "")
_BOM = "\ufeff"
_DELIMITERS = ",;"


@dataclass(frozen=True, slots=True)
class CsvDialect:
    """How the cells of a CSV file are separated, and how spreadsheets should read it.

    Attributes:
        decimal: what stands before the decimals of a number.
        bom: begin with a byte order mark, by which Excel knows that the file is UTF-8.
    """

    delimiter: str = ","
    decimal: str = "."
    bom: bool = False


_EXCEL_ROWS = 1_048_576  # of a sheet, the names of the columns included

CSV_DIALECTS: dict[str, CsvDialect] = {
    "standard": CsvDialect(),
    "excel": CsvDialect(bom=True),
    "excel-de": CsvDialect(delimiter=";", decimal=",", bom=True),
}
"""By the names that ``--csv-dialect`` takes."""


@report_format("csv")
class CsvReport(ReportFormat):
    """The CSV report (RFC 4180, UTF-8).

    The first model's columns have bare names (``score``); those of further models start with the model's name
    (``rine-2class.score``). Rows without a score name the models all the same. `escape_cell` makes all texts
    safe, column names included; JSON keeps the originals. Reports of all dialects are recognised and read.
    """

    has_columns = True

    def __init__(self, dialect: CsvDialect = CSV_DIALECTS["standard"], columns: tuple[str, ...] = ()) -> None:
        self._dialect, self._columns = dialect, columns

    def configured(self, options: FormatOptions) -> CsvReport:
        """The format in one of `CSV_DIALECTS`, with some columns."""
        return CsvReport(CSV_DIALECTS[options.csv_dialect], options.columns)

    def render(self, record: RunRecord, file: TextIO) -> None:
        """Write the column names and all rows."""
        columns = choose_columns(record.header(), self._columns)
        rows = map(RowReader(columns, escape_cell).cells, record.results())
        names = [column.name for column in columns]
        file.write(_BOM if self._dialect.bom else "")
        writer = csv.writer(file, delimiter=self._dialect.delimiter, lineterminator="\r\n")
        # A model may be named after its file, so column names are a stranger's text, too.
        writer.writerow([escape_cell(column) for column in names])
        if self._dialect.decimal == ".":
            writer.writerows(rows)
        else:
            writer.writerows([self._number(cell) for cell in row] for row in rows)

    def _number(self, cell: Cell) -> Cell:
        return str(cell).replace(".", self._dialect.decimal) if isinstance(cell, float) else cell

    def remark(self, rows: int) -> str:
        """Where Excel opens a part of it only, and says nothing."""
        if rows < _EXCEL_ROWS:
            return ""
        return (
            f"warning: {rows:,} rows; Excel opens the first {_EXCEL_ROWS - 1:,} of a CSV file. A .parquet "
            "report holds any number, in a quarter of the space: `sidscan report` writes one"
        )

    def recognises(self, head: bytes) -> bool:
        """By its first columns, which all format numbers share; or by all, if --columns chose them."""
        return any(head.startswith(mark.join(_FIRST_COLUMNS).encode()) for mark in _DELIMITERS) or (
            _chosen_delimiter(head.partition(b"\n")[0].decode("utf-8", "replace")) is not None
        )

    def rows(self, lines: Iterator[str]) -> Iterator[ReportRow]:
        """One row per line but the first."""
        for row, _ in self._cells(lines):
            saved_as, shows = unescape_cell(row.get("saved_as", "")) or None, row.get("perceptual_hash")
            yield checked_row(unescape_cell(row["path"]), row["sha256"] or None, saved_as, shows)

    def results(self, lines: Iterator[str]) -> Iterator[StatedResult]:
        """The same with all that two runs may differ in."""
        for row, decimal in self._cells(lines):
            check_comparable(None, columns_missing=not COMPARED_COLUMNS.issubset(row))
            yield stated_row(unescape_cell(row["path"]), _CsvRow(row, decimal))

    def _cells(self, lines: Iterator[str]) -> Iterator[tuple[dict[str, str], str]]:
        """Each row by the names of its columns, and what stands before the decimals of its numbers."""
        csv.field_size_limit(LONGEST_LINE)
        first = next(lines)
        delimiter = _delimiter(first)
        table = csv.reader(chain([first], lines), delimiter=delimiter, strict=True)
        names = next(table)
        if "sha256" not in names:
            raise UsageError(
                "this report has no column sha256, so nothing can be verified with it",
                "Write one with `sidscan report RECORD --columns path,sha256,...`.",
            )
        for cells in table:
            if len(cells) != len(names):
                raise DamagedReport(f"it has {len(cells)} cells, not {len(names)}")
            row = dict(zip(names, cells, strict=True))
            check_format_number(int(row.get(NUMBER_COLUMN, "1")))
            yield row, "," if delimiter == ";" else "."

    def redact(self, lines: Iterator[str], file: TextIO) -> list[str]:
        """Row by row; columns that this version does not know are emptied: somebody else added them."""
        first = next(lines)
        delimiter = _delimiter(first)
        table = csv.DictReader(chain([first], lines), delimiter=delimiter, strict=True)
        names = list(table.fieldnames or ())
        unknown = [name for name in names if name.rpartition(".")[2] not in KNOWN_COLUMNS]
        writer = csv.DictWriter(file, names, delimiter=delimiter, lineterminator="\r\n")
        writer.writeheader()
        for row in table:
            writer.writerow(_private_row(row) | dict.fromkeys(unknown, ""))
        return [unescape_cell(name) for name in unknown]


class _CsvRow(Mapping[str, object]):
    """The cells of a row as `stated_row` takes them: texts as they were, numbers, None where empty."""

    def __init__(self, row: Mapping[str, str], decimal: str) -> None:
        self._row, self._decimal = row, decimal

    def __getitem__(self, name: str) -> object:
        cell, bare = self._row[name], name.rpartition(".")[2]
        if not cell:
            return None
        if bare in ("score", "threshold"):
            return float(cell.replace(self._decimal, "."))
        return int(cell) if bare == "views" else unescape_cell(cell)

    def __iter__(self) -> Iterator[str]:
        return iter(self._row)

    def __len__(self) -> int:
        return len(self._row)


def _delimiter(first: str) -> str:
    """What separates the cells of a report, from its first line."""
    return _chosen_delimiter(first) or first[len(_FIRST_COLUMNS[0])]


def _chosen_delimiter(first: str) -> str | None:
    """The same of a report with columns of ours, of which it must have two; None if it is another table."""
    for mark in _DELIMITERS:
        names = first.removeprefix(_BOM).rstrip("\r\n").split(mark)
        bare = {name.rpartition(".")[2] for name in names}
        if {"path", "sha256"} <= bare <= KNOWN_COLUMNS:
            return mark
    return None


def check_columns(head: bytes, path: Path) -> None:
    """Say of a file that no format recognises whether --columns chose its columns.

    Args:
        head: its first bytes.

    Raises:
        UsageError: it has columns of ours alone, but not those that name a file and its bytes.
    """
    first = head.decode("utf-8", "replace").partition("\n")[0].removeprefix(_BOM).rstrip("\r")
    for mark in _DELIMITERS:
        names = [unescape_cell(name).rpartition(".")[2] for name in first.split(mark)]
        if len(names) > 1 and KNOWN_COLUMNS.issuperset(names):
            raise UsageError(
                f"{path} was written with --columns; it needs path and sha256 to be read again",
                "Write one with `sidscan report RECORD --columns path,sha256,... --out FILE`.",
            )


def _private_row(row: dict[str, str]) -> dict[str, str]:
    """A row without what `reports.private` withholds; columns that an older report lacks stay away."""
    changed = dict.fromkeys(PLACE_COLUMNS, "")
    changed["exif_original_date_iso"] = private_date(row.get("exif_original_date_iso", "")) or ""
    withheld = [name for name, cell in changed.items() if row.get(name, "") != cell]
    if withheld and "flags" in row and FLAG not in row["flags"].split():
        changed["flags"] = f"{row['flags']} {FLAG}".strip()
    changed |= dict.fromkeys(PEOPLE_COLUMNS, "")
    for name in URL_COLUMNS:
        changed[name] = escape_cell(private_text(unescape_cell(row.get(name, ""))) or "")
    return {name: changed.get(name, cell) for name, cell in row.items()}
