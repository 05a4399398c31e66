"""CSV: one row per input, one column per fact; opens in a spreadsheet."""

from __future__ import annotations

from itertools import islice
from typing import Any, TextIO

from sidscan.records import Exif, ImageInfo, Response, RunRecord, ScanResult
from sidscan.reports.base import Report
from sidscan.reports.csv_escape import escape_cell

_ROWS_AT_ONCE = 10_000
# Column -> attribute of a Score; a second model's columns are these with its name in front.
_SCORE_COLUMNS = {
    "score": "score",
    "logit": "logit",
    "evidence": "evidence",
    "inconclusive": "inconclusive",
    "threshold": "threshold",
    "p_value": "p_value",
    "crop_min": "crop_min",
    "crop_max": "crop_max",
    "crop_std": "crop_std",
    "model": "model",
    "model_digest": "digest",
}
_MODEL_COLUMNS = (*_SCORE_COLUMNS, "calibration")
_RUN_COLUMNS = (
    "model_choice",
    "model_provenance",
    "runtime",
    "device",
    "precision",
    "decoder",
    "sidscan_version",
)


class CsvReport(Report):
    """The CSV report (RFC 4180, UTF-8).

    The first model's columns are bare (``score``); those of further models carry its name
    (``rine-2class.score``). Rows without a score name the models all the same. Texts, names of columns
    included, are `cells.guarded`; JSON keeps the original.
    """

    def render(self, record: RunRecord, file: TextIO) -> None:
        """Write the header and all rows, ten thousand at a time."""
        header = record.header()
        prefixes = {
            model["name"]: f"{model['name']}." if i else "" for i, model in enumerate(header["models"])
        }
        same = _same_cells(header, prefixes)
        rows = (_row(finding, same, prefixes) for finding in record.findings())
        _write([], file, columns := _columns(prefixes), header=True)
        while chunk := list(islice(rows, _ROWS_AT_ONCE)):
            _write(chunk, file, columns)


def _write(rows: list[dict[str, Any]], file: TextIO, columns: list[str], header: bool = False) -> None:
    import pandas as pd  # here: reading a report needs none of it

    frame = pd.DataFrame(rows, columns=columns, dtype=object)  # object: numbers stay as they are
    names = (
        [escape_cell(column) for column in columns] if header else False
    )  # a model is named after its file
    frame.to_csv(file, index=False, header=names, lineterminator="\r\n")


def _columns(prefixes: dict[str, str]) -> list[str]:
    scores = [prefix + column for prefix in prefixes.values() for column in _MODEL_COLUMNS]
    return [
        *("path", "status", "error_stage", "error_class", "error_message"),
        *scores,
        *("views", *_fact_cells(ImageInfo()), *_RUN_COLUMNS, "scanned_at"),
    ]


def _same_cells(header: dict[str, Any], prefixes: dict[str, str]) -> dict[str, Any]:
    """What is the same in every row: the run, and which models were asked."""
    cells = {name: header.get(name) for name in _RUN_COLUMNS}
    for model in header["models"]:
        prefix = prefixes[model["name"]]
        cells |= {f"{prefix}model": model["name"], f"{prefix}model_digest": model["digest"]}
        calibration = header["calibrations"].get(model["name"])
        cells[f"{prefix}calibration"] = calibration["sha256"][:16] if calibration else None
    return cells


def _row(finding: ScanResult, same: dict[str, Any], prefixes: dict[str, str]) -> dict[str, Any]:
    row = {
        "path": finding.name,
        "status": finding.status.value,
        "error_stage": finding.stage.value if finding.stage else None,
        "error_class": finding.error,
        "error_message": finding.message,
        "views": finding.views or None,
        **_fact_cells(finding.facts),
        **same,
        "scanned_at": finding.scanned_at,
    }
    for score in finding.scores:
        prefix = prefixes[score.model]
        row |= {prefix + column: _words(getattr(score, name)) for column, name in _SCORE_COLUMNS.items()}
    return {column: _cell(value) for column, value in row.items()}


def _fact_cells(facts: ImageInfo) -> dict[str, Any]:
    return {
        "flags": " ".join(facts.flags),
        "width": facts.width,
        "height": facts.height,
        "format": facts.format,
        "jpeg_quality": facts.jpeg_quality,
        "bytes": facts.bytes,
        "sha256": facts.sha256,
        **_response_cells(facts.response),
        **_exif_cells(facts.exif),
    }


def _response_cells(response: Response | None) -> dict[str, Any]:
    response = response or Response(final_url="")
    return {
        "final_url": response.final_url,
        "redirects": " ".join(response.redirects),
        "http_status": response.http_status,
        "fetched_at": response.fetched_at,
        "content_type": response.headers.get("content-type"),
        "last_modified": response.headers.get("last-modified"),
        "saved_as": response.saved_as,
    }


def _exif_cells(exif: Exif) -> dict[str, Any]:
    return {
        "exif_make": exif.make,
        "exif_model": exif.model,
        "exif_lens": exif.lens,
        "exif_original_date": exif.original_date,
        "exif_software": exif.software,
        "exif_latitude": exif.latitude,
        "exif_longitude": exif.longitude,
        "exif_orientation": exif.orientation,
    }


def _words(value: Any) -> Any:
    return " ".join(value) if isinstance(value, tuple) else value


def _cell(value: Any) -> Any:
    return escape_cell(value) if isinstance(value, str) else value
