"""Excel workbooks: the table of the CSV report, for people who open it; `sidscan verify` reads the others."""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from importlib.util import find_spec
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING

from sidscan.containers.jpeg import FRAME_MARKERS, Segment, jpeg_segments
from sidscan.errors import OutputError, UsageError
from sidscan.records import RunHeader, RunRecord, ScanResult, Status, num_rows
from sidscan.reports.base import (
    DEFAULT_OPTIONS,
    REPORT_FORMAT_NUMBER,
    REPORT_FORMATS,
    FormatOptions,
    JpegMaker,
)
from sidscan.reports.columns import Cell, ReportColumn, choose_columns
from sidscan.reports.csv_escape import escape_cell
from sidscan.reports.output_files import ReportOutput

if TYPE_CHECKING:
    from xlsxwriter.format import Format
    from xlsxwriter.workbook import Workbook
    from xlsxwriter.worksheet import Worksheet

SUFFIX = "xlsx"
_MOST_ROWS = 1_048_575  # of an Excel sheet, below the names of the columns
_MOST_THUMBNAILS = 5_000  # rows: XlsxWriter holds all images in memory, some 30 MB of them
_SIDE = 160  # pixels of a thumbnail (`images.thumbnails.SIDE`)
_MARGIN = 2  # pixels around it
_MOVES_WITH_CELLS = 1  # XlsxWriter's number for: move and size with cells, as when rows are filtered
# As libjpeg begins a file: version 1.01, no unit of density. Programs show other densities at other sizes.
_JPEG_START = bytes.fromhex("ffd8ffe000104a46494600010100000100010000")
_APP0 = 0xE0  # its segment states the density
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
        options: which columns to write, and what makes JPEG of thumbnails, if there shall be any.

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
                "`pip install XlsxWriter` brings it; or end the name in .csv.",
            )
        super().__init__(out, REPORT_FORMATS["csv"], hashed, overwrite)
        self._columns, self._open_converter = options.columns, options.xlsx_thumbnails
        self._thumbnails = _Counts()

    @property
    def shows_thumbnails(self) -> bool:
        """As `ReportOutput.shows_thumbnails`."""
        return self._open_converter is not None

    def remarks(self) -> tuple[str, ...]:
        """Which images have no thumbnail, and why."""
        return tuple(self._thumbnails.remarks(self.out))

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
        if self.shows_thumbnails and rows > _MOST_THUMBNAILS:
            raise OutputError(
                f"{rows:,} rows with thumbnails don't fit into {self.out}: it takes {_MOST_THUMBNAILS:,}",
                "Choose rows with --only or --top, leave out --xlsx-thumbnails, or end the name in .html.",
            )

    def _render(self, record: RunRecord, path: Path) -> None:
        from xlsxwriter import Workbook  # here: only these reports need it
        from xlsxwriter.exceptions import FileCreateError

        self.check_size(num_rows(record))
        workbook = Workbook(path, _OPTIONS)
        rows = _Rows(workbook, choose_columns(record.header(), self._columns))
        self._thumbnails = _Counts()
        if self._open_converter is None:
            rows.write(record.results())
        else:
            with self._open_converter() as convert:
                rows.write(record.results(), _Thumbnails(record, convert, self._thumbnails))
        _write_facts(workbook, record, self._thumbnails)
        try:
            workbook.close()
        except FileCreateError as error:
            raise OSError(*getattr(error.args[0], "args", (None, str(error)))) from error


@dataclass
class _Counts:
    """Images that were scored: how many have a thumbnail here, none in the record, or none that opens."""

    shown: int = 0
    absent: int = 0
    failed: int = 0

    def __str__(self) -> str:
        """Empty unless thumbnails were asked for, and there were images."""
        images = self.shown + self.absent + self.failed
        return f"of {self.shown:,} of {images:,} images that were scored" if images else ""

    def remarks(self, out: str) -> Iterator[str]:
        if self.absent:
            yield (
                f"images without a thumbnail in {out}: {self.absent:,}, of which the record has none "
                "(scan with --xlsx-thumbnails makes them; no image is scored again)"
            )
        if self.failed:
            yield f"images without a thumbnail in {out}: {self.failed:,}, which could not be converted"


class _Thumbnails:
    """Thumbnails of a record as JPEG of at most `_SIDE` pixels; counts those that are left out."""

    def __init__(self, record: RunRecord, convert: JpegMaker, counts: _Counts) -> None:
        self._record, self._convert, self._counts = record, convert, counts

    def of(self, result: ScanResult) -> bytes:
        """A JPEG; empty if there is none."""
        if result.status is not Status.SCORED:
            return b""
        webp = self._record.thumbnail(result.facts.sha256) if result.facts.sha256 else None
        if webp is None:
            self._counts.absent += 1
            return b""
        jpeg = self._convert(webp)
        if not jpeg_size(jpeg):
            self._counts.failed += 1
            return b""
        self._counts.shown += 1
        return jpeg


def jpeg_size(data: bytes) -> tuple[int, int] | None:
    """Width and height of a thumbnail, as its only frame states; None if it is no JPEG, or too large.

    The process that made it decoded bytes that nobody can trust, so its answer is not trusted either.
    """
    if not data.startswith(_JPEG_START):
        return None
    segments, has_scan = jpeg_segments(data)
    frames = [segment for segment in segments if data[segment.start + 1] in FRAME_MARKERS]
    densities = [segment for segment in segments if data[segment.start + 1] == _APP0]
    if not has_scan or len(frames) != 1 or len(densities) != 1 or not _are_plain(segments, data):
        return None
    height, width = struct.unpack_from(">HH", data, frames[0].body + 1)
    return (width, height) if min(width, height) > 0 and max(width, height) <= _SIDE else None


def _are_plain(segments: Sequence[Segment], data: bytes) -> bool:
    """Whether each segment follows the one before and has its length: XlsxWriter knows no other."""
    starts = [2, *(segment.end for segment in segments)]
    return all(
        segment.start == start
        and segment.end == start + 2 + int.from_bytes(data[start + 2 : start + 4], "big")
        for segment, start in zip(segments, starts, strict=False)
    )


class _Rows:
    """The sheet of the rows."""

    def __init__(self, workbook: Workbook, columns: list[ReportColumn]) -> None:
        self._workbook, self._columns = workbook, columns
        self._sheet: Worksheet = workbook.add_worksheet("report")
        self._formats: dict[str, Format] = {}  # of dates, by what they look like

    def write(self, results: Iterator[ScanResult], thumbnails: _Thumbnails | None = None) -> None:
        """Write the names of the columns, and a row for each result; thumbnails get the first column."""
        sheet, number = self._sheet, 0
        first = 0 if thumbnails is None else 1
        sheet.freeze_panes(1, 0)
        bold = self._workbook.add_format({"bold": True})
        if thumbnails:
            sheet.set_column_pixels(0, 0, _SIDE + 2 * _MARGIN)
            sheet.write_string(0, 0, "thumbnail", bold)
        for position, column in enumerate(self._columns, first):
            sheet.set_column(position, position, _width(column))
            sheet.write_string(0, position, escape_cell(column.name), bold)
        for number, result in enumerate(results, 1):
            if thumbnails and (jpeg := thumbnails.of(result)):
                self._show(number, jpeg, escape_cell(result.name))
            for position, column in enumerate(self._columns, first):
                self._write_cell(number, position, column, column.cell(result))
        sheet.autofilter(0, 0, number, first + len(self._columns) - 1)

    def _show(self, row: int, jpeg: bytes, name: str) -> None:
        """An image in the first column; it is anchored to its row, which is as high as it is."""
        _, height = jpeg_size(jpeg) or (0, 0)
        self._sheet.set_row_pixels(row, height + 2 * _MARGIN)
        placed = {"x_offset": _MARGIN, "y_offset": _MARGIN, "object_position": _MOVES_WITH_CELLS}
        self._sheet.insert_image(row, 0, "", {"image_data": BytesIO(jpeg), "description": name, **placed})

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


def _write_facts(workbook: Workbook, record: RunRecord, thumbnails: _Counts) -> None:
    """A sheet of what holds for all rows."""
    sheet: Worksheet = workbook.add_worksheet("run")
    bold = workbook.add_format({"bold": True})
    sheet.set_column(0, 0, 24)
    sheet.set_column(1, 1, 100)
    for row, (name, value) in enumerate(_facts(record, thumbnails)):
        sheet.write_string(row, 0, escape_cell(name), bold)
        if isinstance(value, int):
            sheet.write_number(row, 1, value)
        else:
            sheet.write_string(row, 1, escape_cell(value))


def _facts(record: RunRecord, thumbnails: _Counts) -> Iterator[tuple[str, str | int]]:
    """Names and values; what is empty is left out."""
    header, counts = record.header(), record.counts()
    if selection := record.selection():
        yield "rows shown", str(selection)
    if header.sample:
        yield "sample", str(header.sample)
    if not header.listing_complete:
        yield "listing", "not all inputs were listed; the numbers are of those that were"
    yield "inputs", counts.enumerated
    yield "scored", counts.scored
    yield "failed", counts.failed
    yield "skipped", counts.skipped
    if counts.pending:
        yield "not looked at", counts.pending
    if shown := str(thumbnails):
        yield "thumbnails", shown
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
