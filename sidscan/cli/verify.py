"""``sidscan verify``."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from contextlib import AbstractContextManager, ExitStack, suppress
from pathlib import Path
from typing import TYPE_CHECKING

import click

from sidscan.cli import checks, console, options
from sidscan.cli.help_sections import Command
from sidscan.cli.param_types import LocalPath, OutputPath, RunPlaceType
from sidscan.config import check_bucket
from sidscan.errors import ExitCode, NothingToScan, OutputError, UsageError
from sidscan.reports.output_files import printing
from sidscan.util.object_urls import ObjectUrl
from sidscan.util.progress import progress
from sidscan.util.terminal import result_stream, safe_line

if TYPE_CHECKING:
    from sidscan.verify import CheckedRow, OpenReport, RowStatus

_REPORT = RunPlaceType(path_type=Path)
_FILE = LocalPath(dir_okay=False, path_type=Path)


@click.command("verify", cls=Command)
@click.argument("report", type=_REPORT, metavar="REPORT|RUN|FOLDER")
@options.sectioned_option(
    "--root",
    section="Input",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    metavar="FOLDER",
    show_default="the current folder",
    help="Folder that relative paths in REPORT start from.",
)
@options.sectioned_option(
    "--hash-file",
    section="Input",
    type=_FILE,
    metavar="FILE",
    show_default="REPORT.sha256, if it exists",
    help="File that states the sha256 of REPORT itself.",
)
@options.setting(
    "buckets",
    help="Read objects of this bucket again, e.g. s3://photos. Repeatable. Without it, nothing is fetched.",
)
@options.sectioned_option(
    "--out",
    section="Output",
    type=OutputPath(dir_okay=False, path_type=Path),
    metavar="FILE.csv",
    help="Write every row and its result to FILE.csv, instead of a list to standard output.",
)
@options.sectioned_option(
    "--overwrite", section="Output", is_flag=True, help="Replace FILE.csv, whatever it is."
)
@options.quiet()
@options.setting("workers", help="Threads that hash.")
def command(
    report: Path | ObjectUrl,
    root: Path | None,
    hash_file: Path | None,
    out: Path | None,
    overwrite: bool,
    workers: int | None,
    buckets: tuple[str, ...],
    quiet: bool,
) -> ExitCode:
    """Hash the files of a report again and list what changed.

    REPORT is a report of `sidscan scan`, in any of its formats. Every file for which it states a sha256 is
    hashed again; files that are changed, missing or unreadable now are listed on standard output. URLs are
    not fetched, nor are objects of s3://, gs:// and az:// unless you name their --bucket; devices and pipes
    are not opened, no model is loaded. The files of a run, and of a folder that `collect --parquet-folder`
    wrote, are compared with its SHA256SUMS first.

    \b
    Examples:
      sidscan verify report.csv
      sidscan verify report.json --root /media/copy -o verified.csv
      sidscan verify report.csv --bucket s3://photos
      sidscan verify report.csv --hash-file /media/usb/report.csv.sha256
      sidscan verify RUN
      sidscan verify s3://BUCKET/RUN

    \b
    Exit codes:
      0  every recorded file is unchanged    7  FILE.csv or the list can't be written
      2  not a report, or a damaged one      8  a file is changed, missing or unreadable
      5  no row has the sha256 of a file     130  interrupted
    """
    from sidscan import verify  # here: `--help` needs none of it

    for bucket in buckets:
        check_bucket(bucket)
    named_files = (*([report] if isinstance(report, Path) else []), *([hash_file] if hash_file else []))
    checks.check_distinct((out,) if out else (), named_files)
    is_run = not isinstance(report, Path) or report.is_dir()
    if is_run and hash_file:
        raise UsageError("--hash-file is of a single report", "Leave it out: a run has its own SHA256SUMS.")
    echo = console.reporter(quiet)
    named = str(report).rstrip("/")
    with _opened(report) as opened:
        echo(f"report: {named}, {opened.kind}, {console.plural(opened.rows, 'row')}")
        if is_run:
            if changed := getattr(opened, "changed", ()):
                return _list_changed(changed, opened.kind)
            echo(f"all files of {named} are what its {getattr(opened, 'sums', '')} says")
        matches = is_run or _check_report(opened, hash_file, quiet)
        counts = _check_rows(opened, root, workers, buckets, out, overwrite, quiet)
    echo(_summary(counts))
    alarming = sum(counts[status] for status in verify.ALARMING)
    read = counts[verify.RowStatus.UNCHANGED] + counts[verify.RowStatus.CHANGED]
    if alarming and not read and root is None:
        echo("relative paths were looked up from the current folder; --root names another folder")
    if alarming or not matches:
        return ExitCode.EVIDENCE_CHANGED
    if not counts[verify.RowStatus.UNCHANGED]:
        raise NothingToScan(
            "nothing could be verified: no row has the sha256 of a file",
            "Files that a scan could not read, and URLs, can't be compared; objects can with --bucket.",
        )
    return ExitCode.DONE


def _opened(report: Path | ObjectUrl) -> AbstractContextManager[OpenReport]:
    """A report, a run of shards, or a folder of its rows."""
    if not isinstance(report, Path) or report.is_dir():
        from sidscan.distributed.verification import open_folder  # here: it loads what scans

        return open_folder(report)
    from sidscan import verify

    return verify.open_report(report)


def _list_changed(files: Sequence[str], kind: str) -> ExitCode:
    """Say which files of a run or folder were changed; its rows can't be trusted then."""
    with suppress(BrokenPipeError), printing() as stream:
        stream.writelines(f"{line}\n" for line in files)
    whole = kind.partition(" ")[0]
    console.echo(f"{console.plural(len(files), 'file')} of the {whole} changed, missing or not recorded")
    return ExitCode.EVIDENCE_CHANGED


def _check_report(opened: OpenReport, hash_file: Path | None, quiet: bool) -> bool:
    """Whether the report has the sha256 that its hash file, if any, states; a mismatch is always printed."""
    from sidscan import verify

    recorded = verify.recorded_sha256(opened.path, hash_file)
    if recorded is None:
        return True
    path, sha256 = recorded
    if sha256 == opened.sha256:
        console.reporter(quiet)(f"hash file: {path} matches the report")
        return True
    console.echo(f"hash file: {path} does NOT match: the report was changed after it was hashed")
    return False


def _check_rows(
    opened: OpenReport,
    root: Path | None,
    workers: int | None,
    buckets: tuple[str, ...],
    out: Path | None,
    overwrite: bool,
    quiet: bool,
) -> Counter[RowStatus]:
    """Check all rows and count the results; they go to the table, or alarming ones to standard output."""
    from sidscan import verify

    counts: Counter[RowStatus] = Counter()
    with ExitStack() as stack:
        write_row = stack.enter_context(verify.csv_table(out, overwrite)) if out else None
        bar = stack.enter_context(progress(opened.rows, "file", quiet=quiet))
        for checked in opened.check(root, workers, buckets):
            counts[checked.status] += 1
            if write_row:
                write_row(checked)
            elif checked.status in verify.ALARMING:
                bar.clear()  # the line is written in its place
                _list(checked)
            bar.update()
    return counts


def _list(checked: CheckedRow) -> None:
    note = f" ({safe_line(checked.note)})" if checked.note else ""
    stream = result_stream()
    if stream is None:
        raise OutputError("standard output is closed", "Give --out FILE.csv.")
    try:
        stream.write(f"{checked.status.value}: {safe_line(checked.row.name)}{note}\n")
        stream.flush()
    except OSError as error:
        raise OutputError(
            f"can't write to standard output: {error.strerror}", "Give --out FILE.csv instead."
        ) from error


def _summary(counts: Counter[RowStatus]) -> str:
    """Counts in words: the parts add up to the whole."""
    from sidscan.verify import RowStatus

    parts = []
    for status in RowStatus:
        if status is RowStatus.URL:
            parts.append(f"{console.plural(counts[status], 'URL')} (not fetched again)")
        elif status is RowStatus.OBJECT:
            if counts[status]:
                parts.append(f"{console.plural(counts[status], 'object')} (not fetched; name their --bucket)")
        else:
            parts.append(f"{counts[status]} {status.value}")
    return f"{console.plural(counts.total(), 'row')} = {' + '.join(parts)}"
