"""The images with the strongest evidence: their order, the closing lines, a table for a terminal."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sample_images import folder
from sample_results import FAILED, SCORED

from sidscan.cli.ranking import Ranking, highest_lines, table
from sidscan.records import EVIDENCE_WORDS, Copies, ImageInfo, ScanResult
from sidscan.util.terminal import clipped_start

Run = Callable[..., Any]


def result(name: str, evidence: str, *scores: float, **facts: Any) -> ScanResult:
    """A scored image; each further score is of another model."""
    made = tuple(
        replace(SCORED.scores[0], model=f"m{index}", score=score, logit=score, evidence=evidence)
        for index, score in enumerate(scores)
    )
    return replace(SCORED, name=name, scores=made, facts=ImageInfo(**{"format": "JPEG", **facts}))


def ranked(*results: ScanResult, size: int = 10) -> Ranking:
    ranking = Ranking(size)
    for each in results:
        ranking.add(each)
    return ranking


def test_evidence_goes_before_score_and_inconclusive_comes_last() -> None:
    ranking = ranked(
        result("inconclusive.jpg", "inconclusive", 0.99),
        result("weak.jpg", "weak", 0.73),
        FAILED,
        result("strong.jpg", "strong", 0.8),
        result("very strong.jpg", "very strong", 0.7),
    )
    assert highest_lines(ranking.highest()) == [
        "highest evidence:",
        "  0.700  very strong   very strong.jpg",
        "  0.800  strong        strong.jpg",
        "  0.730  weak          weak.jpg",
        "  0.990  inconclusive  inconclusive.jpg",
    ]


def test_without_a_score_there_is_nothing_to_name() -> None:
    assert highest_lines(ranked(FAILED).highest()) == []


def test_the_strongest_of_several_models_counts_and_is_named() -> None:
    ranking = ranked(result("a.jpg", "weak", 0.2, 0.6), result("b.jpg", "weak", 0.5, 0.1))
    assert table(ranking.highest(), 80) == [
        "score  evidence  model  format  flags  path",
        "0.600  weak      m1     JPEG    -      a.jpg",
        "0.500  weak      m0     JPEG    -      b.jpg",
    ]
    assert highest_lines(ranking.highest()) == [
        "highest evidence:",
        "  0.600  weak  m1  a.jpg",
        "  0.500  weak  m0  b.jpg",
    ]


def test_images_that_show_the_same_take_one_line() -> None:
    copies = Copies(None, "0.jpg", 0, None, 6, 0.26, 0.8)
    results = [
        replace(result(f"{index}.jpg", "strong", 0.8 - index / 10), copies=copies) for index in range(6)
    ]
    ranking = ranked(*results[::-1], result("b.jpg", "weak", 0.2), FAILED, size=2).highest()
    assert highest_lines(ranking) == [
        "highest evidence:",
        "  0.800  strong  0.jpg (6 copies, 0.26 to 0.80)",
        "  0.200  weak    b.jpg",
    ]
    assert table(ranking, 70)[1].endswith("0.jpg (6 copies, 0.26 to 0.80)")


def test_copies_with_one_score_are_only_counted() -> None:
    copies = Copies(None, "a.jpg", 0, None, 2, 0.8, 0.8)
    (entry,) = ranked(replace(result("a.jpg", "strong", 0.8), copies=copies)).highest()
    assert highest_lines([entry])[1] == "  0.800  strong  a.jpg (2 copies)"


@given(
    st.lists(st.tuples(st.sampled_from(EVIDENCE_WORDS), st.integers(0, 1000).map(lambda n: n / 1000))),
    st.integers(1, 6),
)
def test_the_ranking_is_the_start_of_all_results_in_order(images: list[tuple[str, float]], size: int) -> None:
    results = [result(str(index), word, score) for index, (word, score) in enumerate(images)]
    everything = [entry.result.name for entry in ranked(*results, size=1000).highest()]
    assert everything == sorted(
        map(str, range(len(images))),
        key=lambda name: (EVIDENCE_WORDS.index(images[int(name)][0]), -images[int(name)][1], int(name)),
    )
    assert [entry.result.name for entry in ranked(*results, size=size).highest()] == everything[:size]


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        pytest.param("archive/hills.png", "archive/hills.png", id="short"),
        pytest.param("long/path/" * 9 + "hills.png", "...ong/path/long/path/long/path/hills.png", id="long"),
        pytest.param("写真" * 20 + ".jpg", "...真" + "写真" * 8 + ".jpg", id="wide characters"),
        pytest.param("a\x1b[2J\n.jpg", r"a\x1b[2J\x0a.jpg", id="control characters"),
        pytest.param("https://user:secret@host/a.jpg", "https://***@host/a.jpg", id="password"),
    ],
)  # fmt: skip
def test_a_path_keeps_its_end(name: str, shown: str) -> None:
    _, line = table(ranked(result(name, "weak", 0.25)).highest(), 73)
    assert line == f"0.250  weak      JPEG    -      {shown}"


def test_many_flags_leave_room_for_the_path() -> None:
    flags = ("first_frame", "alpha_dropped", "reduced_to_8_bit")
    lines = table(ranked(result("images/" * 20 + "a.png", "very strong", 0.9, flags=flags)).highest(), 80)
    assert lines == [
        "score  evidence     format  flags                 path",
        "0.900  very strong  JPEG    first_frame alpha...  .../images/images/images/a.png",
    ]


@given(st.text(), st.integers(3, 60))
def test_what_is_cut_is_never_wider_than_the_room(text: str, width: int) -> None:
    clipped = clipped_start(text, width)
    assert clipped == text or clipped.startswith("...")
    assert len(clipped) <= max(width, len(text))


def test_a_scan_names_the_highest_five(sidscan: Run, tmp_path: Path) -> None:
    images = folder(tmp_path / "images", count=7)
    ended = sidscan("scan", images, "--model", "mini", "--out", tmp_path / "r.csv")
    lines = ended.err.splitlines()
    first = lines.index("highest evidence:") + 1
    named = [line.split() for line in lines[first : first + 5]]
    assert all(line[-1].startswith(str(images)) for line in named)
    scores = [float(line[0]) for line in named]
    assert scores == sorted(scores, reverse=True)
    assert lines[first + 5] == f"report: {tmp_path / 'r.csv'}"
    assert sidscan("scan", images, "--model", "mini", "--quiet", "--out", tmp_path / "q.csv").err == ""
