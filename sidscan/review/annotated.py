"""A run's record whose results carry what no single scan of an image can know: marks, and copies."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace

from sidscan.records import Copies, RunRecord, ScanResult
from sidscan.reports.private import private_mark
from sidscan.review.copies import find_copies
from sidscan.review.marks import Marks
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
        if self._private:
            mark = private_mark(mark)
        return replace(result, mark=mark, copies=copies) if mark or copies else result


def annotated(record: RunRecord, marks: Marks) -> RunRecord:
    """A run's record with the marks of its images, and their copies."""
    return AnnotatedRecord(record, marks, copies=find_copies(record.results()))
