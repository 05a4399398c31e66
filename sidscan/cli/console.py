"""What commands share: lines on standard error, and a scan that is shown while it runs."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from typing import TYPE_CHECKING, TextIO

import click

from sidscan.cli.time_left import LISTING_LAYOUT, TIME_LEFT_LAYOUT, TimeLeft
from sidscan.config import ScanConfig
from sidscan.errors import OutputError, SidscanError
from sidscan.records import ScanResult
from sidscan.util.clock import Clock
from sidscan.util.progress import Bar, progress
from sidscan.util.terminal import Echo, safe_line
from sidscan.util.terminal import plural as plural  # commands take it from here
from sidscan.util.urls import mask_credentials

if TYPE_CHECKING:
    from sidscan.models.detector_info import DetectorInfo
    from sidscan.pipeline import Scan
    from sidscan.reports.output_files import ReportOutput


_EXAMPLES = 3  # names in a line


def echo(text: str) -> None:
    """Print one line on standard error, safe to show; a line break in a name does not make two of it."""
    click.echo(safe_line(text), err=True)


def echo_error(error: SidscanError) -> None:
    """Print what is wrong and, on the next lines, what to do."""
    for line in filter(None, (error.message, error.remedy, *error.details)):
        echo(line)


def no_echo(text: str) -> None:
    """Print nothing."""


def no_action() -> None:
    """Do nothing."""


def reporter(quiet: bool) -> Echo:
    """`echo`, or `no_echo` with --quiet."""
    return no_echo if quiet else echo


def is_terminal(stream: TextIO | None) -> bool:
    """Whether a person sees what is written there; the stream may be closed."""
    return stream is not None and stream.isatty()


@contextmanager
def starting(quiet: bool) -> Iterator[Callable[[], object]]:
    """Show that a scan begins: loading takes seconds, and listing a large folder minutes.

    Yields what counts one input.
    """
    layout = "starting: loading the detector, listing inputs: {n_fmt} found"
    with progress(None, "input", quiet=quiet, transient=True, layout=layout) as bar:
        yield bar.update


def open_run(config: ScanConfig, quiet: bool = False, stream: bool = False) -> Scan:
    """Open a scan, and show that it begins.

    Args:
        stream: the scan may begin while its inputs are listed.
    """
    clock = Clock(config.budget, config.until)
    with starting(quiet) as listed:
        from sidscan.pipeline import open_scan  # here: it loads torch, which takes seconds

        return open_scan(config, listed, clock, stream=stream)


def consume(
    run: Scan,
    quiet: bool,
    show: Callable[[ScanResult], bool] | None = None,
    when_listed: Callable[[], object] = no_action,
) -> None:
    """Run a scan to its end, with a progress bar.

    Args:
        show: gets every result; it says whether the scan goes on.
        when_listed: called when all inputs are listed, if they are not yet.
    """
    counts = run.counts()
    done, layout = counts.enumerated - counts.pending, LISTING_LAYOUT if run.is_listing else TIME_LEFT_LAYOUT
    with progress(run.total, "image", done=done, quiet=quiet, layout=layout) as bar:
        left = TimeLeft(run.pace, bar, reporter(quiet))
        if run.listing is not None:
            run.listing.changed = partial(_show_listed, run, bar, reporter(quiet), when_listed)
        with left.saying_what_it_waits_for():
            for result in run:
                if show:
                    bar.clear()  # a terminal shows the result in its place
                    if not show(result):
                        return
                left.update()
                bar.update()


def _show_listed(run: Scan, bar: Bar, show: Echo, when_listed: Callable[[], object]) -> None:
    """Show how many inputs there are by now."""
    assert run.listing is not None
    bar.total = run.listing.number
    if run.is_listing:
        bar.refresh()
        return
    bar.clear()
    bar.bar_format = TIME_LEFT_LAYOUT
    _announce_repeated(run.listing.repeated, show)
    when_listed()


def complete_kept(run: Scan, quiet: bool) -> None:
    """Read images of kept results again for thumbnails and crops, with a bar; say what came of it."""
    if not (number := len(run.kept_images)):
        return
    show = reporter(quiet)
    what = "thumbnail or crop" if run.config.thumbnails else "hash"
    show(f"{plural(number, 'kept image')} without a {what}: read again, not scored")
    with progress(number, "image", quiet=quiet, transient=True) as bar:
        for _ in run.complete_kept():
            bar.update()
    if changed := run.kept_images.changed:
        names = ", ".join(mask_credentials(name) for name in changed[:_EXAMPLES])
        more = f" and {len(changed) - _EXAMPLES} more" if len(changed) > _EXAMPLES else ""
        are = "hold other bytes than were scored, with the same size and time; they are scored again"
        if len(changed) == 1:
            are = "holds other bytes than were scored, with the same size and time; it is scored again"
        echo(f"warning: {plural(len(changed), 'file')} {are}: {names}{more}")


def echo_written(writers: Sequence[ReportOutput], echo: Echo) -> None:
    """Say where the reports are, and what they lack."""
    for writer in writers:
        echo(f"report: {writer.location()}")
        for remark in writer.remarks():
            echo(remark)


def announce(run: Scan, echo: Echo) -> None:
    """Print what is about to happen; even with --quiet, that another model replaces the default."""
    always = reporter(quiet=False) if run.choice.is_fallback else echo
    always(f"model: {', '.join(detector.name for detector in run.runtime.detectors)} ({run.choice})")
    if run.choice.remedy:
        echo(run.choice.remedy)
    info = run.runtime.info
    echo(f"runtime: {info.runtime}, {info.device}, {info.precision}")
    if info.precision_choice:
        echo(f"precision {info.precision_choice}")
    announce_views(run.runtime.detectors, echo)
    if without := _without_cascade(run):
        echo(f"effort: all crops of every image, since {without} states no cascade")
    if not run.config.isolation:
        echo("no isolation: time and memory have no limits; an image that crashes the decoder ends the scan")
    if run.config.private:
        from sidscan.reports.private import WORDS  # here: --help shall load no reports

        echo(WORDS)
    for name, calibration in run.journal.header().calibrations.items():
        images = plural(calibration.pictures, "image")
        echo(f"calibration: {name}, {images}, false-positive rate {calibration.target_fpr:g}")
        for difference in calibration.differences:
            echo(f"  it differs from this scan: {difference}; p-values hold only as far as the scores agree")
    if (sample := run.journal.header().sample) is not None:
        echo(f"part: {sample}")
    for place in run.slow_places:
        echo(str(place))
    if run.config.until is not None:
        echo(f"until: {run.config.until:%Y-%m-%d %H:%M}")
    _announce_earlier(run, echo)


def announce_views(detectors: Iterable[DetectorInfo], echo: Echo) -> None:
    """Which models read something else than crops of native pixels."""
    for detector in detectors:
        if detector.view is not None:
            echo(f"{detector.name} reads no crops of native pixels, but {detector.view}")


def _without_cascade(run: Scan) -> str:
    """The models for whose sake others get all crops of an image; empty if no cascade is given up."""
    if run.config.effort != "normal" or run.effort != "full":
        return ""
    detectors = [detector for detector in run.runtime.detectors if detector.view is None]
    without = [detector.name for detector in detectors if detector.cascade is None]
    return ", ".join(without) if len(without) < len(detectors) else ""


def record_interruption(run: Scan, missing: str) -> None:
    """Print how far an interrupted scan came and what was kept, and note it in the run's record.

    Args:
        missing: what keeps results, as the subject of "was given", where the scan keeps none.
    """
    counts = run.counts()
    done = f"interrupted after {counts.enumerated - counts.pending} of {plural(counts.enumerated, 'input')}"
    if run.is_listing:
        done += " listed so far"
    if run.config.journal is None:
        echo(f"{done}; no result was kept, since {missing} was given")
        return
    echo(f"{done}; results are kept in {run.config.journal}, and the same command continues")
    with suppress(OutputError):  # only a note in the record; the interruption matters more
        run.end("interrupted")


def _announce_earlier(run: Scan, echo: Echo) -> None:
    from sidscan.journal.keys import reader_in_words  # here: --help shall load no journal

    earlier = run.earlier
    _announce_repeated(earlier.repeated, echo)
    if earlier.kept:
        kept = plural(earlier.kept, "result")
        echo(f"{kept} kept from an earlier run in {run.journal.path} (--fresh starts over)")
    for reader, count in earlier.kept_old.items():
        echo(f"  {count} of them {reader_in_words(reader)}; each row says so")
    if earlier.retried:
        are = "is" if earlier.retried == 1 else "are"
        echo(f"{plural(earlier.retried, 'input')} that failed {are} tried again")
    if earlier.dropped:
        _announce_dropped(run, echo)


def _announce_repeated(number: int, echo: Echo) -> None:
    if number:
        echo(f"{plural(number, 'input')} named more than once; each is scanned once")


def _announce_dropped(run: Scan, echo: Echo) -> None:
    """How many results of the earlier run are not used, why, and the first of each kind by name."""
    from sidscan.journal.keys import reader_has_decoder

    earlier = run.earlier
    changes = ", ".join(run.changes) or "other models or options"
    reasons = {
        "changed": "whose file has another size or time",
        "skip_changed": "whose input was skipped and is read now, or the reverse",
        "left_out": ", ".join(earlier.left_out_by),
        "gone": "whose input is gone or no longer named",
        "other_keys": f"made with {changes}",
        "other_reader": ", ".join(dict.fromkeys(map(run.readers.change_in_words, earlier.read_by))),
    }
    echo(f"{plural(earlier.dropped, 'earlier result')} not used:")
    for name, reason in reasons.items():
        if count := getattr(earlier, name):
            examples = [mask_credentials(example) for example in earlier.examples.get(name, ())]
            more = f" and {count - len(examples)} more" if count > len(examples) else ""
            echo(f"  {count} {reason}: {', '.join(examples)}{more}")
    if earlier.other_keys:
        those = f"those {earlier.other_keys}" if earlier.other_keys > 1 else "that one"
        echo(f"  (until this scan is complete, the earlier models and options can use {those} again)")
    if any(reader_has_decoder(key) for key in earlier.read_by):
        echo("  (--keep-old keeps such scores)")
