"""What people stand by: the latest decision of each, conflicts, settlements, copies."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidscan.review.marks import Marks, image_key, person_key, words
from sidscan.review.marks_file import EntryKind, MarkEntry

A, B, C = 64 * "a", 64 * "b", 64 * "c"


def decided(by: str, mark: str, day: int, sha256: str = A, note: str = "", **changes: object) -> MarkEntry:
    at = f"2026-01-{day:02d}T00:00:00+00:00"
    entry = MarkEntry(EntryKind.DECISION, sha256, "in/a.jpg", mark, note, by, at)
    return replace(entry, **changes)  # type: ignore[arg-type]


YEARS_AHEAD = "2036-01-01T00:00:00+00:00"


def day_of(day: int) -> str:
    return f"2026-01-0{day}T00:00:00+00:00"


def settled(by: str, mark: str, day: int) -> MarkEntry:
    return decided(by, mark, day, kind=EntryKind.SETTLEMENT)


def answered(copy: str, marked: str, same: bool, day: int = 1) -> MarkEntry:
    kind = EntryKind.SAME_IMAGE if same else EntryKind.OTHER_IMAGE
    return decided("Chief", "", day, copy, kind=kind, copy_of=marked, distance=2)


def held(entries: list[MarkEntry], image: str = A) -> list[tuple[str, str]]:
    return [(each.entry.by, each.entry.mark) for each in Marks(entries).decisions(image)]


CASES: dict[str, tuple[list[MarkEntry], list[tuple[str, str]]]] = {
    "nothing": ([], []),
    "one": ([decided("Anna", "cleared", 1)], [("Anna", "cleared")]),
    "the later of one person counts": (
        [decided("Anna", "cleared", 1), decided("Anna", "suspicious", 2)],
        [("Anna", "suspicious")],
    ),
    "also if it was recorded first": (
        [decided("Anna", "suspicious", 2), decided("Anna", "cleared", 1)],
        [("Anna", "suspicious")],
    ),
    "of the same time, the one recorded later": (
        [decided("Anna", "suspicious", 1), decided("Anna", "cleared", 1)],
        [("Anna", "cleared")],
    ),
    "one person by two spellings": (
        [decided("Anna  B", "suspicious", 1), decided("ANNA b", "cleared", 2)],
        [("ANNA b", "cleared")],
    ),
    "taken back": ([decided("Anna", "cleared", 1), decided("Anna", "", 2)], []),
    "a note alone": ([decided("Anna", "", 1, note="who?")], [("Anna", "")]),
    "two people": (
        [decided("Anna", "cleared", 1), decided("Ben", "suspicious", 2)],
        [("Anna", "cleared"), ("Ben", "suspicious")],
    ),
    "settled": (
        [decided("Anna", "cleared", 1), decided("Ben", "suspicious", 2), settled("Chief", "suspicious", 3)],
        [("Chief", "suspicious")],
    ),
    "decided before it was settled and recorded after": (
        [settled("Chief", "cleared", 3), decided("Ben", "suspicious", 2)],
        [("Chief", "cleared")],
    ),
    "the same of a copy": (
        [
            *(settled("Chief", "cleared", 3), decided("Ben", "suspicious", 2, B)),
            answered(A, B, same=True, day=4),
        ],
        [("Chief", "cleared")],
    ),
    "decided after it was settled": (
        [settled("Chief", "cleared", 3), decided("Ben", "suspicious", 4)],
        [("Chief", "cleared"), ("Ben", "suspicious")],
    ),
    "by a clock ten years ahead, then a real one": (
        [
            decided("Anna", "suspicious", 1, at=YEARS_AHEAD, recorded_at=day_of(2)),
            decided("Anna", "cleared", 3, recorded_at=day_of(4)),
        ],
        [("Anna", "cleared")],
    ),
    "a settlement by a clock ten years ahead": (
        [
            replace(settled("Chief", "cleared", 1), at=YEARS_AHEAD, recorded_at=day_of(2)),
            decided("Ben", "suspicious", 3, recorded_at=day_of(4)),
        ],
        [("Chief", "cleared"), ("Ben", "suspicious")],
    ),
    "two by a clock ten years ahead, imported at once": (
        [
            decided("Anna", "cleared", 1, at="2036-01-02T00:00:00+00:00", recorded_at=day_of(2)),
            decided("Anna", "suspicious", 1, at=YEARS_AHEAD, recorded_at=day_of(2)),
        ],
        [("Anna", "cleared")],
    ),
    "the same again after it was settled": (
        [
            *(decided("Anna", "cleared", 1), settled("Chief", "suspicious", 3)),
            *(decided("Anna", "cleared", 1), decided("Chief", "suspicious", 3)),
        ],
        [("Chief", "suspicious")],
    ),
    "a copy that was confirmed": (
        [decided("Anna", "cleared", 1, B), answered(A, B, same=True)],
        [("Anna", "cleared")],
    ),
    "a copy of a copy": (
        [decided("Anna", "cleared", 1, C), answered(B, C, same=True), answered(A, B, same=True)],
        [("Anna", "cleared")],
    ),
    "copies of each other": (
        [decided("Anna", "cleared", 1, B), answered(A, B, same=True), answered(B, A, same=True)],
        [("Anna", "cleared")],
    ),
    "a copy that was denied": ([decided("Anna", "cleared", 1, B), answered(A, B, same=False)], []),
    "denied after all": (
        [
            *(decided("Anna", "cleared", 1, B), answered(A, B, same=True)),
            answered(A, B, same=False, day=2),
        ],
        [],
    ),
    "a decision of its own": (
        [
            *(decided("Anna", "cleared", 1, B), answered(A, B, same=True)),
            decided("Anna", "suspicious", 2),
        ],
        [("Anna", "suspicious")],
    ),
    "a later decision on the original": (
        [
            *(decided("Anna", "suspicious", 2), answered(A, B, same=True)),
            decided("Anna", "cleared", 3, B),
        ],
        [("Anna", "cleared")],
    ),
    "a copy of its own settlement": (
        [
            *(decided("Anna", "cleared", 1, B), answered(A, B, same=True)),
            settled("Chief", "suspicious", 3),
        ],
        [("Chief", "suspicious")],
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_what_people_stand_by(name: str) -> None:
    entries, expected = CASES[name]
    assert held(entries) == expected


def test_a_carried_decision_says_by_whose_word() -> None:
    answer = answered(A, B, same=True)
    (decision,) = Marks([decided("Anna", "cleared", 1, B), answer]).decisions(A)
    assert decision.carried == (answer,)
    assert Marks([decided("Anna", "cleared", 1, B), answer]).decisions(A, carried=False) == ()


def test_different_marks_are_a_conflict_and_equal_ones_none() -> None:
    anna, ben = decided("Anna", "cleared", 1), decided("Ben", "suspicious", 2)
    note = decided("Cem", "", 1, note="?")
    assert words(Marks([anna, ben]).decisions(A)) == ("cleared", "suspicious")
    assert words(Marks([anna, replace(ben, mark="cleared"), note]).decisions(A)) == ("cleared",)


def test_what_could_not_be_read_is_known_by_its_path_alone() -> None:
    marks = Marks([decided("Anna", "later", 1, "", path="in/broken.jpg")])
    assert len(marks.decisions(image_key(None, "in/broken.jpg"))) == 1
    assert marks.decisions(image_key(A, "in/broken.jpg")) == ()


@pytest.mark.parametrize(("one", "other"), [("Anna", "anna "), ("\uff21nna", "Anna"), ("A  B", "a b")])
def test_one_person(one: str, other: str) -> None:
    assert person_key(one) == person_key(other)


DAYS = st.integers(1, 9)
PEOPLE = st.sampled_from(["Anna", "Ben", "Cem"])
ENTRIES = st.lists(
    st.builds(decided, PEOPLE, st.sampled_from(["suspicious", "cleared", ""]), DAYS), max_size=12
)


@given(ENTRIES)
def test_recording_a_decision_again_changes_nothing(entries: list[MarkEntry]) -> None:
    assert held([*entries, *entries]) == held(entries)


@given(ENTRIES)
def test_nobody_speaks_twice_and_nobody_is_made_to_speak(entries: list[MarkEntry]) -> None:
    found = held(entries)
    assert len({by for by, _ in found}) == len(found)
    assert {by for by, _ in found} <= {entry.by for entry in entries}
    for by, mark in found:
        last = max(entry.at for entry in entries if entry.by == by)
        assert mark in {entry.mark for entry in entries if (entry.by, entry.at) == (by, last)}
