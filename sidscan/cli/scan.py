"""``sidscan scan``."""

from __future__ import annotations

import sys
from collections import Counter
from contextlib import closing, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from sidscan.cli import console, options
from sidscan.config import ScanConfig
from sidscan.errors import ExitCode, NothingToScan, OutputError, UsageError
from sidscan.models.abstention import INCONCLUSIVE
from sidscan.records import Counts, Status
from sidscan.util.urls import mask_credentials

if TYPE_CHECKING:
    from sidscan.pipeline import Scan

_LONGEST_MESSAGE = 200  # characters


@click.command("scan")
@options.inputs()
@options.isolation()
@options.limits()
@options.fetching()
@options.model()
@options.calibration()
@options.output()
def command(
    outs: tuple[str, ...],
    stdout_format: str,
    quiet: bool,
    journal: Path | None,
    overwrite: bool,
    hashed: bool,
    **choices: Any,
) -> ExitCode:
    """Score pictures and write reports.

    Every picture below a FOLDER (hidden ones with --hidden), every FILE and every URL becomes one row,
    whether it could be read or not.
    What is no picture, and links and special files below a FOLDER, become rows with status 'skipped'.
    Nothing is sent anywhere, and nothing is fetched unless an input is a URL.

    \b
    Examples:
      sidscan scan ./images --out report.csv
      sidscan scan ./images --out report.csv --out report.json
      sidscan scan --list urls.txt --out report.jsonl
      find . -name '*.jpg' | sidscan scan --list - --out - --format jsonl
      sidscan scan ./images --model rine-4class --model rine-ldm --out report.csv
      sidscan scan ./images --out report.csv --out report.json --hash-file --private

    \b
    Exit codes:
      0  done                             5  nothing to scan
      2  wrong usage                      6  device or precision not available
      3  done; some inputs unreadable     7  a report can't be written
      4  model unknown, missing, altered  130  interrupted; run again to continue
    """
    from sidscan import reports  # here: these load pandas and Pillow
    from sidscan.pipeline import open_scan

    outs = outs or ("-",)
    if hashed and set(outs) == {"-"}:
        raise UsageError("--hash-file has no file to stand beside", "Name one with --out FILE.")
    writers = [reports.output_for(out, stdout_format, hashed) for out in outs]
    journal = journal or _default_journal(outs)
    own_files = tuple(file for writer in writers for file in writer.files) + console.journal_files(journal)
    console.check_distinct(own_files, (*choices["inputs"], *choices["lists"], *choices["calibrations"]))
    say = console.reporter(quiet)

    config = ScanConfig(journal=journal, exclude=own_files, command=("sidscan", *sys.argv[1:]), **choices)
    for writer in writers:
        if writer.altered():  # it will be replaced, and that it was altered must not go unsaid
            console.echo(f"warning: {writer.out} was changed after it was hashed; this scan writes it anew")
    with reports.reserve_all(writers, overwrite), closing((run := open_scan(config)).journal):
        try:
            console.announce(run, say)
            console.consume(run, run.counts(), quiet)
            reports.write_all(writers, run.journal)
        except KeyboardInterrupt:
            _interrupt(run, journal)
            raise
        for text in (*_summary(run), *_flagged(run)):
            say(text)
        for writer in writers:
            say(f"report: {writer.location()}")
        return _exit_code(run.counts())


def _default_journal(outs: tuple[str, ...]) -> Path | None:
    files = [out for out in outs if out != "-"]
    return Path(f"{files[0]}.journal") if files else None


def _summary(run: Scan) -> list[str]:
    """The closing words: counts that reconcile, how strong the evidence is, what to know of the pictures."""
    counts, words, failures, flags = run.counts(), Counter[str](), Counter[str](), Counter[str]()
    first: dict[str, str] = {}  # of each kind of failure
    for finding in run.journal.results():
        flags.update(finding.facts.flags)
        if finding.scores:
            words[finding.scores[0].evidence] += 1
        else:
            skipped = finding.status is Status.SKIPPED
            reason = f"{finding.status.value}: {finding.message if skipped else finding.error}"
            failures[reason] += 1
            if not skipped and reason not in first:
                first[reason] = f"{mask_credentials(finding.name)}: {_cut(finding.message or '')}"
    ended = f"{counts.scored} scored + {counts.failed} failed + {counts.skipped} skipped"
    lines = [f"{counts.enumerated} inputs = {ended}"]
    if words:
        order = ("very strong", "strong", "moderate", "weak", INCONCLUSIVE)
        lines.append("evidence: " + ", ".join(f"{words[word]} {word}" for word in order))
    for reason, number in failures.most_common(8):
        lines.append(f"  {number} {reason}")
        if reason in first:
            lines.append(f"    {'the first, ' if number > 1 else ''}{first[reason]}")
    if flags:
        lines.append("flags: " + ", ".join(f"{number} {flag}" for flag, number in flags.most_common()))
    if repeats := run.journal.repeats():
        lines.append(f"{repeats} pictures have the bytes of another one and its score")
    return lines


def _cut(message: str) -> str:
    """As much of a message as a terminal has room for; rows have all of it."""
    return message if len(message) <= _LONGEST_MESSAGE else f"{message[:_LONGEST_MESSAGE]} ..."


def _flagged(run: Scan) -> list[str]:
    """Per calibrated model: pictures that reach its threshold, beside how many camera pictures would."""
    if not run.calibrations:
        return []
    flagged: Counter[str] = Counter()
    for finding in run.journal.results():
        for score in finding.scores:
            calibration = run.calibrations.get(score.model)
            flagged[score.model] += calibration is not None and score.logit >= calibration.threshold_logit
    scored = run.counts().scored
    return [
        f"{name}: {flagged[name]} of {scored} flagged; were all of them like the calibration pictures, "
        f"about {scored * calibration.false_flag_rate:.1f} would be"
        for name, calibration in run.calibrations.items()
    ]


def _interrupt(run: Scan, journal: Path | None) -> None:
    counts = run.counts()
    done = f"interrupted after {counts.enumerated - counts.pending} of {counts.enumerated}"
    if journal is None:
        console.echo(f"{done}; nothing was kept (it would be with --out FILE or --journal FILE)")
        return
    console.echo(f"{done}, kept in {journal}; the same command continues")
    with suppress(OutputError):  # it is a remark; the interruption counts
        run.end("interrupted")


def _exit_code(counts: Counts) -> ExitCode:
    if counts.scored + counts.failed == 0:
        raise NothingToScan("no picture was found", "Check the path; hidden files and folders need --hidden.")
    return ExitCode.DONE_WITH_FAILURES if counts.failed else ExitCode.DONE
