"""What changed since the last complete run of a record, for the closing lines of a scan.

The classes are those of `sidscan diff`. Compared are only the inputs that may differ: those whose result is
not kept as it was, and those of which people decided something since. All others are unchanged.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

from sidscan.journal import Journal
from sidscan.records import JsonObject
from sidscan.reports.stated import PENDING, StatedResult, stated_result
from sidscan.review.comparison import Comparison, compared
from sidscan.review.differences import Change
from sidscan.review.joined_marks import load_marks, with_mark
from sidscan.review.marks import Marks, image_key


@dataclass(frozen=True)
class Rescan:
    """What changed.

    Attributes:
        since: when the earlier run ended, ISO 8601, UTC.
        comparison: of the inputs that may differ.
        unchanged: number of inputs that did not change, those that were not compared included.
    """

    since: str
    comparison: Comparison
    unchanged: int


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
    earlier = load_marks(marks_files, since)
    before = {**before, "private": now["private"]}  # it stays set once it was set
    marked = list(_marked(journal, now, earlier, marks)) if marks else []
    old = chain(_results(journal, before, earlier, old=True), (pair[0] for pair in marked))
    new = chain(_results(journal, now, marks, old=False), (pair[1] for pair in marked))
    with compared(old, new, other_folders=not journal.keeps_files()) as comparison:
        seen = comparison.counts.total() - comparison.counts[Change.GONE]
        unchanged = journal.counts().enumerated - seen + comparison.counts[Change.UNCHANGED]
        yield Rescan(since, comparison, unchanged)


def _results(journal: Journal, run: JsonObject, marks: Marks, old: bool) -> Iterator[StatedResult]:
    """The inputs whose result is not kept as it was."""
    for changed in journal.changed_inputs():
        raw = changed.old if old else changed.new
        if raw is not None:
            yield _stated(changed.name, raw, run, marks)
        elif changed.pending and not old:
            yield StatedResult(changed.name, None, PENDING)


def _marked(
    journal: Journal, run: JsonObject, earlier: Marks, marks: Marks
) -> Iterator[tuple[StatedResult, StatedResult]]:
    """The inputs whose result is kept, and of which people decide otherwise than before: before, and now."""
    for kept in journal.kept_inputs():
        image = image_key(kept.sha256, kept.name)
        if earlier.decisions(image) != marks.decisions(image):
            raw = json.loads(kept.finding)
            yield _stated(kept.name, raw, run, earlier), _stated(kept.name, raw, run, marks)


def _stated(name: str, raw: JsonObject, run: JsonObject, marks: Marks) -> StatedResult:
    return with_mark(stated_result(name, raw, run), marks, private=bool(run["private"]))
