"""A run's record seen through something: the base of records that change what reports show."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from pathlib import Path

from sidscan.records import Counts, RunHeader, RunRecord, ScanResult, Selection
from sidscan.records.localization import KeptLocalization
from sidscan.records.score_map import CloserLook


class WrappedRecord(RunRecord):
    """Passes everything on to another record; a subclass overrides what it changes."""

    def __init__(self, record: RunRecord) -> None:
        self._record = record

    def header(self) -> RunHeader:
        """As the other record has it."""
        return self._record.header()

    def counts(self) -> Counts:
        """As the other record has them."""
        return self._record.counts()

    def results(self) -> Iterator[ScanResult]:
        """As the other record has them."""
        return self._record.results()

    def ranked(self) -> Iterator[ScanResult]:
        """As the other record has them."""
        return self._record.ranked()

    def selection(self) -> Selection | None:
        """As the other record has it."""
        return self._record.selection()

    def thumbnail(self, sha256: str) -> bytes | None:
        """As the other record has it."""
        return self._record.thumbnail(sha256)

    def crop(self, sha256: str, view: str) -> bytes | None:
        """As the other record has it."""
        return self._record.crop(sha256, view)

    def second_image(self, sha256: str) -> bytes | None:
        """As the other record has it."""
        return self._record.second_image(sha256)

    def closer_look(self, sha256: str) -> CloserLook | None:
        """As the other record has it."""
        return self._record.closer_look(sha256)

    def localization(self, sha256: str) -> KeptLocalization | None:
        """As the other record has it."""
        return self._record.localization(sha256)

    def output_digests(self, out: Path) -> Collection[str] | None:
        """As the other record has them."""
        return self._record.output_digests(out)

    def expect_output(self, out: Path, sha256: str) -> None:
        """Pass it on."""
        self._record.expect_output(out, sha256)

    def confirm_output(self, out: Path, sha256: str) -> None:
        """Pass it on."""
        self._record.confirm_output(out, sha256)
