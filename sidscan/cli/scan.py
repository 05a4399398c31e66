"""``sidscan scan``."""

from __future__ import annotations

import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import click

from sidscan import reports
from sidscan.cli import console, options
from sidscan.cli.help_sections import Command
from sidscan.cli.ranking import highest_lines
from sidscan.cli.summary import Summary
from sidscan.config import ScanConfig
from sidscan.errors import ExitCode, NothingToScan, UsageError
from sidscan.journal import recorded_outputs
from sidscan.records import Counts

_HIGHEST = 5  # images named in the closing lines


@click.command("scan", cls=Command)
@options.inputs()
@options.model()
@options.calibration()
@options.output()
@options.fetching()
@options.limits()
@options.isolation()
def command(
    outs: tuple[str, ...],
    stdout_format: str,
    quiet: bool,
    journal: Path | None,
    overwrite: bool,
    hashed: bool,
    **choices: Any,
) -> ExitCode:
    """Score images and write reports.

    Each input gets one row: `scored`, `skipped` (not an image, a link, a special file), or the reason it has
    no score. Inputs are the files below a FOLDER, each FILE and each URL. Hidden files are ignored unless you
    pass --hidden. Nothing is sent anywhere, and nothing is fetched unless an input is a URL.

    \b
    Examples:
      sidscan scan ./images -o report.csv
      sidscan scan ./images -o report.csv -o report.json
      sidscan scan --list urls.txt -o report.jsonl
      find . -name '*.jpg' | sidscan scan --list - --format jsonl
      sidscan scan ./images -m rine-4class -m rine-ldm -o report.csv
      sidscan scan ./images -o report.csv -o report.json --hash-file --private

    \b
    Exit codes:
      0  done                             5  nothing to scan
      2  wrong usage                      6  device or precision not available
      3  done; some inputs unreadable     7  a report can't be written
      4  model unknown, missing, altered  130  interrupted; run again to continue
    """
    outs = outs or (reports.STDOUT,)
    _check_outputs(outs, stdout_format, hashed)
    writers = [reports.output_for(out, stdout_format, hashed, overwrite) for out in outs]
    named = [out for out in outs if out != reports.STDOUT]
    journal = journal or (Path(f"{named[0]}.journal") if named else None)
    written = tuple(file for writer in writers for file in writer.files) + console.journal_files(journal)
    console.check_distinct(written, (*choices["inputs"], *choices["lists"], *choices["calibrations"]))
    config = ScanConfig(journal=journal, exclude=written, command=("sidscan", *sys.argv[1:]), **choices)
    console.check_named(config)
    files = [file for writer in writers for file in writer.written]
    recorded = recorded_outputs(journal, files, config.fresh).__getitem__
    from sidscan.pipeline import open_scan  # here: it loads torch, which takes seconds

    echo = console.reporter(quiet)
    with reports.reserve_all(writers, recorded), closing((run := open_scan(config)).journal):
        try:
            console.announce(run, echo)
            console.consume(run, run.counts(), quiet)
            reports.write_all(writers, run.journal)
        except KeyboardInterrupt:
            console.record_interruption(run, missing="neither --out FILE nor --journal FILE")
            raise
        if not quiet:
            summary = Summary(run, _HIGHEST)
            for line in (*summary.lines(), *highest_lines(summary.ranking.highest())):
                echo(line)
        for writer in writers:
            echo(f"report: {writer.location()}")
        return _exit_code(run.counts())


def _check_outputs(outs: tuple[str, ...], stdout_format: str, hashed: bool) -> None:
    """Refuse options of reports that would have no effect.

    Raises:
        UsageError: one would.
    """
    to_stdout = outs.count(reports.STDOUT)
    if hashed and to_stdout == len(outs):
        raise UsageError("--hash-file needs a report in a file", "Name one with --out FILE.")
    if stdout_format != "csv" and not to_stdout:
        raise UsageError(
            "--format is for standard output",
            "The suffix of FILE chooses a file's format, e.g. --out r.json.",
        )
    if to_stdout > 1:
        raise UsageError("standard output takes one report", "Give --out - once.")


def _exit_code(counts: Counts) -> ExitCode:
    if counts.scored + counts.failed == 0:
        raise NothingToScan(
            "no image was found", "Check the paths and lists; hidden files and folders need --hidden."
        )
    return ExitCode.DONE_WITH_FAILURES if counts.failed else ExitCode.DONE
