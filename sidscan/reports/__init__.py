"""Reports: pure renderings of the journal, chosen by file suffix; ``-`` is standard output."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from sidscan.errors import UsageError
from sidscan.records import RunRecord
from sidscan.reports import output_files
from sidscan.reports.base import STDOUT, Report
from sidscan.reports.csv import CsvReport
from sidscan.reports.json import JsonlReport, JsonReport

FORMATS: dict[str, type[Report]] = {"csv": CsvReport, "json": JsonReport, "jsonl": JsonlReport}


def report(out: str, stdout_format: str = "csv", hashed: bool = False) -> Report:
    """The report that ``out`` asks for, with a detached hash file beside it if ``hashed``.

    Raises:
        UsageError: an unknown suffix.
        OutputError: ``out`` is a device or pipe.
    """
    if out != STDOUT:
        output_files.check_no_device(Path(out))
    suffix = stdout_format if out == STDOUT else Path(out).suffix.lstrip(".").lower()
    if suffix not in FORMATS:
        known = ", ".join(f".{name}" for name in FORMATS)
        raise UsageError(
            f"unknown kind of report: {out}", f"End the name in one of {known}; '-' is standard output."
        )
    return FORMATS[suffix](out, hashed)


@contextmanager
def reserved(reports: Sequence[Report], overwrite: bool = False) -> Iterator[None]:
    """Keep the places of all reports from other scans while the block runs; see `Report.reserved`.

    Raises:
        OutputError: one can't be had.
    """
    with ExitStack() as stack:
        for one in reports:
            stack.enter_context(one.reserved(overwrite))
        yield


def write(reports: Sequence[Report], record: RunRecord) -> None:
    """Render all reports; each appears whole or not at all.

    Raises:
        OutputError: a report can't be written; the journal keeps the findings.
    """
    for one in reports:
        one.write(record)
