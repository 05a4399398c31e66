"""``sidscan verify``."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterable
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import click

from sidscan.cli import console
from sidscan.errors import ExitCode, NothingToScan, OutputError
from sidscan.util.terminal import progress_stream, safe_line

if TYPE_CHECKING:
    from tqdm import tqdm

    from sidscan.verify import CheckedRow, OpenReport, RowStatus

_FILE = click.Path(dir_okay=False, path_type=Path)


@click.command("verify")
@click.argument("report", type=_FILE, metavar="REPORT")
@click.option(
    "--root",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    metavar="FOLDER",
    help="Folder that relative paths in REPORT start from. [default: the current folder]",
)
@click.option(
    "--hash-file",
    type=_FILE,
    metavar="FILE",
    help="The sha256 of REPORT itself. [default: REPORT.sha256, if it is there]",
)
@click.option(
    "--out", type=_FILE, metavar="FILE.csv", help="Write every row and what was found; list nothing."
)
@click.option("--overwrite", is_flag=True, help="Replace FILE.csv whatever it is.")
@click.option("--workers", type=click.IntRange(min=1), help="Threads that hash. [default: one per core]")
@click.option("--quiet", "-q", is_flag=True, help="On standard error only errors.")
def command(
    report: Path,
    root: Path | None,
    hash_file: Path | None,
    out: Path | None,
    overwrite: bool,
    workers: int | None,
    quiet: bool,
) -> ExitCode:
    """Hash the evidence of a report again, and say what changed.

    REPORT is a .csv, .json or .jsonl report as `sidscan scan` wrote it. Every file that it has a sha256 of is
    hashed anew; what is changed, missing or unreadable now is listed on standard output. URLs are not
    fetched, devices and pipes are not opened, no model is loaded.

    \b
    Examples:
      sidscan verify report.csv
      sidscan verify report.json --root /media/copy --out verified.csv
      sidscan verify report.csv --hash-file /media/usb/report.csv.sha256

    \b
    Exit codes:
      0  every recorded file is unchanged    7  FILE.csv or the list can't be written
      2  no report, or a damaged one         8  something is changed, missing or unreadable
      5  no row has the sha256 of a file     130  interrupted
    """
    from sidscan import verify  # here: `--help` needs none of it

    console.check_distinct((out,) if out else (), (report, *([hash_file] if hash_file else [])))
    say = console.reporter(quiet)
    with verify.open_report(report) as opened:
        say(f"report: {report}, {opened.kind}, {opened.rows} rows")
        whole = _check_report(opened, hash_file, quiet)
        counts = _tell(_with_bar(opened.check(root, workers), opened.rows, quiet), out, overwrite)
    say(verify.summary(counts))
    alarming = sum(counts[result] for result in verify.ALARMING)
    seen = counts[verify.RowStatus.UNCHANGED] + counts[verify.RowStatus.CHANGED]
    if alarming and not seen and root is None:
        say("relative paths were looked up from the current folder; --root names another one")
    if alarming or not whole:
        return ExitCode.EVIDENCE_CHANGED
    if not counts[verify.RowStatus.UNCHANGED]:
        raise NothingToScan(
            "nothing could be verified: no row has the sha256 of a file",
            "Files that a scan could not read, and URLs, can't be compared.",
        )
    return ExitCode.DONE


def _check_report(opened: OpenReport, hash_file: Path | None, quiet: bool) -> bool:
    """Whether the report itself is what its hash file, if any, states; that it is not is always said."""
    from sidscan import verify

    stated = verify.recorded_sha256(opened.path, hash_file)
    if stated is None:
        return True
    path, sha256 = stated
    if sha256 == opened.sha256:
        console.reporter(quiet)(f"hash file: {path} matches the report")
        return True
    console.echo(f"hash file: {path} does NOT match: the report was changed after it was hashed")
    return False


def _tell(checked: tqdm[CheckedRow], out: Path | None, overwrite: bool) -> Counter[RowStatus]:
    """Run it to its end, counting; all rows go to the table, or what needs a look to standard output."""
    from sidscan import verify

    counts: Counter[RowStatus] = Counter()
    with ExitStack() as stack:
        keep = stack.enter_context(verify.csv_table(out, overwrite)) if out else None
        for one in checked:
            counts[one.result] += 1
            if keep:
                keep(one)
            elif one.result in verify.ALARMING:
                checked.clear()  # the bar, from the line that is written next
                _list(one)
    return counts


def _list(one: CheckedRow) -> None:
    note = f" ({safe_line(one.note)})" if one.note else ""
    if sys.stdout is None:
        raise OutputError("standard output is closed", "Give --out FILE.csv.")
    try:
        sys.stdout.write(f"{one.result.value}: {safe_line(one.row.name)}{note}\n")
        sys.stdout.flush()
    except OSError as error:
        raise OutputError(
            f"can't write to standard output: {error.strerror}", "Give --out FILE.csv instead."
        ) from error


def _with_bar(checked: Iterable[CheckedRow], total: int, quiet: bool) -> tqdm[CheckedRow]:
    from tqdm import tqdm

    show = sys.stderr.isatty() and not quiet
    return tqdm(checked, total=total, disable=not show, unit="file", file=progress_stream())
