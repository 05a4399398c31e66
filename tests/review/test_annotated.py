"""Marks and copies are joined to results when reports are written, whatever the order."""

from __future__ import annotations

from sample_results import FAILED, SCORED, journal_of

from sidscan.records import Copies, Mark
from sidscan.review.annotated import AnnotatedRecord

MARK = Mark("suspicious", "Ada", "2026-11-28T10:00:00Z", "six fingers")
COPIES = Copies(same_as="first.jpg")


def test_marks_are_joined_by_bytes_and_copies_by_name() -> None:
    record = AnnotatedRecord(
        journal_of(SCORED, FAILED), {str(SCORED.facts.sha256): MARK}, {FAILED.name: COPIES}
    )
    by_name = {result.name: (result.mark, result.copies) for result in record.results()}
    assert by_name == {SCORED.name: (MARK, None), FAILED.name: (None, COPIES)}
    assert {result.name: (result.mark, result.copies) for result in record.ranked()} == by_name


def test_everything_else_is_passed_on() -> None:
    journal = journal_of(SCORED, FAILED)
    record = AnnotatedRecord(journal, {}, {})
    assert (record.header(), record.counts()) == (journal.header(), journal.counts())
    assert list(record.results()) == list(journal.results())
    assert record.thumbnail("0" * 64) is None
