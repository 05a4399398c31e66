"""The columns of what became of an input: first and last in a row."""

from __future__ import annotations

from sidscan.records import ScanResult
from sidscan.reports.base import REPORT_FORMAT_NUMBER
from sidscan.reports.columns.column import Column
from sidscan.reports.exif_names import is_name

NUMBER_COLUMN = "report_format"

FIRST: tuple[Column[ScanResult], ...] = (
    Column(
        "path",
        "file or URL, as given or as the walk found it; `***` hides a user name and password",
        lambda r: r.name,
    ),
    Column("status", "`scored`, `skipped`, or the reason for having no score", lambda r: r.status.value),
    Column(
        "error_stage",
        "where the input failed or was skipped: `list`, `read`, `fetch`, `decode` or `score`",
        lambda r: r.stage.value if r.stage else None,
    ),
    Column("error_class", "class name of the error", lambda r: r.error),
    Column("error_message", "why the input has no score, in words", lambda r: r.message),
)
LAST: tuple[Column[ScanResult], ...] = (
    Column("scanned_at", "when the row was made, ISO 8601, UTC", lambda r: r.scanned_at, "date"),
    Column(
        NUMBER_COLUMN,
        "format number of the report: 2; reports of sidscan 0.1.0 lack the column",
        lambda _: REPORT_FORMAT_NUMBER,
        "number",
        "integer",
    ),
)
# What conditions, orders and --columns may name besides; no report has them unless it is asked for them.
DERIVED: tuple[Column[ScanResult], ...] = (
    Column("camera", "camera maker and model", lambda r: camera(r)),
    Column(
        "failed",
        "`yes` if the input should have a score and has none, else `no`",
        lambda r: r.status.failed,
        type="boolean",
    ),
)


def camera(result: ScanResult) -> str | None:
    """Maker and model, if they are names; the maker once, where the model begins with it."""
    make, model = (
        stated if stated and is_name(stated) else ""
        for stated in (result.facts.exif.make, result.facts.exif.model)
    )
    return (model if model.lower().startswith(make.lower()) else f"{make} {model}").strip() or None
