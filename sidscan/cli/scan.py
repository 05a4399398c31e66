"""``sidscan scan``."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from sidscan import reports
from sidscan.cli import checks, closer_look, console, options, settings
from sidscan.cli.console import plural
from sidscan.cli.kept_results import with_record
from sidscan.cli.marks_text import marks_lines
from sidscan.cli.ranking import highest_lines, print_table
from sidscan.cli.report_options import ReportOptions, report_files
from sidscan.cli.selection import Shown, selection
from sidscan.cli.shard_options import ShardOptions, shards
from sidscan.cli.sharded_scan import scan_in_shards
from sidscan.cli.summary import Summary
from sidscan.config import ScanConfig
from sidscan.errors import ExitCode, NothingToScan, OutputError, SidscanError
from sidscan.journal import recorded_outputs
from sidscan.records import Counts, ScanResult
from sidscan.reports import ReportOutput, StreamedReport
from sidscan.review.annotated import AnnotatedRecord
from sidscan.review.copies import find_copies
from sidscan.review.difference_text import rescan_lines
from sidscan.review.joined_marks import joined, load_marks, marks_paths
from sidscan.review.marks import Marks
from sidscan.review.rescan import rescanned
from sidscan.util.files import can_lock, real_path
from sidscan.util.terminal import Echo

if TYPE_CHECKING:
    from sidscan.pipeline import Scan

_HIGHEST = 5  # images named in the closing lines
_TABLE_ROWS = 10  # of the table on a terminal


@click.command("scan", cls=settings.ConfigurableCommand)
@options.inputs()
@options.part()
@options.model()
@options.calibration()
@report_files()
@options.output()
@selection()
@shards()
@options.fetching()
@options.limits()
@options.isolation()
@settings.options_file()
def command(
    quiet: bool,
    journal: Path | None,
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
      sidscan scan ./images --run RUN --plan | xargs -r -n 1 -P 4 sidscan scan --run RUN --shard

    Every option can also come from the environment (SIDSCAN_MAX_BYTES=10MB) or from the file sidscan.toml in
    the current folder (max-bytes = "10MB"). The command line goes first, then the environment, then the file.

    \b
    Exit codes:
      0  done                             5  nothing to scan
      2  wrong usage                      6  device or precision not available
      3  done; some inputs unreadable     7  a report can't be written
      4  model unknown, missing, altered    9  stopped by --budget or --until; run again to go on
                                          130  interrupted; run again to continue
    """
    sharded = ShardOptions.pop_from(choices)
    asked, shown = ReportOptions.pop_from(choices), Shown.pop_from(choices)
    default = () if sharded.run else (reports.STDOUT,)
    writers = asked.writers(shown.columns, shown.choice.streams, default)
    shown.check_outputs(writers)
    if sharded.run:
        return scan_in_shards(sharded, writers, shown, {**choices, "journal": journal}, quiet)
    config = _config(writers, journal, choices)
    checks.check_named(config)
    files = [file for writer in writers for file in writer.written]
    recorded = recorded_outputs(config.journal, files, config.fresh).__getitem__
    echo = console.reporter(quiet)
    _warn_without_locks(files)
    with reports.reserve_all(writers, recorded), with_record(config, echo) as config:
        return _scan(config, writers, shown, asked.with_images, echo, quiet)


def _config(writers: list[ReportOutput], journal: Path | None, choices: dict[str, Any]) -> ScanConfig:
    """The configuration of this command; its record lies beside the first report in a file."""
    named = [writer.out for writer in writers if writer.out != reports.STDOUT]
    journal = journal or (Path(f"{named[0]}.journal") if named else None)
    written = tuple(file for writer in writers for file in writer.files) + checks.journal_files(journal)
    checks.check_distinct(written, (*choices["inputs"], *choices["lists"], *choices["calibrations"]))
    checks.check_crops(choices["effort"], choices["crops"])
    thumbnails = any(writer.shows_thumbnails for writer in writers)
    choices["find_copies"] |= thumbnails
    return ScanConfig(
        thumbnails=thumbnails,
        in_order=any(isinstance(writer, StreamedReport) for writer in writers),
        journal=journal,
        outputs=(*written, *marks_paths(map(Path, named))),
        command=("sidscan", *sys.argv[1:]),
        origins=settings.origins(click.get_current_context()),
        **choices,
    )


def _scan(
    config: ScanConfig, writers: list[ReportOutput], shown: Shown, with_images: bool, echo: Echo, quiet: bool
) -> ExitCode:
    """Run the scan and write its reports; without any, show a table of the strongest evidence."""
    with closing((run := console.open_run(config, quiet, stream=True)).journal):
        with _interruption_noted(run):
            named = (Path(writer.out) for writer in writers if writer.written)
            beside = marks_paths((*named, *run.journal.output_paths()))
            marks = load_marks(beside)
            shown.check(run.journal.header())
            _check_sizes(writers, shown.choice.least_rows(run.total))
            if config.origins:
                echo(settings.origins_line(config.origins))
            console.announce(run, echo)
            console.complete_kept(run, quiet)
            if not _make_results(run, writers, marks, shown, quiet):
                return ExitCode.INTERRUPTED
            copies = find_copies(run.journal.possible_copies())
            looks = closer_look.look_at_strongest(run, copies, with_images, quiet)
            marks = load_marks(beside)  # again: people go on while a long scan runs
            record = AnnotatedRecord(run.journal, marks, copies)
            chosen = shown.of(record)
            reports.write_all(writers, chosen)
        if not writers:
            _show_table(run, record, echo)
        elif not quiet:
            summary = Summary(run, record, _HIGHEST)
            for line in (*summary.lines(), *highest_lines(summary.ranking.highest())):
                echo(line)
            for line in marks_lines(joined(run.journal, marks), beside) if marks else ():
                echo(line)
        if not quiet:
            _echo_changes(run, marks, beside, echo)
        if selected := chosen.selection():
            echo(f"reports show {selected}")
        pages = [writer.out for writer in writers if writer.out.lower().endswith(".html")]
        for line in closer_look.closing_lines(run, looks, " and ".join(pages)):
            echo(line)
        console.echo_written(writers, echo)
        return ExitCode.STOPPED if run.stopped else _exit_code(run.counts(), config.allow_empty)


@contextmanager
def _interruption_noted(run: Scan) -> Iterator[None]:
    """Say how far a scan came that ends before its reports: by Ctrl-C, or since the listing failed."""
    try:
        yield
    except (KeyboardInterrupt, SidscanError) as error:
        listing_failed = run.listing is not None and run.listing.has_failed
        if listing_failed or isinstance(error, KeyboardInterrupt):
            console.record_interruption(run, missing="neither --out FILE nor --journal FILE")
        raise


def _check_sizes(writers: list[ReportOutput], rows: int) -> None:
    """Refuse reports of more rows than they hold; warn of pages that would be too large."""
    for writer in writers:
        writer.check_size(rows)
        if refusal := writer.format.refusal(rows):
            console.echo(f"warning: {writer.location()} will not be written: {refusal}")


def _echo_changes(run: Scan, marks: Marks, beside: Sequence[Path], echo: Echo) -> None:
    """Say what changed since the last complete run of the same record, if there was one."""
    try:
        with rescanned(run.journal, marks, beside) as rescan:
            for line in rescan_lines(rescan) if rescan else ():
                echo(line)
    except OutputError as error:  # the reports are written
        echo(f"what changed since the scan before is not known: {error.message}")


def _warn_without_locks(files: list[Path]) -> None:
    """Say where nothing keeps two scans from writing one report at the same time."""
    for folder in dict.fromkeys(real_path(file).parent for file in files):
        if not can_lock(folder):
            console.echo(f"warning: {folder} can't lock files; run one scan at a time that writes there")


def _make_results(run: Scan, writers: list[ReportOutput], marks: Marks, shown: Shown, quiet: bool) -> bool:
    """Run the scan to its end; False if nobody reads its only report any more, as after ``| head``."""
    stream = next((writer for writer in writers if isinstance(writer, StreamedReport)), None)

    def check_sizes() -> None:
        _check_sizes(writers, shown.choice.least_rows(run.total))

    if stream is None:
        console.consume(run, quiet, when_listed=check_sizes)
        return True
    only_report = len(writers) == 1
    record = AnnotatedRecord(run.journal, marks, copies={})  # copies show only at the end
    stream.begin(record, shown.choice.test(record.header()))

    def show(result: ScanResult) -> bool:
        return stream.add(record.annotated(result)) or not only_report

    if not (stream.closed and only_report):
        console.consume(run, quiet, show, check_sizes)
    if stream.closed and only_report:
        if run.is_listing or run.journal.num_pending():
            run.end("interrupted")
        return False
    return True


def _show_table(run: Scan, record: AnnotatedRecord, echo: Echo) -> None:
    """The closing lines, and on standard output a table of the images with the strongest evidence."""
    summary = Summary(run, record, _TABLE_ROWS)
    for line in summary.lines():
        echo(line)
    ranked, scored = summary.ranking.highest(), run.counts().scored
    if not ranked:
        return
    echo("")
    echo(f"the strongest evidence, {sum(entry.copies for entry in ranked)} of {plural(scored, 'image')}:")
    print_table(ranked)
    again = "" if run.config.journal is None else "; no image is scored again"
    echo(f"for all rows and columns, add --out report.csv to this command{again}")


def _exit_code(counts: Counts, allow_empty: bool) -> ExitCode:
    if counts.scored + counts.failed == 0 and not allow_empty:
        raise NothingToScan(
            "no image was found", "Check the paths and lists; hidden files and folders need --hidden."
        )
    return ExitCode.DONE_WITH_FAILURES if counts.failed else ExitCode.DONE
