"""``sidscan diff``."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

import click

from sidscan.cli import checks, console, options
from sidscan.cli.help_sections import Command
from sidscan.cli.param_types import LocalPath, Number, OutputPath, WholeNumber
from sidscan.errors import ExitCode, UsageError
from sidscan.util.files import real_path
from sidscan.util.progress import Bar, progress

if TYPE_CHECKING:
    from sidscan.reports.stated import StatedResult
    from sidscan.review.compared_runs import ComparedRun
    from sidscan.review.comparison import Comparison

    Differences = tuple[ComparedRun, ComparedRun, Comparison]

_FILE = LocalPath(dir_okay=False, path_type=Path)
_LAYOUT = "comparing: {n_fmt} rows read"
_FORMATS = ("csv", "json", "html")


@click.command("diff", cls=Command)
@click.argument("old", type=_FILE, metavar="OLD")
@click.argument("new", type=_FILE, metavar="NEW")
@options.sectioned_option(
    "--tolerance",
    section="Scores",
    type=Number(0, 1),
    default=1e-4,
    show_default=True,
    metavar="NUMBER",
    help="Scores that differ by no more are only counted: other devices and threads change the last digits.",
)
@options.sectioned_option(
    "--out",
    section="Output",
    type=OutputPath(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Write the differences to FILE (.csv, .json or .html), instead of a text to standard output.",
)
@options.sectioned_option(
    "--format",
    "stdout_format",
    section="Output",
    type=click.Choice(("text", *_FORMATS)),
    default="text",
    show_default=True,
    help="Format on standard output.",
)
@options.sectioned_option(
    "--top",
    section="Output",
    type=WholeNumber(0, None),
    default=20,
    show_default=True,
    metavar="N",
    help="Inputs that the text lists of each kind of change; 0 lists all. CSV and JSON have all.",
)
@options.sectioned_option(
    "--all", "everything", section="Output", is_flag=True, help="List inputs that did not change, too."
)
@options.sectioned_option("--overwrite", section="Output", is_flag=True, help="Replace FILE, whatever it is.")
@options.sectioned_option(
    "--exit-code", section="Output", is_flag=True, help="End with exit code 8 if there are differences."
)
@options.sectioned_option(
    "--private",
    section="Output",
    is_flag=True,
    help="Leave out who marked images and their notes, queries of URLs in messages, and the folders of OLD "
    "and NEW.",
)
@options.quiet()
def command(
    old: Path,
    new: Path,
    tolerance: float,
    out: Path | None,
    stdout_format: str,
    top: int,
    everything: bool,
    overwrite: bool,
    exit_code: bool,
    private: bool,
    quiet: bool,
) -> ExitCode:
    """Say what changed between two scans.

    OLD and NEW are reports of `sidscan scan` in any format but .xlsx, or records (report.csv.journal); those
    of earlier versions, too. Listed are inputs that are new, gone or moved, that have other bytes, another
    status, score, evidence or mark, and what may explain another score. Nothing is scored or read again, and
    both files stay as they are.

    \b
    Examples:
      sidscan diff last_week.csv report.csv
      sidscan diff last_week.csv report.csv -o changes.html
      sidscan diff report.csv.journal.bak report.csv.journal --format json
      sidscan diff last_week.csv report.csv --private --out public.html

    \b
    Exit codes:
      0  done                                8  with --exit-code: there are differences
      2  not a report or record, or damaged  130  interrupted
      7  FILE or the text can't be written, or a scan uses the record
    """
    from sidscan.reports.output_files import new_file, printing
    from sidscan.review.difference_text import count_lines

    suffix = _suffix(out, stdout_format)
    checks.check_distinct((out,) if out else (), (old, new))
    if real_path(old) == real_path(new):
        raise UsageError("OLD and NEW are the same file", "Keep a copy of a report before you scan again.")
    with _compared(old, new, tolerance, private, quiet) as differences:
        if out is not None:
            with new_file(out, overwrite) as file:
                _write(suffix, differences, everything, file)
        else:
            with suppress(BrokenPipeError), printing() as stream:  # as after `| head`
                if suffix == "text":
                    _print_text(differences, everything, top, stream)
                else:
                    _write(suffix, differences, everything, stream)
        if out is not None:
            echo = console.reporter(quiet)
            for line in count_lines(*differences):
                echo(line)
            echo(f"differences: {out}")
        differs = differences[2].differs
    return ExitCode.EVIDENCE_CHANGED if exit_code and differs else ExitCode.DONE


def _suffix(out: Path | None, stdout_format: str) -> str:
    """The format of the differences.

    Raises:
        UsageError: the file's name has no known suffix, or --format would have no effect.
    """
    if out is None:
        return stdout_format
    if stdout_format != "text":
        raise UsageError(
            "--format is for standard output",
            "The suffix of FILE chooses a file's format, e.g. --out changes.json.",
        )
    suffix = out.suffix.lstrip(".").lower()
    if suffix not in _FORMATS:
        raise UsageError(f"differences can't be written as {out}", "End the name in .csv, .json or .html.")
    return suffix


@contextmanager
def _compared(old: Path, new: Path, tolerance: float, private: bool, quiet: bool) -> Iterator[Differences]:
    """Both runs and their differences; shows how many rows were read."""
    from sidscan.review.compared_runs import open_compared
    from sidscan.review.comparison import compared

    with ExitStack() as stack:
        before = stack.enter_context(open_compared(old, as_it_was=True, private=private))
        after = stack.enter_context(open_compared(new, private=private))
        with progress(None, "row", quiet=quiet, transient=True, layout=_LAYOUT) as bar:
            rows, new_rows = _counted(before, bar), _counted(after, bar)
            comparison = stack.enter_context(compared(rows, new_rows, tolerance))
        yield before, after, comparison


def _counted(rows: Iterable[StatedResult], bar: Bar) -> Iterator[StatedResult]:
    for row in rows:
        yield row
        bar.update()


def _write(suffix: str, differences: Differences, everything: bool, file: TextIO) -> None:
    """Write the differences in one of `_FORMATS`."""
    from sidscan.review import difference_files, difference_page
    from sidscan.review.differences import Change

    old, new, comparison = differences
    listed = comparison.differences(*(Change if everything else ()))
    if suffix == "csv":
        difference_files.write_csv(listed, file)
    elif suffix == "json":
        difference_files.write_json(old, new, comparison, listed, file)
    else:
        difference_page.write_page(old, new, comparison, everything, file)


def _print_text(differences: Differences, everything: bool, top: int, file: TextIO) -> None:
    from sidscan.review.difference_text import class_lines, count_lines, head_lines
    from sidscan.review.differences import Change

    comparison = differences[2]
    for line in (*head_lines(*differences), *count_lines(*differences)):
        file.write(f"{line}\n")
    for change in Change:
        if comparison.counts[change] and (change.differs or everything):
            file.write("\n")
            file.writelines(f"{line}\n" for line in class_lines(comparison, change, top or None))
