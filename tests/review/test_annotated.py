"""Marks and copies are joined to results when reports are written, whatever the order."""

from __future__ import annotations

from sample_results import FAILED, SCORED, journal_of

from sidscan.records import Copies, Decision, Mark
from sidscan.review.annotated import AnnotatedRecord
from sidscan.review.marks import Marks
from sidscan.review.marks_file import Entry, Kind

AT = "2026-11-28T10:00:00+00:00"
ENTRY = Entry(Kind.DECISION, str(SCORED.facts.sha256), "old.jpg", "suspicious", "six fingers", "Ada", AT)
MARK = Mark("suspicious", "Ada", AT, "six fingers", (Decision("suspicious", "Ada", AT, "six fingers"),))
COPIES = Copies(same_as="first.jpg")


def test_marks_are_joined_by_bytes_and_copies_by_name() -> None:
    record = AnnotatedRecord(journal_of(SCORED, FAILED), Marks([ENTRY]), {FAILED.name: COPIES})
    by_name = {result.name: (result.mark, result.copies) for result in record.results()}
    assert by_name == {SCORED.name: (MARK, None), FAILED.name: (None, COPIES)}
    assert {result.name: (result.mark, result.copies) for result in record.ranked()} == by_name


def test_everything_else_is_passed_on() -> None:
    journal = journal_of(SCORED, FAILED)
    record = AnnotatedRecord(journal, Marks(), {})
    assert (record.header(), record.counts()) == (journal.header(), journal.counts())
    assert list(record.results()) == list(journal.results())
    assert record.thumbnail("0" * 64) is None
