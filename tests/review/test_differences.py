"""Differences of one input: its class, what else is true, and why its score may differ."""

from __future__ import annotations

from dataclasses import replace

import pytest

from sidscan.reports.stated import MadeBy, StatedMark, StatedModel, StatedResult, StatedScore
from sidscan.review.difference_text import decimals
from sidscan.review.differences import Change, MatchedBy, compare

MODEL = StatedModel("mini", "abc", 0.6, "")
MADE_BY = MadeBy((MODEL,), "pytorch 2", "cpu", "fp32", "full", 10, "Pillow 13", "0.2.0")
ROW = StatedResult(
    "a.jpg",
    "a" * 64,
    "scored",
    scores=(StatedScore("mini", 0.5, "weak"),),
    made_by=MADE_BY,
    marks_known=True,
)
SUSPICIOUS = StatedMark("suspicious", "ada", "2026-01-01T00:00:00+00:00", "look")


def scored(score: float, evidence: str = "weak", model: str = "mini") -> StatedResult:
    return replace(ROW, scores=(StatedScore(model, score, evidence),))


CASES = {
    "the same": (ROW, ROW, MatchedBy.PATH, [Change.UNCHANGED]),
    "new": (None, ROW, None, [Change.NEW]),
    "gone": (ROW, None, None, [Change.GONE]),
    "other bytes": (ROW, replace(ROW, sha256="b" * 64), MatchedBy.PATH, [Change.BYTES]),
    "other bytes and score": (
        ROW,
        replace(scored(0.9, "strong"), sha256="b" * 64),
        MatchedBy.PATH,
        [Change.BYTES, Change.SCORE, Change.EVIDENCE],
    ),
    "failed now": (
        ROW,
        replace(ROW, status="failed", scores=(), message="cut"),
        MatchedBy.PATH,
        [Change.STATUS],
    ),
    "unreadable now": (
        ROW,
        replace(ROW, status="failed", scores=(), sha256=None),
        MatchedBy.PATH,
        [Change.STATUS],
    ),
    "score": (ROW, scored(0.51), MatchedBy.PATH, [Change.SCORE]),
    "score and evidence": (ROW, scored(0.7, "strong"), MatchedBy.PATH, [Change.SCORE, Change.EVIDENCE]),
    "at the tolerance": (ROW, scored(0.5001), MatchedBy.PATH, [Change.WITHIN_TOLERANCE]),
    "above the tolerance": (ROW, scored(0.500102), MatchedBy.PATH, [Change.SCORE]),
    "beyond six decimals": (ROW, scored(0.5000001), MatchedBy.PATH, [Change.UNCHANGED]),
    "evidence alone": (ROW, scored(0.5, "moderate"), MatchedBy.PATH, [Change.EVIDENCE]),
    "evidence within the tolerance": (
        ROW,
        scored(0.50005, "moderate"),
        MatchedBy.PATH,
        [Change.EVIDENCE, Change.WITHIN_TOLERANCE],
    ),
    "another model": (ROW, scored(0.5, model="rine"), MatchedBy.PATH, [Change.SCORE]),
    "marked": (ROW, replace(ROW, mark=SUSPICIOUS), MatchedBy.PATH, [Change.MARKED]),
    "mark taken back": (replace(ROW, mark=SUSPICIOUS), ROW, MatchedBy.PATH, [Change.MARK]),
    "another mark": (
        replace(ROW, mark=SUSPICIOUS),
        replace(ROW, mark=replace(SUSPICIOUS, mark="cleared")),
        MatchedBy.PATH,
        [Change.MARK],
    ),
    "another note": (
        replace(ROW, mark=SUSPICIOUS),
        replace(ROW, mark=replace(SUSPICIOUS, note="seen")),
        MatchedBy.PATH,
        [Change.MARK],
    ),
    "note withheld": (
        replace(ROW, mark=SUSPICIOUS),
        replace(ROW, mark=replace(SUSPICIOUS, by="", note="")),
        MatchedBy.PATH,
        [Change.UNCHANGED],
    ),
    "marked again": (
        replace(ROW, mark=SUSPICIOUS),
        replace(ROW, mark=replace(SUSPICIOUS, by="eve", at="2026-02-01T00:00:00+00:00")),
        MatchedBy.PATH,
        [Change.UNCHANGED],
    ),
    "marks not stated": (
        replace(ROW, mark=SUSPICIOUS),
        replace(ROW, marks_known=False),
        MatchedBy.PATH,
        [Change.UNCHANGED],
    ),
    "moved": (ROW, replace(ROW, name="b.jpg"), MatchedBy.SHA256, [Change.MOVED]),
    "moved and marked": (
        ROW,
        replace(ROW, name="b.jpg", mark=SUSPICIOUS),
        MatchedBy.SHA256,
        [Change.MARKED, Change.MOVED],
    ),
    "another folder": (ROW, replace(ROW, name="/x/a.jpg"), MatchedBy.FOLDER, [Change.UNCHANGED]),
}


@pytest.mark.parametrize(("old", "new", "matched_by", "changes"), CASES.values(), ids=CASES)
def test_what_changed(
    old: StatedResult | None, new: StatedResult | None, matched_by: MatchedBy | None, changes: list[Change]
) -> None:
    assert list(compare(old, new, matched_by).changes) == changes


WHYS = {
    "weights": ({"models": (replace(MODEL, digest="def"),)}, "weights abc -> def"),
    "threshold": ({"models": (replace(MODEL, threshold=0.7),)}, "threshold 0.6 -> 0.7"),
    "calibration": ({"models": (replace(MODEL, calibration="c1"),)}, "calibration none -> c1"),
    "runtime": ({"runtime": "onnxruntime 1"}, "runtime pytorch 2 -> onnxruntime 1"),
    "device": ({"device": "cuda"}, "device cpu -> cuda"),
    "precision": ({"precision": "fp16"}, "precision fp32 -> fp16"),
    "effort": ({"effort": "fast", "crops": 1}, "effort full -> fast; crops 10 -> 1"),
    "decoder": ({"decoder": "Pillow 14"}, "decoder Pillow 13 -> Pillow 14"),
    "version": ({"sidscan_version": "0.3.0"}, "sidscan 0.2.0 -> 0.3.0"),
    "nothing": ({}, "nothing that both state differs"),
    "not known": (
        {"effort": None, "sidscan_version": "0.3.0"},
        "sidscan 0.2.0 -> 0.3.0; not known: effort",
    ),
    "nothing known": (
        {"runtime": None, "decoder": None},
        "nothing that both state differs; not known: runtime, decoder",
    ),
}


@pytest.mark.parametrize(("changes", "why"), WHYS.values(), ids=WHYS)
def test_why_a_score_differs(changes: dict[str, object], why: str) -> None:
    new = replace(scored(0.9), made_by=replace(MADE_BY, **changes))  # type: ignore[arg-type]
    assert compare(ROW, new, MatchedBy.PATH).why == why


def test_other_bytes_come_first_among_the_causes() -> None:
    new = replace(scored(0.9), sha256="b" * 64, made_by=replace(MADE_BY, device="cuda"))
    difference = compare(ROW, new, MatchedBy.PATH)
    assert difference.why == "bytes aaaaaaaa -> bbbbbbbb; device cpu -> cuda"


def test_no_reason_is_given_where_no_score_differs() -> None:
    new = replace(ROW, name="b.jpg", made_by=replace(MADE_BY, device="cuda"))
    assert compare(ROW, new, MatchedBy.SHA256).why == ""


def test_the_model_whose_score_changed_most_is_shown() -> None:
    old = replace(ROW, scores=(StatedScore("mini", 0.5, "weak"), StatedScore("rine", 0.5, "weak")))
    new = replace(ROW, scores=(StatedScore("rine", 0.9, "strong"), StatedScore("mini", 0.6, "weak")))
    difference = compare(old, new, MatchedBy.PATH)
    assert (difference.old_score, difference.new_score) == (old.scores[1], new.scores[0])


def test_other_models_are_compared_by_the_first() -> None:
    difference = compare(ROW, scored(0.5, model="rine"), MatchedBy.PATH)
    assert difference.why.startswith("model mini -> rine")


@pytest.mark.parametrize(
    ("weaker", "stronger"),
    [
        (scored(0.9, "inconclusive"), scored(0.1, "weak")),
        (scored(0.5, "moderate"), scored(0.6, "moderate")),
        (replace(ROW, scores=()), scored(0.1, "inconclusive")),
    ],
    ids=["word", "score", "no score"],
)
def test_strength_is_of_the_stronger_evidence(weaker: StatedResult, stronger: StatedResult) -> None:
    strong = compare(stronger, None).strength
    assert compare(weaker, None).strength < strong
    assert compare(weaker, stronger, MatchedBy.PATH).strength == strong
    assert compare(stronger, weaker, MatchedBy.PATH).strength == strong


@pytest.mark.parametrize(
    ("new", "shown"),
    [(0.6, 3), (0.5, 3), (0.5000001, 3), (0.50005, 6)],
    ids=["other", "same", "same to six decimals", "close"],
)
def test_scores_are_shown_to_as_many_decimals_as_tell_them_apart(new: float, shown: int) -> None:
    assert decimals(compare(ROW, scored(new), MatchedBy.PATH)) == shown
