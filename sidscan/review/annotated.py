"""A run's record whose results carry what no single scan of an image can know: marks, and copies."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace

from sidscan.records import Copies, CopyAnswer, RunRecord, ScanResult
from sidscan.reports.private import private_copies, private_mark
from sidscan.review.copies import find_copies
from sidscan.review.marks import Marks
from sidscan.review.marks_file import EntryKind
from sidscan.review.wrapped import WrappedRecord


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
        self._private = record.header().private

    def results(self) -> Iterator[ScanResult]:
        """All results, in the order of the inputs."""
        return map(self.annotated, super().results())

    def ranked(self) -> Iterator[ScanResult]:
        """All results, the strongest evidence first, inputs without a score last."""
        return map(self.annotated, super().ranked())

    def annotated(self, result: ScanResult) -> ScanResult:
        """A result with its mark and copies."""
        mark, copies = self._marks.mark_of(result), self._copies.get(result.name)
        if copies and (answers := self._answers.get(result.facts.sha256 or "")):
            copies = replace(copies, answers=tuple(answers))
        if self._private:
            mark, copies = private_mark(mark), private_copies(copies)
        return replace(result, mark=mark, copies=copies) if mark or copies else result


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


def annotated(record: RunRecord, marks: Marks) -> RunRecord:
    """A run's record with the marks of its images, and their copies."""
    return AnnotatedRecord(record, marks, copies=find_copies(record.results()))
