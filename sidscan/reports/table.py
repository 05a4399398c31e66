"""CSV: one row per input, one column per fact; opens in a spreadsheet."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice
from typing import Any, TextIO

import pandas as pd

from sidscan.records import Exif, Facts, Finding, Record
from sidscan.reports.base import Report, printable

_ROWS_AT_ONCE = 10_000
# Column -> attribute of a Score; a second model's columns are these with its name in front.
_SCORE_COLUMNS = {
    "score": "score",
    "logit": "logit",
    "evidence": "evidence",
    "threshold": "threshold",
    "crop_min": "crop_min",
    "crop_max": "crop_max",
    "crop_std": "crop_std",
    "model": "model",
    "model_digest": "digest",
}
_RUN_COLUMNS = (
    "model_choice",
    "model_provenance",
    "runtime",
    "device",
    "precision",
    "decoder",
    "sidscan_version",
)
# What a spreadsheet takes for the start of a formula (OWASP, "CSV Injection").
_FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r", "\n")


class CsvReport(Report):
    """The CSV report (RFC 4180, UTF-8).

    The first model's columns are bare (``score``); those of further models carry its name
    (``rine-2class.score``). A text that a spreadsheet would run as a formula gets a leading apostrophe.
    """

    def render(self, record: Record, file: TextIO) -> None:
        """Write the header and all rows, ten thousand at a time."""
        header = record.header()
        run = {name: header.get(name) for name in _RUN_COLUMNS}
        models = [str(model["name"]) for model in header["models"]]
        findings = record.findings()
        rows = [_row(finding, run, models) for finding in islice(findings, _ROWS_AT_ONCE)]
        first = True
        while rows or first:
            frame = pd.DataFrame(
                rows, columns=_columns(models), dtype=object
            )  # object: numbers stay as they are
            frame.to_csv(file, index=False, header=first, lineterminator="\n")
            rows = [_row(finding, run, models) for finding in islice(findings, _ROWS_AT_ONCE)]
            first = False


def _columns(models: Sequence[str]) -> list[str]:
    scores = [_prefix(models, model) + column for model in models for column in _SCORE_COLUMNS]
    return [
        *("path", "status", "error_stage", "error_class", "error_message"),
        *scores,
        *("views", *_fact_cells(Facts()), *_RUN_COLUMNS, "scanned_at"),
    ]


def _row(finding: Finding, run: dict[str, Any], models: Sequence[str]) -> dict[str, Any]:
    row = {
        "path": finding.name,
        "status": finding.status.value,
        "error_stage": finding.stage.value if finding.stage else None,
        "error_class": finding.error,
        "error_message": finding.message,
        "views": finding.views or None,
        **_fact_cells(finding.facts),
        **run,
        "scanned_at": finding.scanned_at,
    }
    for score in finding.scores:
        prefix = _prefix(models, score.model)
        row |= {prefix + column: getattr(score, attribute) for column, attribute in _SCORE_COLUMNS.items()}
    return {column: _cell(value) for column, value in row.items()}


def _prefix(models: Sequence[str], model: str) -> str:
    return "" if model == models[0] else f"{model}."


def _fact_cells(facts: Facts) -> dict[str, Any]:
    return {
        "flags": " ".join(facts.flags),
        "width": facts.width,
        "height": facts.height,
        "format": facts.format,
        "bytes": facts.bytes,
        "sha256": facts.sha256,
        **_exif_cells(facts.exif),
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


def _cell(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    text = printable(value).replace("\x00", "")
    return f"'{text}" if text.startswith(_FORMULA_STARTS) else text
