"""Reports: pure renderings of the journal, chosen by file suffix; ``-`` is standard output."""

from __future__ import annotations

from pathlib import Path

from sidscan.errors import UsageError
from sidscan.records import Record
from sidscan.reports.base import STDOUT, Report
from sidscan.reports.table import CsvReport
from sidscan.reports.tree import JsonlReport, JsonReport

FORMATS: dict[str, type[Report]] = {"csv": CsvReport, "json": JsonReport, "jsonl": JsonlReport}


def report(out: str, stdout_format: str = "csv") -> Report:
    """The report that ``out`` asks for.

    Raises:
        UsageError: an unknown suffix.
    """
    suffix = stdout_format if out == STDOUT else Path(out).suffix.lstrip(".").lower()
    if suffix not in FORMATS:
        known = ", ".join(f".{name}" for name in FORMATS)
        raise UsageError(f"unknown kind of report: {out}", f"End the name in one of {known}.")
    return FORMATS[suffix](out)


def write(reports: list[Report], record: Record) -> None:
    """Render all reports; each appears whole or not at all.

    Raises:
        OutputError: a report can't be written; the journal keeps the findings.
    """
    for one in reports:
        one.write(record)
