"""Reports of a run of shards: what `sidscan collect` and `sidscan scan --run` write, and say."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

from sidscan import reports
from sidscan.cli import console
from sidscan.cli.console import plural
from sidscan.cli.marks_text import marks_lines
from sidscan.cli.run_summary import RunSummary, strongest_lines
from sidscan.cli.selection import Shown
from sidscan.errors import ExitCode, NothingToScan, RunIncomplete
from sidscan.records import Counts, RunRecord, num_rows
from sidscan.reports import ReportOutput
from sidscan.reports.private import WORDS
from sidscan.review.annotated import AnnotatedRecord, annotated
from sidscan.review.joined_marks import joined, load_marks, marks_paths
from sidscan.review.private_record import PrivateRecord
from sidscan.review.selection import StrongestRecord
from sidscan.util.terminal import Echo

if TYPE_CHECKING:
    from sidscan.distributed.ledger import Ledger
    from sidscan.distributed.record import ShardedRecord
    from sidscan.distributed.run_folder import Plan, RunFolder

_NUMBERS = 20  # shards named in messages


def collect(
    run: RunFolder,
    plan: Plan,
    ledger: Ledger,
    writers: Sequence[ReportOutput],
    shown: Shown,
    echo: Echo,
    *,
    partial: bool,
    private: bool = False,
    parquet_folder: Path | None = None,
    overwrite: bool = False,
) -> ExitCode:
    """Write reports of all shards, and say what came of the run.

    Args:
        partial: accept that shards have no results.
        private: leave out of reports what may identify somebody, though the run keeps it.
        parquet_folder: where to write a file of Parquet for each shard, too.
        overwrite: whether that may replace files that sidscan did not write.

    Raises:
        RunIncomplete: some shards have no results.
    """
    from sidscan.distributed.record import ShardedRecord

    missing = ledger.missing()
    if missing and not partial:
        raise RunIncomplete(
            f"{_words(missing, plan, f' of {run.location}')} no results",
            f"Scan what is left: sidscan scan --run {run.location}; or write a report of the others with "
            "--partial.",
        )
    with closing(ShardedRecord(run, plan, ledger)) as sharded:
        beside = marks_paths((*(Path(w.out) for w in writers if w.written), *ledger.output_paths()))
        marks = load_marks(beside)
        whole = annotated(sharded, marks)
        record: RunRecord = PrivateRecord(whole) if private else whole
        left_out = _write_reports(record, writers, shown, echo)
        if parquet_folder is not None:
            _write_parquet(sharded, whole, parquet_folder, private=private, overwrite=overwrite)
        summary = RunSummary(sharded, whole, hashed=run.options["find_copies"])
        for line in (_model_line(record), *summary.lines(), *strongest_lines(record)):
            echo(line)
        for line in (*(marks_lines(joined(sharded, marks), beside) if marks else ()), *left_out):
            echo(line)
    _keep_sums(run, plan, ledger, echo)
    if missing:
        echo(f"{_words(missing, plan)} no results; their inputs have no row")
    _echo_written(run, writers, parquet_folder, echo)
    return ExitCode.STOPPED if missing else _exit_code(record.counts())


def _write_reports(
    record: RunRecord, writers: Sequence[ReportOutput], shown: Shown, echo: Echo
) -> Sequence[str]:
    """Write what was asked for; returns lines that say what the reports leave out."""
    header = record.header()
    if header.private:
        echo(WORDS)
    shown.check(header)
    chosen = shown.of(record)
    number = num_rows(chosen)  # all shards are read for that
    for writer in writers:
        writer.check_size(number)
    pages = {id(writer): _strongest(writer, chosen, number) for writer in writers}
    reports.write_all(writers, chosen, lambda writer: pages[id(writer)])
    selected = chosen.selection()
    return (
        *([f"reports show {selected}"] if selected else ()),
        *(
            f"the page shows {page.selection()}; of the others, it has the numbers"
            for page in filter(None, pages.values())
        ),
    )


def _model_line(record: RunRecord) -> str:
    header = record.header()
    models = ", ".join(model.name for model in header.models)
    return f"model: {models} ({header.model_choice}); {header.runtime}, {header.device}, {header.precision}"


def _keep_sums(run: RunFolder, plan: Plan, ledger: Ledger, echo: Echo) -> None:
    """Write the run's ``SHA256SUMS`` if all shards have results; say so where that can't be."""
    from sidscan.distributed.sums import sums_name, write_sums

    if not ledger.is_kept:
        echo(f"{run.location} can't be written, so these reports are not noted there")
        echo("  (to replace them later, add --overwrite)")
    elif not ledger.missing() and not write_sums(run, plan, ledger):
        there = f"{run.location}/{sums_name(run, plan)}"
        console.echo(f"warning: {there} was changed by somebody else; it is left alone")


def _strongest(writer: ReportOutput, chosen: RunRecord, number: int) -> RunRecord | None:
    """What a report shows of a run that has more rows than it may hold; None if it shows all."""
    most = writer.format.most_rows
    if most is None or number <= most or chosen.selection() is not None:
        return None
    return StrongestRecord(chosen, most)


def _echo_written(
    run: RunFolder, writers: Sequence[ReportOutput], parquet_folder: Path | None, echo: Echo
) -> None:
    console.echo_written(writers, echo)
    if parquet_folder is not None:
        echo(f"report: {parquet_folder}, a file for each shard, and their sha256")
    if any(writer.shows_thumbnails for writer in writers) and not run.options["thumbnails"]:
        echo("this run has no thumbnails: plan a run with --out report.html, so that its shards make them")
    if not writers and parquet_folder is None:
        echo(f"for reports: sidscan collect {run.location} --out report.csv")


def _write_parquet(
    sharded: ShardedRecord, whole: AnnotatedRecord, folder: Path, *, private: bool, overwrite: bool
) -> None:
    from sidscan.reports.parquet_folder import write_parquet_folder

    def shown(shard: RunRecord) -> RunRecord:
        record = whole.part(shard)
        return PrivateRecord(record) if private else record

    records = ((number, shown(record)) for number, record in sharded.shards())
    write_parquet_folder(records, folder, overwrite=overwrite)


def _words(missing: Sequence[int], plan: Plan, of_run: str = "") -> str:
    """The start of the sentence ``2 of 9 shards (3, 5) have no results``."""
    names = ", ".join(map(str, missing[:_NUMBERS]))
    more = f" and {len(missing) - _NUMBERS} more" if len(missing) > _NUMBERS else ""
    verb = "has" if len(missing) == 1 else "have"
    return f"{len(missing)} of {plural(len(plan.slices), 'shard')} ({names}{more}){of_run} {verb}"


def _exit_code(counts: Counts) -> ExitCode:
    if counts.scored + counts.failed == 0:
        raise NothingToScan(
            "no image was found", "Check the paths and lists; hidden files and folders need --hidden."
        )
    return ExitCode.DONE_WITH_FAILURES if counts.failed else ExitCode.DONE
