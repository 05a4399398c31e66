"""What commands say of marks."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from sidscan.cli.console import plural
from sidscan.reports.reader import ReportRow
from sidscan.review.marks import HeldDecision, Marks, image_key, summary, words
from sidscan.review.marks_file import EntryKind
from sidscan.util.terminal import safe_line
from sidscan.util.urls import mask_credentials

if TYPE_CHECKING:
    from sidscan.review.joined_marks import Joined
    from sidscan.review.marked_copies import Question

_ORDER = ("suspicious", "cleared", "later", "conflict", "")
_NOTE_ALONE = "with a note alone"
_MOST_NAMED = 5
_LONGEST_NOTE = 200  # characters


def marks_lines(joined: Joined, files: Sequence[Path]) -> Iterator[str]:
    """How many images people marked, where they differ, and what marks a report has no image for."""
    counts = [f"{joined.marked[mark]} {mark or _NOTE_ALONE}" for mark in _ORDER if mark in joined.marked]
    kept = ", ".join(str(file) for file in files if file.exists())
    yield f"marks: {', '.join(counts) or 'none of an image in this report'} ({kept})"
    if joined.conflicts:
        yield f"  people's marks differ: {named(joined.conflicts)}"
    if joined.gone:
        are = "is" if joined.gone == 1 else "are"
        yield f"  {plural(joined.gone, 'marked image')} {are} not in this report; the marks are kept"
    if joined.maybe_copies:
        yield f"  {copies_line(joined.maybe_copies, 'REPORT')}"


def named(names: Sequence[str]) -> str:
    """The first of some names, and how many more there are."""
    rest = len(names) - _MOST_NAMED
    return ", ".join(map(mask_credentials, names[:_MOST_NAMED])) + (f" and {rest} more" if rest > 0 else "")


def decision_lines(marks: Marks, rows: Iterable[ReportRow]) -> Iterator[str]:
    """One line per image and one per decision on it, conflicts first; then how many there are."""
    names: dict[str, list[str]] = {}
    for row in rows:
        names.setdefault(image_key(row.sha256, row.name), []).append(mask_credentials(row.name))
    images = dict(marks.images()) | {image: found for image in names if (found := marks.decisions(image))}
    paths = {name for found in names.values() for name in found}
    ordered = sorted(images.items(), key=lambda each: _place(each[1]))
    for image, decisions in ordered:
        mark = summary(decisions)
        assert mark is not None
        where = names.get(image) or [_absent(decisions[0].entry.path, paths)]
        yield f"{mark.mark or _NOTE_ALONE}: {safe_line(', '.join(where))}"
        yield from (f"  {safe_line(_in_words(decision))}" for decision in decisions)
    gone = sum(image not in names for image in images)
    conflicts = sum(len(words(decisions)) > 1 for decisions in images.values())
    yield (
        f"{plural(len(images), 'image')}, {plural(conflicts, 'conflict')}; {gone} of them not in this report"
    )


def _absent(path: str, paths: Collection[str]) -> str:
    """How an image is called whose bytes a report does not have."""
    here = mask_credentials(path) in paths
    return f"{path} ({'its earlier bytes, not those in this report' if here else 'not in this report'})"


def _place(decisions: Sequence[HeldDecision]) -> tuple[int, str]:
    """Conflicts, then by mark, then by name."""
    marks = words(decisions)
    first = marks[0] if marks else ""
    return -1 if len(marks) > 1 else _ORDER.index(first), decisions[0].entry.path


def _in_words(decision: HeldDecision) -> str:
    entry = decision.entry
    parts = [f"{entry.time[0]} {entry.by}: {entry.mark or _NOTE_ALONE}"]
    if entry.time[0] != entry.at:
        parts.append(f"by a clock that was at {entry.at}")
    if entry.kind is EntryKind.SETTLEMENT:
        parts.append("settles what others decided before")
    if decision.carried:
        answer = decision.carried[0]
        parts.append(f"decided of {entry.path}, whose copy this is, as {answer.by} said on {answer.at}")
    if entry.note:
        parts.append(f'"{_shortened(entry.note)}"')
    return "; ".join(parts)


def _shortened(note: str) -> str:
    return note if len(note) <= _LONGEST_NOTE else f"{note[:_LONGEST_NOTE]} ... ({len(note)} characters)"


def copies_line(count: int, report: str) -> str:
    """How many images may be copies of marked ones, and how to say whether they are."""
    look = "looks" if count == 1 else "look"
    return (
        f"{plural(count, 'image')} without a mark {look} like a marked one; to be confirmed: "
        f"sidscan marks confirm {report} --by NAME"
    )


def question_lines(questions: Iterable[Question]) -> Iterator[str]:
    """Each marked image, and below it what may be its copies."""
    for question in questions:
        mark, answer = question.mark, question.answered
        words = f"{mark.mark or _NOTE_ALONE} by {mark.by}" if mark else "no mark now"
        start = "answered before" if answer else "to be confirmed"
        earlier = any(copy.image.name == question.path for copy in question.copies)
        path = f"{'the earlier bytes of ' if earlier else ''}{safe_line(question.path)}"
        yield f"{start}: {path} ({safe_line(words)}) {'look' if earlier else 'looks'} like"
        for copy in question.copies:
            transform = f", {copy.transform}" if copy.transform else ""
            name = safe_line(mask_credentials(copy.image.name))
            yield f"  {name} ({copy.distance} of 256 bits differ{transform})"
        if answer:
            yield f"  {safe_line(answer.by)} said on {answer.at}: {answer.kind.value}"
