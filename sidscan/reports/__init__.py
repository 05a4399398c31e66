"""Reports: renderings of a run's journal. The file suffix chooses the format; ``-`` is standard output."""

from __future__ import annotations

import os
import pkgutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from importlib import import_module
from pathlib import Path

from sidscan.errors import OutputError, UsageError
from sidscan.records import RunRecord
from sidscan.reports import xlsx
from sidscan.reports.base import (
    BINARY_FORMATS,
    DEFAULT_OPTIONS,
    REPORT_FORMATS,
    FormatOptions,
    listed_suffixes,
    suffix_of,
)
from sidscan.reports.csv import CSV_DIALECTS
from sidscan.reports.output_files import STDOUT, ReportOutput, check_no_device
from sidscan.reports.own_bytes import Recorded, nothing_recorded
from sidscan.reports.streaming import StreamedReport

__all__ = [
    "BINARY_FORMATS",
    "CSV_DIALECTS",
    "REPORT_FORMATS",
    "STDOUT",
    "FormatOptions",
    "ReportOutput",
    "StreamedReport",
    "listed_suffixes",
    "output_for",
    "reserve_all",
    "write_all",
]

for _module in pkgutil.iter_modules(__path__):  # a module of a format registers itself when it is loaded
    import_module(f"{__name__}.{_module.name}")


def output_for(
    out: str,
    stdout_format: str = "csv",
    hashed: bool = False,
    overwrite: bool = False,
    options: FormatOptions = DEFAULT_OPTIONS,
    stream: bool = True,
) -> ReportOutput:
    """The output that ``--out`` names.

    Args:
        out: path of a file, or ``-`` for standard output.
        stdout_format: suffix of the format for standard output, e.g. ``csv``.
        hashed: write a detached hash file beside the report.
        overwrite: replace whatever is there.
        options: of the formats.
        stream: let standard output get each row while the scan runs, where the format has such rows.

    Raises:
        UsageError: the suffix is unknown.
        OutputError: ``out`` is a device or pipe.
    """
    if out != STDOUT:
        check_no_device(Path(out))
    suffix = stdout_format if out == STDOUT else suffix_of(out)
    if out == STDOUT and suffix in (*BINARY_FORMATS, xlsx.SUFFIX):
        raise UsageError(
            f"a .{suffix} report is not text, so it can't go to standard output",
            f"Write it to a file: --out report.{suffix}.",
        )
    if suffix == xlsx.SUFFIX:
        return xlsx.XlsxOutput(out, hashed, overwrite, options)
    if out != STDOUT and os.path.isdir(out):  # noqa: PTH112  (Path.is_dir raises on impossible names)
        raise OutputError(f"{out} is a folder", "Give --out the name of a file.")
    if suffix in BINARY_FORMATS:
        return ReportOutput(out, BINARY_FORMATS[suffix].configured(options), hashed, overwrite)
    if suffix not in REPORT_FORMATS:
        raise UsageError(
            f"unknown kind of report: {out}",
            f"End the name in {listed_suffixes()}, or in .xlsx; '-' is standard output.",
        )
    report_format = REPORT_FORMATS[suffix].configured(options)
    kind = StreamedReport if out == STDOUT and stream and report_format.streams else ReportOutput
    return kind(out, report_format, hashed, overwrite)


@contextmanager
def reserve_all(outputs: Sequence[ReportOutput], recorded: Recorded = nothing_recorded) -> Iterator[None]:
    """Keep other scans from all these outputs while the block runs; see `ReportOutput.reserve`.

    Raises:
        OutputError: one of them is not available.
    """
    with ExitStack() as stack:
        for output in outputs:
            stack.enter_context(output.reserve(recorded))
        yield


def write_all(
    outputs: Sequence[ReportOutput],
    record: RunRecord,
    instead: Callable[[ReportOutput], RunRecord | None] = lambda _: None,
) -> None:
    """Render all reports; each file appears whole or not at all, whatever becomes of the others.

    Args:
        instead: what a report shows if not all of the record.

    Raises:
        OutputError: a report can't be written; the journal keeps the results. It names the others.
    """
    errors, written = list[OutputError](), list[str]()
    for output in outputs:
        try:
            output.write(instead(output) or record)
            written.append(output.location())
        except OutputError as error:
            errors.append(error)
    if errors:
        if written:
            errors[0].remedy += f" Written: {', '.join(written)}."
        raise errors[0]
