"""Marks and copies are joined to results when reports are written, whatever the order."""

from __future__ import annotations

import json
from dataclasses import asdict, replace

import pytest
from sample_results import FAILED, SCORED, journal_of

from sidscan.records import Copies, CopyAnswer, Decision, Mark, ScanResult
from sidscan.review.annotated import AnnotatedRecord
from sidscan.review.marks import Marks
from sidscan.review.marks_file import EntryKind, MarkEntry

AT = "2026-11-28T10:00:00+00:00"
ENTRY = MarkEntry(
    EntryKind.DECISION, str(SCORED.facts.sha256), "old.jpg", "suspicious", "six fingers", "Ada", AT
)
MARK = Mark("suspicious", "Ada", AT, "six fingers", (Decision("suspicious", "Ada", AT, "six fingers"),))
COPIES = Copies(same_as="first.jpg")


def test_marks_are_joined_by_bytes_and_copies_by_name() -> None:
    record = AnnotatedRecord(journal_of(SCORED, FAILED), Marks([ENTRY]), {FAILED.name: COPIES})
    by_name = {result.name: (result.mark, result.copies) for result in record.results()}
    assert by_name == {SCORED.name: (MARK, None), FAILED.name: (None, COPIES)}
    assert {result.name: (result.mark, result.copies) for result in record.ranked()} == by_name


def image(sha256: str, name: str = "") -> ScanResult:
    return replace(SCORED, name=name or f"{sha256}.jpg", facts=replace(SCORED.facts, sha256=sha256))


def said(kind: EntryKind, copy: str, marked: str, by: str, minute: int) -> MarkEntry:
    return MarkEntry(kind, copy, "old.jpg", "", "", by, at(minute), copy_of=marked)


def at(minute: int) -> str:
    return f"2026-11-28T10:{minute:02d}:00+00:00"


IMAGES = (image("a"), image("b"), image("b", "twin.jpg"), image("c"), image("d"), image("e"))
GROUPS = {result.name: Copies(group="a.jpg", count=4) for result in IMAGES[:4]} | {
    "d.jpg": Copies(group="d.jpg", count=2)
}


@pytest.mark.parametrize(
    ("entries", "answers"),
    [
        pytest.param(
            [said(EntryKind.OTHER_IMAGE, "b", "a", "Anna", 0)],
            {
                "a.jpg": [CopyAnswer("b.jpg", "b", False, "Anna", at(0))],
                "b.jpg": [CopyAnswer("a.jpg", "a", False, "Anna", at(0))],
                "twin.jpg": [CopyAnswer("a.jpg", "a", False, "Anna", at(0))],
            },
            id="on both, by bytes",
        ),
        pytest.param(
            [
                said(EntryKind.SAME_IMAGE, "c", "a", "Ben", 5),
                said(EntryKind.OTHER_IMAGE, "c", "b", "Anna", 1),
            ],
            {
                "a.jpg": [CopyAnswer("c.jpg", "c", True, "Ben", at(5))],
                "b.jpg": [CopyAnswer("c.jpg", "c", False, "Anna", at(1))],
                "twin.jpg": [CopyAnswer("c.jpg", "c", False, "Anna", at(1))],
                "c.jpg": [
                    CopyAnswer("b.jpg", "b", False, "Anna", at(1)),
                    CopyAnswer("a.jpg", "a", True, "Ben", at(5)),
                ],
            },
            id="in the order of time",
        ),
        pytest.param(
            [
                said(EntryKind.OTHER_IMAGE, "c", "a", "Anna", 0),
                said(EntryKind.SAME_IMAGE, "c", "a", "Ben", 1),
            ],
            {
                "a.jpg": [CopyAnswer("c.jpg", "c", True, "Ben", at(1))],
                "c.jpg": [CopyAnswer("a.jpg", "a", True, "Ben", at(1))],
            },
            id="the last counts",
        ),
        pytest.param([said(EntryKind.OTHER_IMAGE, "d", "a", "Anna", 0)], {}, id="of another group"),
        pytest.param([said(EntryKind.OTHER_IMAGE, "e", "a", "Anna", 0)], {}, id="of no group"),
        pytest.param([said(EntryKind.OTHER_IMAGE, "f", "a", "Anna", 0)], {}, id="not in the run"),
    ],
)
def test_answers_stand_on_both_images_and_leave_the_group_as_it_is(
    entries: list[MarkEntry], answers: dict[str, list[CopyAnswer]]
) -> None:
    record = AnnotatedRecord(journal_of(*IMAGES), Marks(entries), GROUPS)
    found = {result.name: result.copies for result in record.results()}
    assert {name: list(each.answers) for name, each in found.items() if each and each.answers} == answers
    assert {name: replace(each, answers=()) for name, each in found.items() if each} == GROUPS


def test_private_answers_lose_their_names() -> None:
    run = replace(journal_of().header(), private=True)
    marks = Marks([said(EntryKind.OTHER_IMAGE, "c", "a", "Anna", 0)])
    copies = next(AnnotatedRecord(journal_of(*IMAGES, run=run), marks, GROUPS).results()).copies
    assert copies
    assert copies.answers == (CopyAnswer("c.jpg", "c", False, "", at(0)),)


def test_copies_with_answers_are_read_again() -> None:
    copies = replace(GROUPS["a.jpg"], answers=(CopyAnswer("c.jpg", "c", False, "Anna", at(0)),))
    assert Copies.from_dict(json.loads(json.dumps(asdict(copies)))) == copies
    assert Copies.from_dict({"group": "a.jpg"}) == Copies(group="a.jpg"), "as before answers were known"


def test_everything_else_is_passed_on() -> None:
    journal = journal_of(SCORED, FAILED)
    record = AnnotatedRecord(journal, Marks(), {})
    assert (record.header(), record.counts()) == (journal.header(), journal.counts())
    assert list(record.results()) == list(journal.results())
    assert record.thumbnail("0" * 64) is None
