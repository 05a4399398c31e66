"""A run's record whose results carry what no scan of an image gives: marks, copies, and maps in figures."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from copy import copy
from dataclasses import replace
from typing import Protocol

from sidscan.records import Copies, CopyAnswer, RunRecord, ScanResult
from sidscan.records.localization import Localization
from sidscan.reports.private import private_copies, private_localization, private_mark
from sidscan.review.many_copies import find_copies_among_many
from sidscan.review.marks import Marks
from sidscan.review.marks_file import EntryKind
from sidscan.review.wrapped import WrappedRecord


class StoredRun(RunRecord, Protocol):
    """A record that knows which of its results may have copies."""

    def possible_copies(self) -> Iterator[ScanResult]:
        """Those results that `review.copies.find_copies` needs, in the order of the inputs."""
        ...


class AnnotatedRecord(WrappedRecord):
    """Joins marks and copies to the results of a record when reports are written.

    Args:
        marks: what people decided.
        copies: by the name of an input; inputs that have none are left out.
    """

    def __init__(self, record: RunRecord, marks: Marks, copies: Mapping[str, Copies]) -> None:
        super().__init__(record)
        self._marks, self._copies = marks, copies
        self._answers = _answers(record.results(), marks, copies) if copies and any(marks.answers()) else {}
        header = record.header()
        self._private, self._localizer = header.private, header.localizer

    def part(self, record: RunRecord) -> AnnotatedRecord:
        """The record of a part of the run, with what is known from the whole."""
        part = copy(self)
        part._record = record
        return part

    @property
    def has_copies(self) -> bool:
        """Whether any input has copies."""
        return bool(self._copies)

    def results(self) -> Iterator[ScanResult]:
        """All results, in the order of the inputs."""
        return map(self.annotated, super().results())

    def ranked(self) -> Iterator[ScanResult]:
        """All results, the strongest evidence first, inputs without a score last."""
        return map(self.annotated, super().ranked())

    def annotated(self, result: ScanResult) -> ScanResult:
        """A result with its mark, its copies, and what a localizer made of it."""
        mark = self._marks.mark_of(result) if self._marks else None
        copies = self._copies.get(result.name)
        if copies and (answers := self._answers.get(result.facts.sha256 or "")):
            copies = replace(copies, answers=tuple(answers))
        if self._private:
            mark, copies = private_mark(mark), private_copies(copies)
        made = self._localization(result)
        if self._private:
            made = private_localization(made)
        joined = mark or copies or made
        return replace(result, mark=mark, copies=copies, localization=made) if joined else result

    def _localization(self, result: ScanResult) -> Localization | None:
        """What the run's localizer made of the image, in figures."""
        if self._localizer is None or not result.scores or result.facts.sha256 is None:
            return None
        kept = self._record.localization(result.facts.sha256)
        return kept.facts if kept and kept.facts.digest == self._localizer.digest else None


def _answers(
    results: Iterable[ScanResult], marks: Marks, copies: Mapping[str, Copies]
) -> dict[str, list[CopyAnswer]]:
    """By sha256, what people said of an image and others of its group, in the order of time."""
    names: dict[str, str] = {}
    for result in results:
        if result.facts.sha256 and result.name in copies:
            names.setdefault(result.facts.sha256, result.name)
    found: dict[str, list[CopyAnswer]] = {}
    for said in sorted(marks.answers(), key=lambda entry: entry.time):
        pair = said.sha256, said.copy_of
        if not all(sha256 in names for sha256 in pair):
            continue
        first, second = (copies[names[sha256]].group for sha256 in pair)
        if first == second:
            for here, there in (pair, pair[::-1]):
                same = said.kind is EntryKind.SAME_IMAGE
                answer = CopyAnswer(names[there], there, same, said.by, said.time[0])
                found.setdefault(here, []).append(answer)
    return found


def annotated(record: StoredRun, marks: Marks) -> AnnotatedRecord:
    """A run's record with the marks of its images, and their copies."""
    return AnnotatedRecord(record, marks, copies=find_copies_among_many(record.possible_copies()))
