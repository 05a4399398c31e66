"""What commands share: words for standard error, progress bars, checks of the files they write."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import click

from sidscan.errors import SidscanError, UsageError
from sidscan.records import Counts, ScanResult
from sidscan.util.files import real_path
from sidscan.util.terminal import Echo, progress_stream, safe_line

if TYPE_CHECKING:
    from sidscan.journal import Registered
    from sidscan.pipeline import Scan


def echo(text: str) -> None:
    """One line on standard error, safe to show; a line break in a name does not make it two."""
    click.echo(safe_line(text), err=True)


def echo_error(error: SidscanError) -> None:
    """What is wrong, and on the next line what to do."""
    echo(error.message)
    if error.remedy:
        echo(error.remedy)


def no_echo(text: str) -> None:
    """Nothing."""


def reporter(quiet: bool) -> Echo:
    """`say`, or `silent` for those who asked for quiet."""
    return no_echo if quiet else echo


def announce(run: Scan, quietly: Echo) -> None:
    """What is about to happen; that another model stands in is said even to those who asked for quiet."""
    tell = echo if run.choice.is_fallback else quietly
    tell(f"model: {', '.join(detector.name for detector in run.runtime.detectors)} ({run.choice})")
    info = run.runtime.info
    quietly(f"runtime: {info.runtime}, {info.device}, {info.precision}")
    if info.precision_choice:
        quietly(f"precision {info.precision_choice}")
    if not run.config.isolation:
        quietly("no isolation: no limit of time or memory is kept, and what kills a decoder ends the scan")
    for name, calibration in run.journal.header().calibrations.items():
        of = f"{calibration.pictures} pictures for a false-positive rate of {calibration.target_fpr:g}"
        quietly(f"calibration: {name}, {of}")
        for difference in calibration.differences:
            quietly(f"  it was made otherwise: {difference}; p-values hold as far as the scores agree")
    earlier = run.earlier
    if earlier.repeated:
        quietly(f"{earlier.repeated} inputs were named more than once; each is scanned once")
    if earlier.kept:
        quietly(
            f"{earlier.kept} findings kept from an earlier run in {run.journal.path} (--fresh starts over)"
        )
    if earlier.dropped:
        _announce_dropped(earlier, quietly)


def _announce_dropped(earlier: Registered, quietly: Echo) -> None:
    other = max(0, earlier.dropped - earlier.changed - earlier.gone)
    reasons = (
        (earlier.changed, "files changed since"),
        (earlier.gone, "inputs are gone, or not named any more"),
        (other, "of other models or options, or read again"),
    )
    why = ", ".join(f"{number} {what}" for number, what in reasons if number)
    quietly(f"{earlier.dropped} earlier findings are dropped: {why}")
    if other:
        quietly("  (until this run is complete, the former models and options find theirs again)")


def check_distinct(own_files: tuple[Path, ...], inputs: tuple[str | Path, ...]) -> None:
    """What is written must not replace what is read, nor one another."""
    resolved = [real_path(path) for path in own_files]
    for name in inputs:
        if real_path(name) in resolved:
            raise UsageError(f"{name} is both read and written", "Choose another --out or --journal.")
    if len(set(resolved)) < len(resolved):
        raise UsageError("two of the files to write have the same name", "Name them apart.")


def journal_files(journal: Path | None) -> tuple[Path, ...]:
    """The files that a journal may consist of."""
    return (journal, Path(f"{journal}-journal")) if journal else ()


def consume(findings: Iterable[ScanResult], counts: Counts, quiet: bool) -> None:
    """Run a scan to its end, with a progress bar where standard error is a terminal."""
    from tqdm import tqdm

    show = sys.stderr.isatty() and not quiet
    done = counts.enumerated - counts.pending
    with tqdm(
        total=counts.enumerated,
        initial=done,
        disable=not show,
        unit="picture",
        smoothing=0.1,
        file=progress_stream(),
    ) as bar:
        for _ in findings:
            bar.update()
