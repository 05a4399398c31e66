"""The options of reports, of every command that writes some, and the reports that they ask for."""

from __future__ import annotations

import sys
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, fields
from typing import Any

import click

from sidscan.cli import console
from sidscan.cli.options import Decorator, sectioned_option, stack
from sidscan.cli.param_types import OutputPath, StdoutFormat
from sidscan.errors import UsageError
from sidscan.reports import (
    CSV_DIALECTS,
    REPORT_FORMATS,
    STDOUT,
    FormatOptions,
    ReportOutput,
    listed_suffixes,
    output_for,
)
from sidscan.reports.base import JpegMaker


def report_files() -> Decorator:
    """Which reports are written, how, and over what."""
    return stack(_names(), _formats(), _files())


def _names() -> Decorator:
    return stack(
        sectioned_option(
            "--out",
            "outs",
            section="Output",
            multiple=True,
            type=OutputPath(stdout=True),
            metavar="FILE",
            show_default="-, or on a terminal a short table",
            help=f"Report to write: {listed_suffixes()}, or .xlsx; '-' is standard output. Repeatable.",
        ),
        sectioned_option(
            "--format",
            "stdout_format",
            section="Output",
            type=StdoutFormat(list(REPORT_FORMATS)),
            show_default="csv",
            help="Format of the report on standard output. A scan writes 'jsonl' row by row as it runs, "
            "unless it is sorted.",
        ),
    )


def _formats() -> Decorator:
    return stack(
        sectioned_option(
            "--csv-dialect",
            section="Output",
            type=click.Choice(list(CSV_DIALECTS)),
            metavar="DIALECT",
            default="standard",
            show_default=True,
            help="'excel' adds the byte order mark by which Excel knows UTF-8; 'excel-de' also has "
            "semicolons and decimal commas, as German and many other spreadsheets expect.",
        ),
        sectioned_option(
            "--html-thumbs",
            section="Output",
            type=click.Choice(["inline", "files", "none"]),
            show_default="inline up to 2000 rows, then files",
            help="Where small images of an HTML report go: into the page, into a folder beside it, or "
            "nowhere. Making them slows the scan of large JPEG files.",
        ),
        sectioned_option(
            "--html-rows",
            section="Output",
            type=click.IntRange(min=1),
            default=FormatOptions.html_rows,
            show_default=True,
            help="Most rows of an HTML report; with more it is not written, but the other reports are. "
            "Of a run of shards, it has that many rows, the strongest evidence first.",
        ),
        sectioned_option(
            "--xlsx-thumbnails",
            section="Output",
            is_flag=True,
            help="Show a small image in each row of an .xlsx report, of 5000 rows at most.",
        ),
    )


def _files() -> Decorator:
    return stack(
        sectioned_option(
            "--overwrite",
            section="Output",
            is_flag=True,
            help="Replace --out and its hash file whatever they hold. Without this, only what this run last "
            "wrote there is replaced.",
        ),
        sectioned_option(
            "--hash-file",
            "hashed",
            section="Output",
            is_flag=True,
            help="Write the sha256 of each report to a file beside it, e.g. report.csv.sha256, in the format "
            "of sha256sum.",
        ),
    )


@dataclass(frozen=True)
class ReportOptions:
    """What the options of `report_files` say."""

    outs: tuple[str, ...]
    stdout_format: str | None
    csv_dialect: str
    html_thumbs: str | None
    html_rows: int
    xlsx_thumbnails: bool
    overwrite: bool
    hashed: bool

    @classmethod
    def pop_from(cls, options: dict[str, Any]) -> ReportOptions:
        """The options of a command; they are removed."""
        return cls(**{field.name: options.pop(field.name) for field in fields(cls)})

    @property
    def none_named(self) -> bool:
        """Whether no report is asked for by name."""
        return not self.outs and self.stdout_format is None

    @property
    def to_terminal(self) -> bool:
        """Whether a person reads lines in the place of a report."""
        return self.none_named and console.is_terminal(sys.stdout)

    @property
    def with_images(self) -> bool:
        """Whether HTML shows images."""
        return self.html_thumbs != "none"

    def writers(
        self, columns: tuple[str, ...] = (), stream: bool = False, default: tuple[str, ...] = (STDOUT,)
    ) -> list[ReportOutput]:
        """The reports to write; none for a person who reads lines on a terminal.

        Args:
            columns, stream: as for `reports.output_for`.
            default: where they go if none is named.

        Raises:
            UsageError: an option would have no effect, or a format is unknown.
            OutputError: a name is that of a device, pipe or folder.
        """
        outs = self.outs or (() if self.to_terminal else default)
        _check_outputs(outs, self.stdout_format, self.hashed)
        formats = FormatOptions(
            self.csv_dialect, self.html_thumbs, self.html_rows, columns, _converter(self.xlsx_thumbnails)
        )
        suffix = self.stdout_format or "csv"
        return [output_for(out, suffix, self.hashed, self.overwrite, formats, stream) for out in outs]


def _converter(wanted: bool) -> Callable[[], AbstractContextManager[JpegMaker]] | None:
    """What makes JPEG of thumbnails for workbooks, if they are wanted."""
    if not wanted:
        return None
    from sidscan.isolation.thumbnails import jpeg_thumbnails  # here: --help shall not load numpy

    return jpeg_thumbnails


def _check_outputs(outs: tuple[str, ...], stdout_format: str | None, hashed: bool) -> None:
    """Refuse options of reports that would have no effect.

    Raises:
        UsageError: one would.
    """
    to_stdout = outs.count(STDOUT)
    if hashed and to_stdout == len(outs):  # or there is no report at all
        raise UsageError("--hash-file needs a report in a file", "Name one with --out FILE.")
    if stdout_format and not to_stdout:
        raise UsageError(
            "--format is for standard output",
            "The suffix of FILE chooses a file's format, e.g. --out r.json.",
        )
    if to_stdout > 1:
        raise UsageError("standard output takes one report", "Give --out - once.")
