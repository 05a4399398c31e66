"""CSV: one row per input, one column per fact; opens in a spreadsheet."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import Any, TextIO

import pandas as pd

from sidscan.records import Finding, Record, Score
from sidscan.reports.base import Report, printable

_ROWS_AT_ONCE = 10_000
_SCORE_COLUMNS = (
    "score",
    "logit",
    "evidence",
    "threshold",
    "crop_min",
    "crop_max",
    "crop_std",
    "model",
    "model_digest",
)
_RUN_COLUMNS = ("model_choice", "runtime", "device", "precision", "decoder", "sidscan_version")
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
        models = [str(model["name"]) for model in header.get("models", [])]
        names = list(_row(_EMPTY, run, models))
        findings = record.findings()
        pd.DataFrame(columns=names).to_csv(file, index=False, lineterminator="\n")
        while rows := [_row(finding, run, models) for finding in islice(findings, _ROWS_AT_ONCE)]:
            frame = pd.DataFrame(rows, columns=names, dtype=object)  # object: numbers stay as they are
            frame.to_csv(file, index=False, header=False, lineterminator="\n")


def _row(finding: Finding, run: dict[str, Any], models: list[str]) -> dict[str, Any]:
    facts, exif = finding.facts, finding.facts.exif
    row: dict[str, Any] = {
        "path": finding.name,
        "status": finding.status.value,
        "error_stage": finding.stage.value if finding.stage else None,
        "error_class": finding.error,
        "error_message": finding.message,
    }
    scores = {score.model: score for score in finding.scores}
    for position, model in enumerate(models or [""]):
        prefix = f"{model}." if position else ""
        row.update((prefix + name, value) for name, value in _score_cells(scores.get(model)))
    row |= {
        "views": finding.views or None,
        "flags": " ".join(facts.flags),
        "width": facts.width,
        "height": facts.height,
        "format": facts.format,
        "bytes": facts.bytes,
        "sha256": facts.sha256,
        "exif_make": exif.make,
        "exif_model": exif.model,
        "exif_lens": exif.lens,
        "exif_original_date": exif.original_date,
        "exif_software": exif.software,
        "exif_latitude": exif.latitude,
        "exif_longitude": exif.longitude,
        "exif_orientation": exif.orientation,
        **run,
        "scanned_at": finding.scanned_at,
    }
    return {name: _cell(value) for name, value in row.items()}


def _score_cells(score: Score | None) -> Iterator[tuple[str, Any]]:
    values = (
        (
            score.score,
            score.logit,
            score.evidence,
            score.threshold,
            score.crop_min,
            score.crop_max,
            score.crop_std,
            score.model,
            score.digest,
        )
        if score
        else (None,) * len(_SCORE_COLUMNS)
    )
    yield from zip(_SCORE_COLUMNS, values, strict=True)


def _cell(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    text = printable(value).replace("\x00", "")
    return f"'{text}" if text.startswith(_FORMULA_STARTS) else text
