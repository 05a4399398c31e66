"""The marks of a run: those beside each report that it writes now or wrote before, as one."""

from __future__ import annotations

import heapq
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path

from sidscan.records import CONFLICT, RunRecord
from sidscan.reports.private import private_mark
from sidscan.reports.stated import StatedMark, StatedResult
from sidscan.review.marked_copies import Images, open_questions
from sidscan.review.marks import Marks, image_key, summary
from sidscan.review.marks_file import marks_path, read_marks_file
from sidscan.util.files import real_path


def marks_paths(reports: Iterable[Path]) -> tuple[Path, ...]:
    """The marks files of reports, each once by its first name, whether or not they exist."""
    paths: dict[Path, Path] = {}
    for report in reports:
        path = marks_path(report)
        paths.setdefault(real_path(path), path)
    return tuple(paths.values())


def load_marks(paths: Iterable[Path], until: str | None = None) -> Marks:
    """All that was recorded in some marks files, in the order of time.

    Args:
        until: a time, ISO 8601, UTC; what was recorded later is left out.

    Raises:
        OutputError: one of them can't be read, or is damaged.
    """
    entries = heapq.merge(*map(read_marks_file, paths), key=lambda entry: entry.recorded_at)
    return Marks(entry for entry in entries if until is None or entry.recorded_at <= until)


def with_mark(result: StatedResult, marks: Marks, private: bool) -> StatedResult:
    """A result of a record with its mark, as a report of the run states it."""
    mark = summary(marks.decisions(image_key(result.sha256, result.name)))
    if mark and private:
        mark = private_mark(mark)
    stated = StatedMark(mark.mark, mark.by, mark.at, mark.note) if mark else None
    return replace(result, mark=stated, marks_known=True)


@dataclass
class Joined:
    """How marks and a report fit.

    Attributes:
        marked: rows that have a mark or a note, by mark; empty for a note alone.
        conflicts: names of those whose marks differ.
        gone: images that people decided on and the report does not have.
        maybe_copies: images without a decision that look like one with.
    """

    marked: dict[str, int] = field(default_factory=dict)
    conflicts: list[str] = field(default_factory=list)
    gone: int = 0
    maybe_copies: int = 0


def joined(record: RunRecord, marks: Marks) -> Joined:
    """Count what `annotated` joins."""
    found, images, missing = Joined(), Images(), {image for image, _ in marks.images()}
    for result in record.results():
        images.add(result.facts.sha256, result.name, result.facts.perceptual_hash)
        missing.discard(image_key(result.facts.sha256, result.name))
        if mark := marks.mark_of(result):
            found.marked[mark.mark] = found.marked.get(mark.mark, 0) + 1
            if mark.mark == CONFLICT:
                found.conflicts.append(result.name)
    found.gone = len(missing)
    found.maybe_copies = sum(len(question.copies) for question in open_questions(marks, images))
    return found
