"""Which input of one run is which of another: by path, below another folder, by sha256; each exactly once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidscan.errors import OutputError
from sidscan.reports.stated import StatedMark, StatedResult, StatedScore
from sidscan.review.comparison import Comparison, compared
from sidscan.review.differences import Change, Difference, MatchedBy


def row(name: str, content: str | None = "a", score: float = 0.5, evidence: str = "weak") -> StatedResult:
    """A row whose sha256 stands for its content; without content, one that failed."""
    if content is None:
        return StatedResult(name, None, "failed")
    return StatedResult(
        name, content.ljust(64, "0"), "scored", scores=(StatedScore("mini", score, evidence),)
    )


def rows(**named: str | None) -> list[StatedResult]:
    return [row(name, content) for name, content in named.items()]


def pairs(differences: Iterable[Difference]) -> list[tuple[str, str | None, str | None]]:
    return [
        (
            each.change.value,
            each.old.name if each.old else None,
            each.new.name if each.new else None,
        )
        for each in differences
    ]


def everything(comparison: Comparison) -> list[Difference]:
    return list(comparison.differences(*Change))


MATCHES = {
    "by path": (rows(a="1"), rows(a="1"), {MatchedBy.PATH: 1}, None, []),
    "however the path is written": ([row("./x//a")], [row("x/a")], {MatchedBy.PATH: 1}, None, []),
    "by path before sha256": (
        rows(a="1", b="2"),
        rows(a="2", b="1"),
        {MatchedBy.PATH: 2},
        None,
        [("changed bytes", "a", "a"), ("changed bytes", "b", "b")],
    ),
    "renamed": (
        rows(a="1", b="2"),
        rows(a="1", c="2"),
        {MatchedBy.PATH: 1, MatchedBy.SHA256: 1},
        None,
        [("moved", "b", "c")],
    ),
    "moved and copied": (
        rows(a="1", b="2"),
        rows(a="1", c="2", d="2"),
        {MatchedBy.PATH: 1, MatchedBy.SHA256: 1},
        None,
        [("new", None, "d"), ("moved", "b", "c")],
    ),
    "the same name before others": (
        [row("k"), row("x/a", "2"), row("x/b", "2")],
        [row("k"), row("y/b", "2"), row("y/a", "2")],
        {MatchedBy.PATH: 1, MatchedBy.SHA256: 2},
        None,
        [("moved", "x/b", "y/b"), ("moved", "x/a", "y/a")],
    ),
    "another folder": (
        [row("/old/photos/1/a", "1"), row("/old/photos/2/b", "2"), row("/old/photos/2/c", "3")],
        [row("photos/1/a", "1"), row("photos/2/b", "2"), row("photos/2/c", "4")],
        {MatchedBy.FOLDER: 3},
        ("/old", "."),
        [("changed bytes", "/old/photos/2/c", "photos/2/c")],
    ),
    "from another folder": (
        [row("a", "1"), row("b", "2")],
        [row("/mnt/a", "1"), row("/mnt/b", "3")],
        {MatchedBy.FOLDER: 2},
        (".", "/mnt"),
        [("changed bytes", "b", "/mnt/b")],
    ),
    "URLs keep their names": (
        [row("https://host/x/a", "1"), row("/old/b", "2"), row("/old/c", "3")],
        [row("https://host/x/a", "1"), row("/new/b", "2"), row("/new/c", "3")],
        {MatchedBy.PATH: 1, MatchedBy.FOLDER: 2},
        ("/old", "/new"),
        [],
    ),
    "a folder that moved within the archive": (
        [row("k/a", "1"), row("k/x/b", "2")],
        [row("k/a", "1"), row("k/y/b", "2")],
        {MatchedBy.PATH: 1, MatchedBy.SHA256: 1},
        None,
        [("moved", "k/x/b", "k/y/b")],
    ),
    "no folder that most agree on": (
        [row("1/a", "1"), row("2/b", "2")],
        [row("3/a", "1"), row("4/b", "2")],
        {MatchedBy.SHA256: 2},
        None,
        [("moved", "1/a", "3/a"), ("moved", "2/b", "4/b")],
    ),
    "without a sha256, by path alone": (
        [row("a", None), row("b", None)],
        [row("a", None), row("c", None)],
        {MatchedBy.PATH: 1},
        None,
        [("new", None, "c"), ("gone", "b", None)],
    ),
    "one name twice": (
        [row("a", "1"), row("./a", "2")],
        [row("a", "1")],
        {MatchedBy.PATH: 1},
        None,
        [("gone", "./a", None)],
    ),
    "nothing in common": (rows(a="1"), rows(b="2"), {}, None, [("new", None, "b"), ("gone", "a", None)]),
    "empty": ([], [], {}, None, []),
}


@pytest.mark.parametrize(("old", "new", "matched_by", "folders", "expected"), MATCHES.values(), ids=MATCHES)
def test_matching(
    old: list[StatedResult],
    new: list[StatedResult],
    matched_by: dict[MatchedBy, int],
    folders: tuple[str, str] | None,
    expected: list[tuple[str, str | None, str | None]],
) -> None:
    with compared(old, new) as comparison:
        assert pairs(comparison.differences()) == expected
        assert comparison.matched_by == matched_by
        assert comparison.folders == folders
        assert comparison.differs == bool(expected)


def test_where_the_same_bytes_are_is_said() -> None:
    old, new = rows(a="1", b="2", c="3"), rows(a="1", copy="1", b="4", other="2")
    with compared([*old, row("d", "1")], new) as comparison:
        found = {pair[1:]: each.same_bytes for each in comparison.differences() for pair in pairs([each])}
    assert found == {
        (None, "other"): "b",
        ("d", "copy"): None,
        ("b", "b"): "other",
        ("c", None): None,
    }


def test_the_strongest_evidence_comes_first() -> None:
    new = [
        row("a", "1", 0.1),
        row("b", "2", 0.9, "inconclusive"),
        row("c", "3", 0.7, "strong"),
        row("d", None),
    ]
    with compared([], new) as comparison:
        assert [name for *_, name in pairs(comparison.differences())] == ["c", "a", "b", "d"]
        assert [name for *_, name in pairs(comparison.differences(Change.NEW, most=1))] == ["c"]


NAMES = st.lists(
    st.tuples(
        st.text(st.sampled_from("ab/.\ud800\udcff\n"), min_size=1, max_size=4),
        st.sampled_from([None, "1", "2", "3"]),
        st.sampled_from([0.1, 0.10005, 0.9]),
        st.sampled_from([None, StatedMark("later")]),
    ),
    max_size=8,
)


@given(NAMES, NAMES)
def test_every_input_is_in_exactly_one_class(
    old: list[tuple[str, str | None, float, StatedMark | None]],
    new: list[tuple[str, str | None, float, StatedMark | None]],
) -> None:
    before, after = (
        [
            StatedResult(
                name,
                content,
                "scored",
                scores=(StatedScore("m", score, "weak"),),
                mark=mark,
                marks_known=True,
            )
            for name, content, score, mark in run
        ]
        for run in (old, new)
    )
    with compared(before, after) as comparison:
        found = everything(comparison)
    assert Counter(each.old for each in found if each.old) == Counter(before)
    assert Counter(each.new for each in found if each.new) == Counter(after)
    assert Counter(each.change for each in found) == comparison.counts
    assert sum(comparison.matched_by.values()) == sum(1 for each in found if each.old and each.new)
    assert all((each.matched_by is None) == (each.old is None or each.new is None) for each in found)


@given(NAMES)
def test_a_run_does_not_differ_from_itself(
    names: list[tuple[str, str | None, float, StatedMark | None]],
) -> None:
    run = [row(name, content, score) for name, content, score, _ in names]
    with compared(run, run) as comparison:
        assert comparison.counts == ({Change.UNCHANGED: len(run)} if run else {})


def test_an_error_of_a_report_is_raised_as_it_is() -> None:
    def broken() -> Iterable[StatedResult]:
        yield row("a")
        raise OutputError("read no further")

    with pytest.raises(OutputError, match="read no further"), compared(broken(), []):
        pass
