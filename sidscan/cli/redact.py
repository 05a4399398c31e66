"""``sidscan redact``."""

from __future__ import annotations

from pathlib import Path

import click

from sidscan.cli import checks, console, options
from sidscan.cli.help_sections import Command
from sidscan.cli.param_types import LocalPath, OutputPath
from sidscan.errors import ExitCode, UsageError

_FILE = LocalPath(dir_okay=False, path_type=Path)


@click.command("redact", cls=Command)
@click.argument("report", type=_FILE, metavar="REPORT")
@options.sectioned_option(
    "--out",
    section="Output",
    type=OutputPath(dir_okay=False, path_type=Path),
    required=True,
    metavar="NEW",
    help="The copy to write, of the same format; never REPORT itself.",
)
@options.sectioned_option("--overwrite", section="Output", is_flag=True, help="Replace NEW, whatever it is.")
@options.quiet()
def command(report: Path, out: Path, overwrite: bool, quiet: bool) -> ExitCode:
    """Copy a report without what may identify a person, a device or a place.

    REPORT is a report of `sidscan scan`. NEW is what the scan would have written with --private: without
    host, folder and command line, positions, serial numbers, names of people, comments, unique ids and maker
    notes. File names and URLs stay, because they name the rows. REPORT and the record of its run stay as
    they are.

    \b
    Examples:
      sidscan redact report.json --out public.json
      sidscan redact report.csv --out public.csv

    \b
    Exit codes:
      0  done                                2  not a report, or a damaged one
      7  NEW can't be written                130  interrupted
    """
    from sidscan import verify  # here: `--help` needs none of it
    from sidscan.reports.base import suffix_of
    from sidscan.reports.output_files import new_binary_file
    from sidscan.reports.private import WORDS

    _check_another_file(report, out)
    echo = console.reporter(quiet)
    with verify.open_report(report) as opened:
        if suffix_of(out.name) != opened.kind:
            raise UsageError(
                f"{report} is a {opened.kind} report, and {out} is not named like one",
                f"End the name in .{opened.kind}.",
            )
        with new_binary_file(out, overwrite) as file:
            unknown = opened.redact(file)
        echo(f"report: {out}, {console.plural(opened.rows, 'row')}")
    if unknown:
        columns = console.plural(len(unknown), "column")
        console.echo(
            f"{columns} that a scan does not write {'is' if len(unknown) == 1 else 'are'} empty: "
            f"{', '.join(unknown)}"
        )
    echo(WORDS)
    return ExitCode.DONE


def _check_another_file(report: Path, out: Path) -> None:
    """Refuse to write over what is read, by whatever name.

    Raises:
        UsageError: both names are of one file.
    """
    checks.check_distinct((out,), (report,))
    if out.exists() and report.exists() and out.samefile(report):
        raise UsageError(f"{report} is both read and written", "Choose another file to write.")
