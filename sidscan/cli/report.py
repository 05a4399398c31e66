"""``sidscan report``."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from itertools import islice
from pathlib import Path
from typing import Any

import click

from sidscan import reports
from sidscan.cli import checks, console, options
from sidscan.cli.help_sections import Command
from sidscan.cli.marks_text import marks_lines
from sidscan.cli.ranking import Ranked, Ranking, print_table
from sidscan.cli.record_names import record_path
from sidscan.cli.report_options import ReportOptions, report_files
from sidscan.cli.sample_text import sample_lines
from sidscan.cli.selection import Shown, selection
from sidscan.cli.summary import counts_line
from sidscan.errors import ExitCode
from sidscan.journal.reading import StoredRecord
from sidscan.records import RunRecord, num_rows
from sidscan.reports import ReportOutput
from sidscan.reports.private import WORDS
from sidscan.review.annotated import annotated
from sidscan.review.joined_marks import joined, load_marks, marks_paths
from sidscan.review.private_record import PrivateRecord
from sidscan.util.terminal import Echo

_TABLE_ROWS = 10  # on a terminal


@click.command("report", cls=Command)
@click.argument("named", type=click.Path(path_type=Path, readable=False), metavar="RECORD")
@report_files()
@selection()
@options.sectioned_option(
    "--private",
    section="Output",
    is_flag=True,
    help="Leave out of these reports what may identify a person, a device or a place: host, command line, "
    "folder, positions, serial numbers, names, comments, ids, maker notes. The record keeps it.",
)
@options.quiet()
def command(
    named: Path,
    private: bool,
    quiet: bool,
    **choices: Any,
) -> ExitCode:
    """Write reports again from the record of a scan.

    RECORD is the file that a scan keeps beside its first report (report.csv.journal), or that report's name.
    No image is read and no model is loaded. The record stays as it is; it only notes what was written, so
    that the next scan may replace it.

    \b
    Examples:
      sidscan report report.csv --out report.html
      sidscan report report.csv.journal --format jsonl
      sidscan report report.csv --only 'evidence>=moderate' --sort evidence --out first.xlsx
      sidscan report report.csv --top 20 --columns path,score,evidence --format csv
      sidscan report report.csv --private --out public.json

    \b
    Exit codes:
      0  done                                2  wrong usage, or not a record
      7  a report can't be written           130  interrupted
    """
    asked, shown = ReportOptions.pop_from(choices), Shown.pop_from(choices)
    writers = asked.writers(shown.columns)
    path = record_path(named)
    if not asked.to_terminal or shown.columns:
        shown.check_outputs(writers)
    files = tuple(file for writer in writers for file in writer.files)
    checks.check_distinct((*files, *checks.journal_files(path)), ())
    echo = console.reporter(quiet)
    with closing(StoredRecord(path)) as stored, reports.reserve_all(writers, stored.output_digests):
        named_files = (Path(writer.out) for writer in writers if writer.written)
        beside = marks_paths((*named_files, *stored.output_paths()))
        marks = load_marks(beside)
        record = annotated(stored, marks)
        _write(PrivateRecord(record) if private else record, stored, shown, writers, echo)
        for line in marks_lines(joined(stored, marks), beside) if marks else ():
            echo(line)
        if files and not stored.writable:
            console.echo(f"warning: {path} can't be written, so no scan will know these reports as its own")
    return ExitCode.DONE


def _write(
    record: RunRecord, stored: StoredRecord, shown: Shown, writers: Sequence[ReportOutput], echo: Echo
) -> None:
    """Write the reports, or a table for a terminal; say what they are made of."""
    header, counts = record.header(), record.counts()
    shown.check(header)
    record = shown.of(record)
    for writer in writers:
        writer.check_size(num_rows(record))
    if header.private:
        echo(WORDS)
    if not writers:
        _show_table(record, shown)
    reports.write_all(writers, record)
    echo(counts_line(counts))
    for line in sample_lines(stored):
        echo(line)
    if selected := record.selection():
        echo(f"reports show {selected}")
    console.echo_written(writers, echo)


def _show_table(record: RunRecord, shown: Shown) -> None:
    """The strongest evidence of what is chosen; with --sort, the first rows as it orders them."""
    rows = shown.choice.top or _TABLE_ROWS
    if shown.choice.sort:
        print_table(
            [Ranked(best, result) for result in islice(record.results(), rows) if (best := result.strongest)]
        )
        return
    ranking = Ranking(rows)
    for result in record.results():
        ranking.add(result)
    print_table(ranking.highest())
