"""Excel workbooks: the table of the CSV report, for people who open it; `sidscan verify` reads the others."""

from __future__ import annotations

from importlib.util import find_spec
from itertools import chain
from pathlib import Path

from sidscan.errors import OutputError, UsageError
from sidscan.records import RunRecord
from sidscan.reports.base import REPORT_FORMATS
from sidscan.reports.columns import Cell, report_columns
from sidscan.reports.csv import table_rows
from sidscan.reports.csv_escape import escape_cell
from sidscan.reports.output_files import ReportOutput

SUFFIX = "xlsx"
_MOST_ROWS = 1_048_575  # of an Excel sheet, below the names of the columns
_OPTIONS = {
    "constant_memory": True,  # row by row: a run may have a million of them
    "strings_to_formulas": False,
    "strings_to_numbers": False,
    "strings_to_urls": False,
}


class XlsxOutput(ReportOutput):
    """A workbook with one sheet: texts are texts, never formulas; numbers are numbers.

    Texts are escaped as in CSV, so that a spreadsheet that saves the sheet as CSV makes no formula of them.

    Raises:
        UsageError: the library that writes workbooks is not installed.
    """

    def __init__(self, out: str, hashed: bool = False, overwrite: bool = False) -> None:
        if find_spec("xlsxwriter") is None:
            raise UsageError(
                "a report in .xlsx needs the extra xlsx",
                "`pip install 'sidscan[xlsx]'` brings it; or end the name in .csv.",
            )
        super().__init__(out, REPORT_FORMATS["csv"], hashed, overwrite)

    def check_size(self, rows: int) -> None:
        """Refuse more rows than a sheet holds.

        Raises:
            OutputError: there are more.
        """
        if rows > _MOST_ROWS:
            raise OutputError(
                f"{rows:,} rows don't fit into {self.out}: a sheet of Excel has {_MOST_ROWS:,}",
                "End the name in .csv or .json, or scan the folders one by one.",
            )

    def _render(self, record: RunRecord, path: Path) -> None:
        from xlsxwriter import Workbook  # here: only these reports need it
        from xlsxwriter.exceptions import FileCreateError

        self.check_size(record.counts().enumerated)
        workbook = Workbook(path, _OPTIONS)
        sheet = workbook.add_worksheet("report")
        sheet.freeze_panes(1, 0)
        number, columns = 0, report_columns(record.header())
        titles: list[Cell] = [escape_cell(column.name) for column in columns]
        for number, row in enumerate(chain([titles], table_rows(record, columns))):
            for column, cell in enumerate(row):
                if cell is None or cell == "":
                    continue
                if isinstance(cell, str):
                    sheet.write_string(number, column, cell)
                else:
                    sheet.write_number(number, column, cell)
        sheet.autofilter(0, 0, number, len(columns) - 1)
        try:
            workbook.close()
        except FileCreateError as error:
            raise OSError(*getattr(error.args[0], "args", (None, str(error)))) from error
