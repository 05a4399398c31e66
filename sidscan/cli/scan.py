"""``sidscan scan``."""

from __future__ import annotations

import sys
from collections import Counter
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from sidscan import reports
from sidscan.cli import console, options
from sidscan.cli.console import plural
from sidscan.cli.help_sections import Command
from sidscan.config import ScanConfig
from sidscan.errors import ExitCode, NothingToScan, UsageError
from sidscan.models.abstention import INCONCLUSIVE
from sidscan.records import Counts, ScanResult, Status
from sidscan.util.urls import mask_credentials

if TYPE_CHECKING:
    from sidscan.pipeline import Scan

_LONGEST_MESSAGE = 200  # characters
_MOST_REASONS = 8  # lines of the closing summary
_STAGES = (1, 5, 10)  # crops of an image, after each stage of a cascade
_EVIDENCE = ("very strong", "strong", "moderate", "weak", INCONCLUSIVE)


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
    writers = [reports.output_for(out, stdout_format, hashed) for out in outs]
    named = [out for out in outs if out != reports.STDOUT]
    journal = journal or (Path(f"{named[0]}.journal") if named else None)
    written = tuple(file for writer in writers for file in writer.files) + console.journal_files(journal)
    console.check_distinct(written, (*choices["inputs"], *choices["lists"], *choices["calibrations"]))
    config = ScanConfig(journal=journal, exclude=written, command=("sidscan", *sys.argv[1:]), **choices)
    console.check_named(config)
    from sidscan.pipeline import open_scan  # here: it loads torch, which takes seconds

    echo = console.reporter(quiet)
    for writer in writers:
        if writer.altered():  # the scan replaces it, so this is the last chance to say it
            console.echo(f"warning: {writer.out} was changed after it was hashed; this scan replaces it")
    with reports.reserve_all(writers, overwrite), closing((run := open_scan(config)).journal):
        try:
            console.announce(run, echo)
            console.consume(run, run.counts(), quiet)
            reports.write_all(writers, run.journal)
        except KeyboardInterrupt:
            console.record_interruption(run, missing="neither --out FILE nor --journal FILE")
            raise
        for line in (*_summary(run), *_flagged(run)):
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


def _summary(run: Scan) -> list[str]:
    """The closing lines: counts that add up, strength of the evidence, reasons without a score, flags."""
    counts, evidence, reasons, flags = run.counts(), Counter[str](), Counter[str](), Counter[str]()
    views = Counter[int]()
    examples: dict[str, str] = {}  # the first input of every reason
    for result in run.journal.results():
        flags.update(result.facts.flags)
        if result.scores:
            evidence[result.scores[0].evidence] += 1
            views[result.views] += 1
            continue
        reason = _reason(result)
        reasons[reason] += 1
        if result.status is not Status.SKIPPED and reason not in examples:
            examples[reason] = f"{mask_credentials(result.name)}: {_shortened(result.message or '')}"
    parts = f"{counts.scored} scored + {counts.failed} failed + {counts.skipped} skipped"
    lines = [f"{plural(counts.enumerated, 'input')} = {parts}"]
    if evidence:
        lines.append("evidence: " + ", ".join(f"{evidence[word]} {word}" for word in _EVIDENCE))
    if views and run.effort == "normal":
        first, *others = _STAGES
        numbers = ", ".join(f"{views[count]} by {count}" for count in others)
        lines.append(f"crops: {plural(views[first], 'image')} by {first}, {numbers}")
    for reason, count in reasons.most_common(_MOST_REASONS):
        lines.append(f"  {count} {reason}")
        if reason in examples:
            lines.append(f"    {'first: ' if count > 1 else ''}{examples[reason]}")
    if flags:
        lines.append("flags: " + ", ".join(f"{count} {flag}" for flag, count in flags.most_common()))
    if repeats := run.journal.repeats():
        verb = "has" if repeats == 1 else "have"
        lines.append(f"{plural(repeats, 'image')} {verb} the same bytes as an earlier image, and its score")
    return lines


def _reason(result: ScanResult) -> str:
    """Why an input has no score, without what is particular to this one."""
    skipped = result.status is Status.SKIPPED
    return f"{result.status.value}: {result.message if skipped else result.error}"


def _shortened(message: str) -> str:
    """As much of a message as a terminal has room for; rows have all of it."""
    return message if len(message) <= _LONGEST_MESSAGE else f"{message[:_LONGEST_MESSAGE]} ..."


def _flagged(run: Scan) -> list[str]:
    """How many images reach the threshold of each calibrated model, and how many camera images would."""
    if not run.calibrations:
        return []
    flagged: Counter[str] = Counter()
    for result in run.journal.results():
        for score in result.scores:
            calibration = run.calibrations.get(score.model)
            flagged[score.model] += calibration is not None and score.logit >= calibration.threshold_logit
    scored = run.counts().scored
    return [
        f"{name}: {flagged[name]} of {plural(scored, 'image')} flagged; if all were like the calibration "
        f"images, about {scored * calibration.false_flag_rate:.1f} would be"
        for name, calibration in run.calibrations.items()
    ]


def _exit_code(counts: Counts) -> ExitCode:
    if counts.scored + counts.failed == 0:
        raise NothingToScan(
            "no image was found", "Check the paths and lists; hidden files and folders need --hidden."
        )
    return ExitCode.DONE_WITH_FAILURES if counts.failed else ExitCode.DONE
