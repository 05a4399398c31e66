"""A run's record without personal facts, for one report; the record itself keeps them."""

from __future__ import annotations

from collections.abc import Iterator

from sidscan.records import RunHeader, ScanResult
from sidscan.reports.private import private_header, private_result
from sidscan.review.wrapped import WrappedRecord


class PrivateRecord(WrappedRecord):
    """Leaves out what `reports.private` withholds."""

    def header(self) -> RunHeader:
        """The facts about the run that are not withheld."""
        return private_header(super().header())

    def results(self) -> Iterator[ScanResult]:
        """All results, in the order of the inputs."""
        return map(private_result, super().results())

    def ranked(self) -> Iterator[ScanResult]:
        """All results, the strongest evidence first, inputs without a score last."""
        return map(private_result, super().ranked())

    def second_image(self, sha256: str) -> None:
        """Nothing: somebody may have cropped or replaced what it shows, and not know that it is there."""
