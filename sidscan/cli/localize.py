"""``sidscan localize``."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from sidscan import reports
from sidscan.cli import checks, console, data_options, localizing, options
from sidscan.cli.help_sections import Command
from sidscan.cli.kept_results import with_record
from sidscan.cli.param_types import OutputPath, WholeNumber
from sidscan.cli.record_names import names_record, record_path
from sidscan.cli.report_options import ReportOptions, report_files
from sidscan.config import ScanConfig
from sidscan.errors import ExitCode, NothingToScan, UsageError
from sidscan.journal import Journal, recorded_outputs
from sidscan.records import RunRecord, ScanResult
from sidscan.reports import ReportOutput
from sidscan.reports.private import WORDS
from sidscan.review.annotated import annotated
from sidscan.review.conditions import parse_condition
from sidscan.review.joined_marks import load_marks, marks_paths
from sidscan.review.private_record import PrivateRecord
from sidscan.review.selection import BY_EVIDENCE, Choice, SelectedRecord
from sidscan.util.terminal import Echo

if TYPE_CHECKING:
    from sidscan.localize.run import Localized
    from sidscan.runtimes import OpenLocalizer
    from sidscan.training.datasets.rows import Split

_WORDS = ("weak", "moderate", "strong", "very strong")
_MARKS = ("suspicious", "cleared", "later")
_OF_A_SCAN = ("hidden", "exclude", "models", "effort", "journal", "fresh", "retry_failed")
"""Parameters that say how images are found and scored; with a REPORT, that is done."""


@dataclass(frozen=True)
class _Asked:
    """What the command line asks for, besides how images are read.

    Attributes:
        choice: which images get a map.
        chosen_by: the options that say so.
    """

    model: str
    encoders: Sequence[Path]
    protocol: Any
    max_tiles: int | None
    out_dir: Path
    overwrite: bool
    choice: Choice
    chosen_by: str
    with_images: bool


@click.command("localize", cls=Command)
@click.argument("inputs", nargs=-1, metavar="[FOLDER|FILE|URL|REPORT]...")
@options.sectioned_option(
    "--min-evidence",
    section="Input",
    type=click.Choice(_WORDS),
    metavar="WORD",
    show_default="all images",
    help="Only images whose evidence is at least: weak, moderate, strong or 'very strong'.",
)
@options.sectioned_option(
    "--top",
    section="Input",
    type=WholeNumber(1),
    metavar="N",
    help="Only the N images of the strongest evidence.",
)
@options.sectioned_option(
    "--marked",
    section="Input",
    type=click.Choice(_MARKS),
    help="Only images that people marked so, beside the report that is named or written.",
)
@options.setting("lists")
@data_options.labelled_data(default_layout="none: all images of FOLDER", folder="FOLDER")
@data_options.part("test", "Part of the data set whose images get a map.")
@options.setting("buckets")
@options.setting("hidden")
@options.setting("archives")
@options.setting("exclude", multiple=True)
@options.sectioned_option(
    "--model",
    "localizer",
    section="Models",
    metavar="NAME|FILE",
    default=localizing.DEFAULT,
    show_default=True,
    help="Localizer: name, checkpoint, or exported graph; or patch-forensics, for a map of its patches.",
)
@localizing.reading()
@options.sectioned_option(
    "--detector",
    "models",
    section="Models",
    metavar="NAME|FILE",
    multiple=True,
    show_default="as in sidscan scan",
    help="Detector that scores whole images before; --min-evidence and --top go by its evidence. Repeatable.",
)
@options.setting("effort")
@localizing.encoders()
@options.setting("runtime")
@options.setting("device")
@options.setting("precision")
@options.setting("batch", show_default="what suits the device", help="Tiles, and crops, per pass.")
@options.setting("workers")
@options.sectioned_option(
    "--out-dir",
    section="Output",
    type=OutputPath(file_okay=False, path_type=Path),
    metavar="FOLDER",
    show_default="the first --out + _maps, else maps",
    help="Where each image's map, mask and overlay go, named by the sha256 of its bytes.",
)
@report_files()
@options.setting("journal")
@options.setting("fresh")
@options.setting("retry_failed")
@options.setting("private")
@options.quiet()
@options.fetching()
@options.limits()
@options.isolation()
def command(
    inputs: tuple[str, ...],
    min_evidence: str | None,
    top: int | None,
    marked: str | None,
    localizer: str,
    protocol: str,
    max_tiles: int | None,
    out_dir: Path | None,
    journal: Path | None,
    quiet: bool,
    manifest: Path | None,
    layout: str | None,
    sets: tuple[str, ...],
    part: Split,
    **choices: Any,
) -> ExitCode:
    """Show where in images a localizer points: regions to look at.

    A localizer gives each pixel a probability that it was made or changed by a generator. Each image gets a
    map (grey, 0 to 1, as large as the image), a mask of what lies above the threshold, and an overlay. Images
    are scored first, as `sidscan scan` does; with a REPORT or record of a scan, the maps join that record.

    A region is one to look at, not a verdict. Its absence proves nothing: a localizer sees partial
    edits of kinds that it was trained on. It does not detect images that are synthetic as a whole.

    Of a labelled data set (--manifest, or --layout with its folder), the images of one part get a map, real
    and synthetic ones. Masks are not read: `sidscan evaluate localization` compares maps with them.

    \b
    Examples:
      sidscan localize photo.jpg
      sidscan localize ./images --min-evidence moderate --out regions.html
      sidscan localize report.csv --top 20 --out regions.html --out-dir maps
      sidscan localize report.csv --marked suspicious --out regions.csv
      sidscan localize --manifest images.csv --sets web --out regions.html

    \b
    Exit codes:
      0  done                             5  no image to localize
      2  wrong usage                      6  device or precision not available
      3  done; some images without a map  7  a map or report can't be written
      4  model unknown, missing, altered  130  interrupted; run again to continue
    """
    of_reports = ReportOptions.pop_from(choices)
    writers = of_reports.writers()
    out_dir = out_dir or _beside(writers)
    from sidscan.localize.map_files import check_folder

    check_folder(out_dir)
    asked = _Asked(
        localizer,
        choices.pop("encoders"),
        protocol,
        max_tiles,
        out_dir,
        of_reports.overwrite,
        _choice(min_evidence, top, marked),
        _in_words(min_evidence, marked),
        of_reports.with_images,
    )
    data_set = data_options.DataSetChoice(manifest, layout, sets, part)
    echo = console.reporter(quiet)
    config = _config(inputs, data_set, writers, journal, out_dir, choices, echo)
    with _opened(config, asked, writers, echo, quiet) as (record, config, made_by):
        return _localize(record, config, made_by, asked, writers, of_reports.to_terminal, quiet)


def _beside(writers: Sequence[ReportOutput]) -> Path:
    """The folder of maps beside the first report in a file."""
    named = [Path(writer.out) for writer in writers if writer.written]
    return named[0].with_name(f"{named[0].stem}_maps") if named else Path("maps")


def _choice(min_evidence: str | None, top: int | None, marked: str | None) -> Choice:
    conditions = [
        *([f"evidence>={min_evidence}"] if min_evidence else []),
        *([f"mark={marked}"] if marked else []),
    ]
    return Choice(tuple(map(parse_condition, conditions)), BY_EVIDENCE, top)


def _in_words(min_evidence: str | None, marked: str | None) -> str:
    given = {"--min-evidence": min_evidence, "--marked": marked}
    return ", ".join(f"{option} {value}" for option, value in given.items() if value)


def _config(
    inputs: tuple[str, ...],
    data_set: data_options.DataSetChoice,
    writers: Sequence[ReportOutput],
    journal: Path | None,
    out_dir: Path,
    choices: dict[str, Any],
    echo: Echo,
) -> ScanConfig:
    """How images are listed, read and scored; the record lies beside the first report in a file."""
    named = [writer.out for writer in writers if writer.out != reports.STDOUT]
    journal = journal or (Path(f"{named[0]}.journal") if named else None)
    written = tuple(file for writer in writers for file in writer.files) + checks.journal_files(journal)
    data = [data_set.manifest] if data_set.manifest else []
    checks.check_distinct((*written, out_dir), (*inputs, *choices["lists"], *data))
    if data_set.is_made():
        folder, images = data_set.images(inputs, choices["lists"])
        inputs = data_options.names_of(images)
        echo(f"data: {console.plural(len(inputs), 'image')} of {folder}")
        checks.check_distinct((*written, out_dir), inputs)
    thumbnails = any(writer.shows_thumbnails for writer in writers)
    return ScanConfig(
        inputs=inputs,
        thumbnails=thumbnails,
        find_copies=thumbnails,
        journal=journal,
        outputs=(*written, out_dir, *marks_paths(map(Path, named))),
        command=("sidscan", *sys.argv[1:]),
        **choices,
    )


@contextmanager
def _opened(
    config: ScanConfig, asked: _Asked, writers: Sequence[ReportOutput], echo: Echo, quiet: bool
) -> Iterator[tuple[Journal, ScanConfig, OpenLocalizer]]:
    """The record of scanned images, how they are read, and the localizer; nobody else writes the outputs.

    Raises:
        UsageError: a record is named beside other inputs or options of a scan, or there are no inputs.
    """
    records = [name for name in config.inputs if names_record(name)]
    if records and (len(config.inputs) > 1 or config.lists):
        raise UsageError(
            f"{records[0]} is a report or a record, and other inputs are named beside it",
            "Name one report, or images and folders.",
        )
    files = [file for writer in writers for file in writer.written]
    if not records:
        checks.check_named(config)
        made_by = _open_localizer(asked, config, echo)
        recorded = recorded_outputs(config.journal, files, config.fresh).__getitem__
        with reports.reserve_all(writers, recorded), with_record(config, echo) as config:
            run = console.open_run(config, quiet)
            with closing(run.journal):
                console.announce(run, echo)
                try:
                    console.consume(run, quiet)
                except KeyboardInterrupt:
                    console.record_interruption(run, missing="no --out FILE")
                    raise
                yield run.journal, run.config, made_by
        return
    _refuse_options_of_a_scan(records[0])
    made_by = _open_localizer(asked, config, echo)
    path = record_path(Path(records[0]))
    with closing(Journal(path)) as journal, reports.reserve_all(writers, journal.output_digests):
        yield journal, replace(config, journal=path), made_by


def _open_localizer(asked: _Asked, config: ScanConfig, echo: Echo) -> OpenLocalizer:
    """The localizer that was named, ready and announced.

    Raises:
        UsageError: it is a detector whose patches make the map, and it is to read images otherwise.
    """
    made_by = localizing.open_named(asked.model, config, asked.encoders)
    if localizing.patches_of(made_by) and (asked.protocol != "auto" or asked.max_tiles is not None):
        raise UsageError(
            f"{made_by.info.name} makes maps of patches of the whole resized image, and reads no tiles",
            "Leave --protocol and --max-tiles out.",
        )
    localizing.announce(made_by, echo)
    return made_by


def _refuse_options_of_a_scan(report: str) -> None:
    """Refuse what would have no effect; settings of a file or a variable may be there for scans.

    Raises:
        UsageError: the command line has such an option.
    """
    context = click.get_current_context()
    for option in context.command.params:
        asked = context.get_parameter_source(str(option.name)) is ParameterSource.COMMANDLINE
        if asked and option.name in _OF_A_SCAN:
            raise UsageError(
                f"{report} has scores already, so {option.opts[0]} would have no effect",
                "Leave it out, or name the images instead of the report.",
            )


def _localize(
    journal: Journal,
    config: ScanConfig,
    made_by: OpenLocalizer,
    asked: _Asked,
    writers: Sequence[ReportOutput],
    to_terminal: bool,
    quiet: bool,
) -> ExitCode:
    """Make the maps of what is chosen, and write the reports."""
    from sidscan.localize.map_files import MapFiles
    from sidscan.localize.run import Localizing, Request

    named = (Path(writer.out) for writer in writers if writer.written)
    marks = load_marks(marks_paths((*named, *journal.output_paths())))
    results = _chosen(annotated(journal, marks), asked.choice)
    files = MapFiles(asked.out_dir, journal, asked.overwrite)
    work = Localizing(
        journal, config, made_by, Request(asked.protocol, asked.max_tiles, files, asked.with_images)
    )
    work.check(results)
    work.note_localizer()
    try:
        made = localizing.make_maps(work, results, quiet)
    except KeyboardInterrupt:
        kept = (
            f"maps are kept in {journal.path}, and the same command continues"
            if journal.path
            else "no map is kept"
        )
        console.echo(f"interrupted; {kept}")
        raise
    record: RunRecord = annotated(journal, marks)
    if config.private and not record.header().private:  # of a report that was named
        record = PrivateRecord(record)
        console.reporter(quiet)(WORDS)
    reports.write_all(writers, record)
    for line in localizing.unscored_lines(journal):
        console.reporter(quiet)(line)
    _say(made, asked, writers, to_terminal, quiet)
    counts = journal.counts()
    if counts.scored + counts.failed == 0:
        raise NothingToScan("no image was found", "Check the paths; hidden files and folders need --hidden.")
    return ExitCode.DONE_WITH_FAILURES if counts.failed or localizing.failed(made) else ExitCode.DONE


def _chosen(record: RunRecord, choice: Choice) -> list[ScanResult]:
    return [result for result in SelectedRecord(record, choice).results() if result.scores]


def _say(
    made: Sequence[Localized],
    asked: _Asked,
    writers: Sequence[ReportOutput],
    to_terminal: bool,
    quiet: bool,
) -> None:
    """The closing lines; on a terminal without --out they are the command's output."""
    lines = list(localizing.lines(made, asked.chosen_by))
    if to_terminal:
        sys.stdout.writelines(f"{line}\n" for line in lines)
    echo = console.reporter(quiet)
    for line in () if to_terminal else lines:
        echo(line)
    if made:
        echo(f"maps, masks and overlays: {asked.out_dir}, named by each image's sha256")
    console.echo_written(writers, echo)
