"""CSV: one row per input, one column per fact; opens in a spreadsheet."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import chain, islice
from typing import Generic, TextIO, TypeVar

from sidscan.records import Response, RunHeader, RunRecord, ScanResult, Score
from sidscan.reports.base import REPORT_FORMAT_NUMBER, ReportFormat, report_format
from sidscan.reports.csv_escape import escape_cell, unescape_cell
from sidscan.reports.private import FLAG, private_date, private_text
from sidscan.reports.reader import LONGEST_LINE, DamagedReport, ReportRow, check_format_number, checked_row

_Source = TypeVar("_Source")
Cell = str | int | float | None
_ROWS_AT_ONCE = 10_000
_NUMBER_COLUMN = "report_format"
_FIRST_COLUMNS = ("path", "status", "error_stage", "error_class", "error_message", "")
_BOM = "\ufeff"
_DELIMITERS = ",;"
_YES_NO = {True: "yes", False: "no", None: None}
_NO_RESPONSE = Response(final_url="")


@dataclass(frozen=True, slots=True)
class _Column(Generic[_Source]):
    """A column: its name, what it means, and how to get its cells."""

    name: str
    description: str
    cell: Callable[[_Source], Cell]


_ERROR_COLUMNS: tuple[_Column[ScanResult], ...] = (
    _Column(
        "path",
        "file or URL, as given or as the walk found it; `***` hides a user name and password",
        lambda r: r.name,
    ),
    _Column("status", "`scored`, `skipped`, or the reason for having no score", lambda r: r.status.value),
    _Column(
        "error_stage",
        "where the input failed or was skipped: `list`, `read`, `fetch`, `decode` or `score`",
        lambda r: r.stage.value if r.stage else None,
    ),
    _Column("error_class", "class name of the error", lambda r: r.error),
    _Column("error_message", "why the input has no score, in words", lambda r: r.message),
)
_SCORE_COLUMNS: tuple[_Column[Score], ...] = (
    _Column("score", "the model's P(synthetic), 0 to 1: the sigmoid of `logit`", lambda s: s.score),
    _Column("logit", "mean of the logits of all views", lambda s: s.logit),
    _Column(
        "evidence",
        "`weak`, `moderate`, `strong`, `very strong` (relative to `threshold`), or `inconclusive`",
        lambda s: s.evidence,
    ),
    _Column(
        "inconclusive",
        "why the evidence is inconclusive, separated by spaces; else empty",
        lambda s: " ".join(s.inconclusive),
    ),
    _Column(
        "cautions",
        "kinds with over 5 % false positives that the image looks like, separated by spaces",
        lambda s: " ".join(s.cautions),
    ),
    _Column("threshold", "score, 0 to 1, at which evidence stops being weak", lambda s: s.threshold),
    _Column(
        "p_value",
        "share, 0 to 1, of camera images that score at least as high; empty without a calibration",
        lambda s: s.p_value,
    ),
    _Column(
        "score_percentile",
        "percentage of the photographs of the model's card that score lower; empty if it does not say, "
        "and in rows of sidscan 0.2.0",
        lambda s: s.percentile,
    ),
    _Column("crop_min", "lowest score of a single view, 0 to 1", lambda s: s.crop_min),
    _Column("crop_max", "highest score of a single view, 0 to 1", lambda s: s.crop_max),
    _Column("crop_std", "standard deviation of the scores of single views", lambda s: s.crop_std),
    _Column(
        "highest_crop",
        "where the view with the highest score lies, e.g. `top left`; of equals, the centre",
        lambda s: s.highest_crop,
    ),
)
# What the header states of each model; rows without a score have these cells, too.
_MODEL_COLUMNS = {
    "model": "name of the model",
    "model_digest": "first 16 hex digits of each weights file's sha256, head before encoder, joined by `+`",
    "calibration": "first 16 hex digits of the sha256 of the calibration; empty without one",
}
_IMAGE_COLUMNS: tuple[_Column[ScanResult], ...] = (
    _Column(
        "views",
        "number of crops averaged: 10, 5 or 1, as `effort` says; empty without a score",
        lambda r: r.views or None,
    ),
    _Column(
        "share_scored",
        "share, 0 to 1, of the image's pixels that lie in one of these crops; empty without a score",
        lambda r: r.share_scored,
    ),
    _Column(
        "flags", "remarks on how the image was read, separated by spaces", lambda r: " ".join(r.facts.flags)
    ),
    _Column("width", "pixels, as stored: EXIF orientation is not applied", lambda r: r.facts.width),
    _Column("height", "pixels, as stored", lambda r: r.facts.height),
    _Column("format", "image format, e.g. `JPEG`", lambda r: r.facts.format),
    _Column(
        "jpeg_quality",
        "libjpeg quality, 1 to 100, that quantises as coarsely as this JPEG file does",
        lambda r: r.facts.jpeg_quality,
    ),
    _Column(
        "preview_width",
        "pixels, of the preview that was scored instead of the image (flag `preview`)",
        lambda r: r.facts.preview_width,
    ),
    _Column("preview_height", "pixels, of the preview", lambda r: r.facts.preview_height),
    _Column(
        "lossless",
        "`yes` if the file keeps every pixel value as it was saved, else `no`; empty where that is not known",
        lambda r: _YES_NO[r.facts.lossless],
    ),
    _Column("bytes", "size of the original file, bytes", lambda r: r.facts.bytes),
    _Column(
        "modified_at",
        "when the file was last modified, ISO 8601, UTC; empty for URLs",
        lambda r: r.facts.modified_at,
    ),
    _Column("sha256", "SHA-256 of the original bytes, 64 hex digits", lambda r: r.facts.sha256),
    _Column("final_url", "last URL requested; empty for files", lambda r: _response(r).final_url),
    _Column(
        "redirects",
        "URLs that led to `final_url`, separated by spaces",
        lambda r: " ".join(_response(r).redirects),
    ),
    _Column("http_status", "HTTP status code of the last answer", lambda r: _response(r).http_status),
    _Column("fetched_at", "time of the last request, ISO 8601, UTC", lambda r: _response(r).fetched_at),
    _Column(
        "content_type",
        "`Content-Type` that the server stated, unchecked",
        lambda r: _response(r).headers.get("content-type"),
    ),
    _Column(
        "last_modified",
        "`Last-Modified` that the server stated, unchecked",
        lambda r: _response(r).headers.get("last-modified"),
    ),
    _Column(
        "saved_as", "file of `--save-dir` that keeps the bytes of a URL", lambda r: _response(r).saved_as
    ),
    _Column("exif_make", "camera maker", lambda r: r.facts.exif.make),
    _Column("exif_model", "camera model", lambda r: r.facts.exif.model),
    _Column("exif_lens", "lens", lambda r: r.facts.exif.lens),
    _Column(
        "exif_original_date",
        "when the image was taken, as EXIF states it",
        lambda r: r.facts.exif.original_date,
    ),
    _Column(
        "exif_original_date_iso",
        "the same as ISO 8601, with an offset from UTC where EXIF states one; empty if it is not a date",
        lambda r: r.facts.exif.original_date_iso,
    ),
    _Column(
        "exif_gps_date_iso",
        "when the position was measured, ISO 8601, UTC",
        lambda r: r.facts.exif.gps_date_iso,
    ),
    _Column(
        "exif_software", "software that wrote the file, as EXIF states it", lambda r: r.facts.exif.software
    ),
    _Column("exif_latitude", "degrees, north positive", lambda r: r.facts.exif.latitude),
    _Column("exif_longitude", "degrees, east positive", lambda r: r.facts.exif.longitude),
    _Column("exif_orientation", "EXIF orientation, 1 to 8", lambda r: r.facts.exif.orientation),
)
_RUN_COLUMNS: tuple[_Column[RunHeader], ...] = (
    _Column(
        "model_choice",
        "how the models were chosen: `asked for`, `default`, or `fallback: ...`",
        lambda h: h.model_choice,
    ),
    _Column("model_provenance", "who vouches for each weights file", lambda h: h.model_provenance),
    _Column("runtime", "what computed the score, with its version", lambda h: h.runtime),
    _Column("device", "where it was computed, e.g. `cpu`", lambda h: h.device),
    _Column("precision", "`fp32`, `fp16` or `bf16`", lambda h: h.precision),
    _Column(
        "effort",
        "`full`: all crops were scored; `normal`: as many as the decision needed; `fast`: the centre crop",
        lambda h: h.effort,
    ),
)
_READER_COLUMNS = {
    "decoder": "what decoded the image, with its version",
    "sidscan_version": "version of the sidscan that made the row; a later one may have kept it",
}
_LAST_COLUMNS: tuple[_Column[ScanResult], ...] = (
    _Column("scanned_at", "when the row was made, ISO 8601, UTC", lambda r: r.scanned_at),
    _Column(
        _NUMBER_COLUMN,
        "format number of the report: 2; reports of sidscan 0.1.0 lack the column",
        lambda _: REPORT_FORMAT_NUMBER,
    ),
)


def _described(columns: tuple[_Column[_Source], ...]) -> dict[str, str]:
    return {column.name: column.description for column in columns}


_PER_MODEL = {**_described(_SCORE_COLUMNS), **_MODEL_COLUMNS}
_AFTER_MODELS = {
    **_described(_IMAGE_COLUMNS),
    **_described(_RUN_COLUMNS),
    **_READER_COLUMNS,
    **_described(_LAST_COLUMNS),
}

CSV_COLUMNS: dict[str, str] = {**_described(_ERROR_COLUMNS), **_PER_MODEL, **_AFTER_MODELS}
"""Every column of a report on one model, in order, with its description in Markdown."""


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


_WITHHELD = ("exif_latitude", "exif_longitude", "exif_gps_date_iso")
_MAYBE_URLS = ("error_message", "final_url", "redirects")

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

    def __init__(self, dialect: CsvDialect = CSV_DIALECTS["standard"]) -> None:
        self._dialect = dialect

    def in_dialect(self, name: str) -> CsvReport:
        """The format in one of `CSV_DIALECTS`."""
        return CsvReport(CSV_DIALECTS[name])

    def render(self, record: RunRecord, file: TextIO) -> None:
        """Write the column names and all rows, ten thousand at a time."""
        rows = table_rows(record)
        columns = column_names(record.header())
        file.write(_BOM if self._dialect.bom else "")
        self._write_rows([], columns, file, names=True)
        while chunk := list(islice(rows, _ROWS_AT_ONCE)):
            self._write_rows(chunk, columns, file)

    def _write_rows(
        self, rows: list[list[Cell]], columns: list[str], file: TextIO, names: bool = False
    ) -> None:
        import pandas as pd  # here: reading a report needs none of it

        if self._dialect.decimal != ".":
            rows = [[self._number(cell) for cell in row] for row in rows]
        frame = pd.DataFrame(rows, columns=columns, dtype=object)  # object: numbers stay as they are
        # A model may be named after its file, so column names are a stranger's text, too.
        header = [escape_cell(column) for column in columns] if names else False
        frame.to_csv(file, sep=self._dialect.delimiter, index=False, header=header, lineterminator="\r\n")

    def _number(self, cell: Cell) -> Cell:
        return str(cell).replace(".", self._dialect.decimal) if isinstance(cell, float) else cell

    def recognises(self, head: bytes) -> bool:
        """By its first columns, which all format numbers share."""
        return any(head.startswith(mark.join(_FIRST_COLUMNS).encode()) for mark in _DELIMITERS)

    def rows(self, lines: Iterator[str]) -> Iterator[ReportRow]:
        """One row per line but the first."""
        csv.field_size_limit(LONGEST_LINE)
        first = next(lines)
        delimiter = first[len(_FIRST_COLUMNS[0])]
        table = csv.reader(chain([first], lines), delimiter=delimiter, strict=True)
        names = next(table)
        for cells in table:
            if len(cells) != len(names):
                raise DamagedReport(f"it has {len(cells)} cells, not {len(names)}")
            row = dict(zip(names, cells, strict=True))
            check_format_number(int(row.get(_NUMBER_COLUMN, "1")))
            saved_as = unescape_cell(row["saved_as"]) or None
            yield checked_row(unescape_cell(row["path"]), row["sha256"] or None, saved_as)

    def redact(self, lines: Iterator[str], file: TextIO) -> list[str]:
        """Row by row; columns that this version does not know are emptied: somebody else added them."""
        first = next(lines)
        dialect = CsvDialect(delimiter=first[len(_FIRST_COLUMNS[0])])
        table = csv.DictReader(chain([first], lines), delimiter=dialect.delimiter, strict=True)
        names = list(table.fieldnames or ())
        unknown = [name for name in names if name.rpartition(".")[2] not in CSV_COLUMNS]
        writer = csv.DictWriter(file, names, delimiter=dialect.delimiter, lineterminator="\r\n")
        writer.writeheader()
        for row in table:
            writer.writerow(_private_row(row) | dict.fromkeys(unknown, ""))
        return [unescape_cell(name) for name in unknown]


def _private_row(row: dict[str, str]) -> dict[str, str]:
    """A row without what `reports.private` withholds; columns that an older report lacks stay away."""
    changed = dict.fromkeys(_WITHHELD, "")
    changed["exif_original_date_iso"] = private_date(row.get("exif_original_date_iso", "")) or ""
    withheld = [name for name, cell in changed.items() if row.get(name, "") != cell]
    if withheld and FLAG not in row["flags"].split():
        changed["flags"] = f"{row['flags']} {FLAG}".strip()
    for name in _MAYBE_URLS:
        changed[name] = escape_cell(private_text(unescape_cell(row.get(name, ""))) or "")
    return {name: changed.get(name, cell) for name, cell in row.items()}


def table_rows(record: RunRecord) -> Iterator[list[Cell]]:
    """The cells of every result, in the order of `column_names`; texts are escaped."""
    header = record.header()
    run_cells = [column.cell(header) for column in _RUN_COLUMNS]
    model_cells = _model_cells(header)
    reader = (header.decoder, header.sidscan_version)  # of rows that name none
    return (_row(result, model_cells, run_cells, reader) for result in record.results())


def column_names(header: RunHeader) -> list[str]:
    """The columns of a report, as they are: a model may be named after its file."""
    per_model = (
        f"{model.name}.{name}" if index else name
        for index, model in enumerate(header.models)
        for name in _PER_MODEL
    )
    return [*_described(_ERROR_COLUMNS), *per_model, *_AFTER_MODELS]


def _model_cells(header: RunHeader) -> dict[str, list[Cell]]:
    """Per model, the cells of `_MODEL_COLUMNS`."""
    digests = {name: calibration.sha256[:16] for name, calibration in header.calibrations.items()}
    return {model.name: [model.name, model.digest, digests.get(model.name)] for model in header.models}


def _row(
    result: ScanResult,
    model_cells: dict[str, list[Cell]],
    run_cells: list[Cell],
    reader: tuple[str, str],
) -> list[Cell]:
    """The cells of a result, in the order of `column_names`."""
    scores = {score.model: score for score in result.scores}
    cells: list[Cell] = [column.cell(result) for column in _ERROR_COLUMNS]
    for name, model in model_cells.items():
        score = scores.get(name)
        cells += [column.cell(score) if score else None for column in _SCORE_COLUMNS]
        cells += model
    cells += [column.cell(result) for column in _IMAGE_COLUMNS]
    cells += run_cells
    cells += [result.decoder or reader[0], result.sidscan_version or reader[1]]
    cells += [column.cell(result) for column in _LAST_COLUMNS]
    return [escape_cell(cell) if isinstance(cell, str) else cell for cell in cells]


def _response(result: ScanResult) -> Response:
    return result.facts.response or _NO_RESPONSE
