"""``sidscan scan``."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from sidscan.cli import options
from sidscan.config import ScanConfig
from sidscan.errors import ExitCode, NothingToScan, UsageError
from sidscan.records import Counts, Finding, Status
from sidscan.terminal import safe

if TYPE_CHECKING:
    from sidscan.pipeline import Scan


@click.command("scan")
@options.inputs()
@options.model()
@options.output()
def command(
    outs: tuple[str, ...], stdout_format: str, quiet: bool, journal: Path | None, **choices: Any
) -> ExitCode:
    """Score pictures and write reports.

    Every picture below a FOLDER, every FILE and every URL becomes one row, whether it could be read or not.
    What is no picture, and links and special files below a FOLDER, become rows with status 'skipped'.
    Nothing is sent anywhere, and nothing is fetched unless an input is a URL.

    \b
    Examples:
      sidscan scan ./images --out report.csv
      sidscan scan ./images --out report.csv --out report.json
      sidscan scan --list urls.txt --out report.jsonl
      find . -name '*.jpg' | sidscan scan --list - --out - --format jsonl
      sidscan scan ./images --model rine-4class --model rine-ldm --out report.csv

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
    writers = [reports.report(out, stdout_format) for out in outs]
    for writer in writers:
        writer.check()
    journal = journal or _default_journal(outs)
    own_files = tuple(Path(out) for out in outs if out != "-") + _journal_files(journal)
    _check_distinct(own_files, (*choices["inputs"], *choices["lists"]))
    say = _silent if quiet else _say

    run = open_scan(ScanConfig(journal=journal, exclude=own_files, **choices))
    try:
        _announce(run, say)
        _consume(run, run.counts(), quiet)
        reports.write(writers, run.journal)
    except KeyboardInterrupt:
        _say(_interrupted(run.counts(), journal))
        raise
    say(_summary(run.journal.findings(), run.counts()))
    say("".join(f"report: {out}\n" for out in outs if out != "-").rstrip() or "report: standard output")
    return _exit_code(run.counts())


def _announce(run: Scan, say: Callable[[str], None]) -> None:
    """What is about to happen; that another model stands in is said even to those who asked for quiet."""
    tell = _say if run.choice.startswith("fallback") else say
    tell(f"model: {', '.join(detector.name for detector in run.runtime.detectors)} ({run.choice})")
    say(f"runtime: {run.runtime.info.runtime}, {run.runtime.info.device}, {run.runtime.info.precision}")
    earlier = run.earlier
    if earlier.repeated:
        say(f"{earlier.repeated} inputs were named more than once; each is scanned once")
    if earlier.kept:
        say(f"{earlier.kept} findings kept from an earlier run in {run.journal.path} (--fresh starts over)")
    if earlier.dropped:
        why = "inputs, models or options changed, or reading is tried again"
        say(f"{earlier.dropped} earlier findings are dropped: {why}")


def _check_distinct(own_files: tuple[Path, ...], inputs: tuple[str, ...]) -> None:
    """What is written must not replace what is read, nor one another."""
    resolved = [path.resolve() for path in own_files]
    for name in inputs:
        if Path(name).resolve() in resolved:
            raise UsageError(f"{name} is both read and written", "Choose another --out or --journal.")
    if len(set(resolved)) < len(resolved):
        raise UsageError("two reports, or a report and the journal, have the same name", "Name them apart.")


def _default_journal(outs: tuple[str, ...]) -> Path | None:
    files = [out for out in outs if out != "-"]
    return Path(f"{files[0]}.journal") if files else None


def _journal_files(journal: Path | None) -> tuple[Path, ...]:
    return (journal, Path(f"{journal}-journal")) if journal else ()


def _consume(findings: Iterable[Finding], counts: Counts, quiet: bool) -> None:
    from tqdm import tqdm

    show = sys.stderr.isatty() and not quiet
    done = counts.enumerated - counts.pending
    with tqdm(total=counts.enumerated, initial=done, disable=not show, unit="picture", smoothing=0.1) as bar:
        for _ in findings:
            bar.update()


def _summary(findings: Iterable[Finding], counts: Counts) -> str:
    """The closing words: counts that reconcile, how strong the evidence is, why inputs failed."""
    words: Counter[str] = Counter()
    failures: Counter[str] = Counter()
    for finding in findings:
        if finding.scores:
            words[finding.scores[0].evidence] += 1
        else:
            reason = finding.message if finding.status is Status.SKIPPED else finding.error
            failures[f"{finding.status.value}: {reason}"] += 1
    ended = f"{counts.scored} scored + {counts.failed} failed + {counts.skipped} skipped"
    lines = [f"{counts.enumerated} inputs = {ended}"]
    if words:
        order = ("very strong", "strong", "moderate", "weak")
        lines.append("evidence: " + ", ".join(f"{words[word]} {word}" for word in order))
    lines += [f"  {number} {reason}" for reason, number in failures.most_common(8)]
    return "\n".join(lines)


def _interrupted(counts: Counts, journal: Path | None) -> str:
    done = f"interrupted after {counts.enumerated - counts.pending} of {counts.enumerated}"
    if journal is None:
        return f"{done}; nothing was kept (it would be with --out FILE or --journal FILE)"
    return f"{done}, kept in {journal}; the same command continues"


def _exit_code(counts: Counts) -> ExitCode:
    if counts.scored + counts.failed == 0:
        raise NothingToScan("no picture was found", "Check the path; hidden files and folders need --hidden.")
    return ExitCode.DONE_WITH_FAILURES if counts.failed else ExitCode.DONE


def _say(words: str) -> None:
    click.echo(safe(words), err=True)


def _silent(words: str) -> None:
    pass
