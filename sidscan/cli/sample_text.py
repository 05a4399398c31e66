"""Lines on a run that looked at a part of its inputs: which part, and what that says of the whole."""

from __future__ import annotations

from collections.abc import Iterator

from sidscan.cli.console import plural
from sidscan.journal import Journal
from sidscan.records import SampleRecord
from sidscan.review.sample_estimate import estimate


def sample_lines(record: Journal) -> Iterator[str]:
    """What was not looked at, and an estimate for all images; nothing if all inputs have a result."""
    if not record.header().listing_complete:
        yield "not all inputs were listed yet; the scan's command continues"
    if not (unseen := record.counts().pending):
        return
    sample = record.header().sample
    if sample is None:
        yield f"{plural(unseen, 'input')} not looked at yet; the scan's command continues"
        return
    yield f"{sample}: {plural(unseen, 'input')} not looked at"
    if sample.mixed:
        yield from _estimate_lines(record, sample, unseen)
    again = "a larger --sample, or none, goes on" if sample.size else "the same command goes on"
    yield f"  ({again}; no image is scored again)"


def _estimate_lines(record: Journal, sample: SampleRecord, unseen: int) -> Iterator[str]:
    made = estimate(record, sample)
    if missing := (min(sample.size, sample.images) - made.images if sample.size else 0):
        yield f"  {plural(missing, 'image')} of the sample not looked at yet; the same command goes on"
    if others := sample.images - unseen - made.images:
        yield f"  {plural(others, 'more image')} had a result before, or were looked at out of turn"
    if made.rate is None or made.low is None or made.high is None:
        yield f"  {plural(made.images, 'image')} of a sample say too little for an estimate for all images"
        return
    yield f"  {made.above} of its {plural(made.images, 'image')} have moderate evidence or more"
    yield (
        f"  estimate for all {sample.images} images: about {_percent(made.rate)} % "
        f"(95 % interval: {_percent(made.low)} to {_percent(made.high)} %)"
    )
    yield "  (of what the detector would say, its errors included, not of how many images are synthetic)"


def _percent(share: float) -> str:
    """With one digit behind the point, below 1 % with two."""
    percent = 100 * share
    return f"{percent:.2f}" if 0 < percent < 1 else f"{percent:.1f}"
