"""What changed since the last complete run of a record, for the closing lines of a scan."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from sidscan.journal import Journal
from sidscan.records import JsonObject
from sidscan.reports.stated import StatedResult, stated_result
from sidscan.review.comparison import Comparison, compared
from sidscan.review.differences import Change
from sidscan.review.joined_marks import load_marks
from sidscan.review.marks import Marks, image_key


@dataclass(frozen=True)
class Rescan:
    """What changed.

    Attributes:
        since: when the earlier run ended, ISO 8601, UTC.
        comparison: of the inputs whose result is not kept as it was.
        unchanged: number of inputs that did not change, kept ones included.
        marked: names of images on which people decided since, and the mark.
    """

    since: str
    comparison: Comparison
    unchanged: int
    marked: Sequence[tuple[str, str]]


@contextmanager
def rescanned(journal: Journal, marks: Marks, marks_files: Sequence[Path]) -> Iterator[Rescan | None]:
    """Compare a complete run with the one before it; None if its record knows of none.

    Args:
        marks: what people decided.
        marks_files: the files that keep it.
    """
    before = journal.previous_run()
    if before is None:
        yield None
        return
    since, now = str(before["finished"]), journal.header().to_dict()
    with compared(_results(journal, before, old=True), _results(journal, now, old=False)) as comparison:
        seen = sum(comparison.counts.values()) - comparison.counts[Change.GONE]
        unchanged = journal.counts().enumerated - seen + comparison.counts[Change.UNCHANGED]
        yield Rescan(
            since, comparison, unchanged, tuple(_marked(journal, marks, load_marks(marks_files, since)))
        )


def _results(journal: Journal, run: JsonObject, old: bool) -> Iterator[StatedResult]:
    for changed in journal.changed_inputs():
        raw = changed.old if old else changed.new
        if raw is not None:
            yield stated_result(changed.name, raw, run)


def _marked(journal: Journal, marks: Marks, earlier: Marks) -> Iterator[tuple[str, str]]:
    """Images of this run with another mark than before: a name, and the mark; equal bytes once."""
    seen: set[str] = set()
    for result in journal.results() if marks else ():
        mark, before = marks.mark_of(result), earlier.mark_of(result)
        image = image_key(result.facts.sha256, result.name)
        if mark and (before is None or before.mark != mark.mark) and image not in seen:
            seen.add(image)
            yield result.name, mark.mark
