"""Excel workbooks: the table of the CSV report, for people who open it; `sidscan verify` reads the others."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import datetime
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from sidscan.errors import OutputError, UsageError
from sidscan.records import RunHeader, RunRecord, ScanResult, num_rows
from sidscan.reports.base import DEFAULT_OPTIONS, REPORT_FORMAT_NUMBER, REPORT_FORMATS, FormatOptions
from sidscan.reports.columns import Cell, ReportColumn, choose_columns
from sidscan.reports.csv_escape import escape_cell
from sidscan.reports.output_files import ReportOutput

if TYPE_CHECKING:
    from xlsxwriter.format import Format
    from xlsxwriter.workbook import Workbook
    from xlsxwriter.worksheet import Worksheet

SUFFIX = "xlsx"
_MOST_ROWS = 1_048_575  # of an Excel sheet, below the names of the columns
_OPTIONS = {
    "constant_memory": True,  # row by row: a run may have a million of them
    "strings_to_formulas": False,
    "strings_to_numbers": False,
    "strings_to_urls": False,
}
_DATE = re.compile(
    r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.(\d+))?([+-]\d\d:\d\d)?"
)  # ISO 8601, as columns hold it
_FIRST_YEAR = 1901  # Excel has no dates before 1900, and a false one in that year
_WIDTHS = {"path": 50, "error_message": 40, "flags": 24, "camera": 24, "sha256": 20, "evidence": 14}
_DATE_WIDTH, _WIDTH = 27, 12  # characters


class XlsxOutput(ReportOutput):
    """A workbook: a sheet of the rows, and one of facts about the run.

    Numbers are numbers, dates are dates, and texts are texts, never formulas. Texts are escaped as in CSV, so
    that a spreadsheet that saves the sheet as CSV makes no formula of them. A date shows the offset from UTC
    that it was stated with; its value is the local time that was stated.

    Args:
        options: which columns to write.

    Raises:
        UsageError: the library that writes workbooks is not installed.
    """

    def __init__(
        self,
        out: str,
        hashed: bool = False,
        overwrite: bool = False,
        options: FormatOptions = DEFAULT_OPTIONS,
    ) -> None:
        if find_spec("xlsxwriter") is None:
            raise UsageError(
                "a report in .xlsx needs the extra xlsx",
                "`pip install 'sidscan[xlsx]'` brings it; or end the name in .csv.",
            )
        super().__init__(out, REPORT_FORMATS["csv"], hashed, overwrite)
        self._columns = options.columns

    def check_size(self, rows: int) -> None:
        """Refuse more rows than a sheet holds.

        Raises:
            OutputError: there are more.
        """
        if rows > _MOST_ROWS:
            raise OutputError(
                f"{rows:,} rows don't fit into {self.out}: a sheet of Excel has {_MOST_ROWS:,}",
                "End the name in .csv or .json, or choose rows with --only or --top.",
            )

    def _render(self, record: RunRecord, path: Path) -> None:
        from xlsxwriter import Workbook  # here: only these reports need it
        from xlsxwriter.exceptions import FileCreateError

        self.check_size(num_rows(record))
        workbook = Workbook(path, _OPTIONS)
        _Rows(workbook, choose_columns(record.header(), self._columns)).write(record.results())
        _write_facts(workbook, record)
        try:
            workbook.close()
        except FileCreateError as error:
            raise OSError(*getattr(error.args[0], "args", (None, str(error)))) from error


class _Rows:
    """The sheet of the rows."""

    def __init__(self, workbook: Workbook, columns: list[ReportColumn]) -> None:
        self._workbook, self._columns = workbook, columns
        self._sheet: Worksheet = workbook.add_worksheet("report")
        self._formats: dict[str, Format] = {}  # of dates, by what they look like

    def write(self, results: Iterator[ScanResult]) -> None:
        """Write the names of the columns, and a row for each result."""
        sheet, number = self._sheet, 0
        sheet.freeze_panes(1, 0)
        bold = self._workbook.add_format({"bold": True})
        for position, column in enumerate(self._columns):
            sheet.set_column(position, position, _width(column))
            sheet.write_string(0, position, escape_cell(column.name), bold)
        for number, result in enumerate(results, 1):
            for position, column in enumerate(self._columns):
                self._write_cell(number, position, column, column.cell(result))
        sheet.autofilter(0, 0, number, len(self._columns) - 1)

    def _write_cell(self, row: int, position: int, column: ReportColumn, cell: Cell) -> None:
        if cell is None or cell == "":
            return
        if isinstance(cell, int | float):
            self._sheet.write_number(row, position, cell)
        elif column.kind == "date" and (date := excel_date(cell)):
            self._sheet.write_datetime(row, position, date[0], self._date_format(date[1]))
        else:
            self._sheet.write_string(row, position, escape_cell(cell))

    def _date_format(self, shown: str) -> Format:
        if shown not in self._formats:
            self._formats[shown] = self._workbook.add_format({"num_format": shown})
        return self._formats[shown]


def excel_date(text: str) -> tuple[datetime, str] | None:
    """A date as Excel holds it, and the format of its cell, which has the offset; None if it can't."""
    match = _DATE.fullmatch(text)
    if match is None or int(text[:4]) < _FIRST_YEAR:
        return None
    try:
        moment = datetime.fromisoformat(match[1])
    except ValueError:
        return None
    fraction = (match[2] or "")[:6].ljust(6, "0")
    shown = f"yyyy-mm-dd hh:mm:ss{'.000' if match[2] else ''}"
    return moment.replace(microsecond=int(fraction)), shown + (f'" {match[3]}"' if match[3] else "")


def _width(column: ReportColumn) -> int:
    return _DATE_WIDTH if column.kind == "date" else _WIDTHS.get(column.name, _WIDTH)


def _write_facts(workbook: Workbook, record: RunRecord) -> None:
    """A sheet of what holds for all rows."""
    sheet: Worksheet = workbook.add_worksheet("run")
    bold = workbook.add_format({"bold": True})
    sheet.set_column(0, 0, 24)
    sheet.set_column(1, 1, 100)
    for row, (name, value) in enumerate(_facts(record)):
        sheet.write_string(row, 0, escape_cell(name), bold)
        if isinstance(value, int):
            sheet.write_number(row, 1, value)
        else:
            sheet.write_string(row, 1, escape_cell(value))


def _facts(record: RunRecord) -> Iterator[tuple[str, str | int]]:
    """Names and values; what is empty is left out."""
    header, counts = record.header(), record.counts()
    if selection := record.selection():
        yield "rows shown", str(selection)
    yield "inputs", counts.enumerated
    yield "scored", counts.scored
    yield "failed", counts.failed
    yield "skipped", counts.skipped
    if counts.pending:
        yield "not scanned yet", counts.pending
    texts = (*_model_facts(header), *_run_facts(header))
    yield from ((name, text) for name, text in texts if text)
    yield "report format", REPORT_FORMAT_NUMBER


def _model_facts(header: RunHeader) -> Iterator[tuple[str, str]]:
    for model in header.models:
        threshold = "" if model.threshold is None else f", threshold {model.threshold:.4g}"
        yield "model", f"{model.name}{threshold}, weights {model.digest}"
        if calibration := header.calibrations.get(model.name):
            images, rate = calibration.pictures, calibration.target_fpr
            yield "calibration", f"{model.name}: {images} images, false-positive rate {rate:g}"
        yield "how sure", str(header.reliability.get(model.name, {}).get("sentence", ""))
    yield "choice of models", header.model_choice
    yield "source of weights", header.model_provenance


def _run_facts(header: RunHeader) -> Iterator[tuple[str, str]]:
    yield "scanned", ", ".join((*header.inputs, *header.lists))
    yield "runtime", ", ".join(filter(None, (header.runtime, header.device, header.precision)))
    yield "crops", f"{header.crops}, effort {header.effort}"
    yield "decoder", header.decoder
    yield "sidscan version", header.sidscan_version
    yield "private", "personal facts are left out" if header.private else ""
    for session in header.sessions:
        ended = f"to {session.ended}, {session.ending}" if session.ended else "(no end recorded)"
        command = " ".join(session.command or ())
        yield "session", "; ".join(filter(None, (f"{session.started} {ended}", session.host, command)))
