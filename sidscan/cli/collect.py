"""``sidscan collect``."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from sidscan import reports
from sidscan.cli import checks, console, options
from sidscan.cli.collecting import collect
from sidscan.cli.help_sections import Command
from sidscan.cli.param_types import LocalPath, RunPlaceType
from sidscan.cli.report_options import ReportOptions, report_files
from sidscan.cli.selection import Shown, selection
from sidscan.errors import ExitCode

if TYPE_CHECKING:
    from sidscan.distributed.place import RunPlace


@click.command("collect", cls=Command)
@click.argument("run_folder", type=RunPlaceType(path_type=Path), metavar="RUN")
@report_files()
@selection()
@options.sectioned_option(
    "--parquet-folder",
    section="Output",
    type=LocalPath(file_okay=False, path_type=Path),
    metavar="FOLDER",
    help="Write a .parquet file for each shard into FOLDER, too, and SHA256SUMS: all rows, whatever --only "
    "says. It needs one package more: pip install pyarrow.",
)
@options.sectioned_option(
    "--partial",
    section="Output",
    is_flag=True,
    help="Accept that shards have no results, and write reports of the others; exit code 9 says so.",
)
@options.sectioned_option(
    "--private",
    section="Output",
    is_flag=True,
    help="Leave out of these reports what may identify a person, a device or a place: host, command line, "
    "folder, positions, serial numbers, names, comments, ids, maker notes. The run keeps it.",
)
@options.quiet()
def command(
    run_folder: RunPlace,
    parquet_folder: Path | None,
    partial: bool,
    private: bool,
    quiet: bool,
    **choices: Any,
) -> ExitCode:
    """Write reports of a run of shards.

    RUN is what `sidscan scan --run` made: a folder, or s3://BUCKET/PREFIX. The results of each shard are
    checked against the plan: every input has one row, in the order of the inputs, and all are computed in the
    same way. No image is read and no model is loaded.

    \b
    Examples:
      sidscan collect RUN --out report.csv
      sidscan collect RUN --only 'evidence>=moderate' --sort evidence --out first.xlsx
      sidscan collect RUN --partial --format jsonl
      sidscan collect RUN --parquet-folder rows

    \b
    Exit codes:
      0  done                              7  a report can't be written, or results are not accepted
      2  wrong usage, or not a run         9  shards have no results; scan them to go on
      3  done; some inputs unreadable      130  interrupted
      5  nothing was to be scanned
    """
    from sidscan.distributed.ledger import Ledger  # here: `--help` needs none of it
    from sidscan.distributed.run_folder import RunFolder

    asked, shown = ReportOptions.pop_from(choices), Shown.pop_from(choices)
    to_stdout = parquet_folder is None or asked.stdout_format is not None
    writers = asked.writers(shown.columns, default=(reports.STDOUT,) if to_stdout else ())
    shown.check_outputs(writers)
    checks.check_distinct(tuple(file for writer in writers for file in writer.files), ())
    run = RunFolder(run_folder)
    plan = run.current_plan()
    with closing(Ledger(run, plan)) as ledger, reports.reserve_all(writers, ledger.output_digests):
        ledger.accept_published()
        return collect(
            run,
            plan,
            ledger,
            writers,
            shown,
            console.reporter(quiet),
            partial=partial,
            private=private,
            parquet_folder=parquet_folder,
            overwrite=asked.overwrite,
        )
