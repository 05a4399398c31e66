"""Conditions of ``--only``: a column, an operator, a value."""

from __future__ import annotations

import operator
import re
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sample_results import FACTS, FAILED, RUN, SCORE, SCORED

from sidscan.errors import UsageError
from sidscan.records import EVIDENCE_WORDS, Mark, ModelRecord, ScanResult, Status
from sidscan.review.conditions import parse_condition, predicates


def holds(text: str, result: ScanResult, models: tuple[str, ...] = ("mini",)) -> bool:
    header = replace(RUN, models=tuple(ModelRecord(name, "abc") for name in models))
    (test,) = predicates([parse_condition(text)], header)
    return test(result)


def with_evidence(word: str) -> ScanResult:
    return replace(SCORED, scores=(replace(SCORE, evidence=word),))


MARKED = replace(SCORED, mark=Mark("suspicious", "ana", "2026-01-02T00:00:00+00:00", "=1+1"))
TIMED_OUT = replace(FAILED, status=Status.TIMEOUT)


@pytest.mark.parametrize(
    ("text", "result", "expected"),
    [
        pytest.param("evidence>=moderate", with_evidence("moderate"), True, id="evidence at the bound"),
        pytest.param("evidence>=moderate", with_evidence("very strong"), True, id="evidence above"),
        pytest.param("evidence>=moderate", with_evidence("weak"), False, id="evidence below"),
        pytest.param(
            "evidence>=weak", with_evidence("inconclusive"), False, id="inconclusive is no evidence"
        ),
        pytest.param("evidence<=very strong", with_evidence("inconclusive"), False, id="nor less of it"),
        pytest.param("evidence=inconclusive", with_evidence("inconclusive"), True, id="but it can be named"),
        pytest.param("evidence>weak", FAILED, False, id="no evidence"),
        pytest.param("evidence!=weak", FAILED, True, id="none is not weak"),
        pytest.param("evidence = Very Strong", with_evidence("very strong"), True, id="spaces and case"),
        pytest.param("score>=0.7", SCORED, True, id="number at the bound"),
        pytest.param("score>0.7", SCORED, False, id="number not above"),
        pytest.param("score<.8", SCORED, True, id="number below"),
        pytest.param("score<1", FAILED, False, id="no number is below none"),
        pytest.param("score==7e-1", SCORED, True, id="number, exactly"),
        pytest.param("score!=0.7", SCORED, False, id="number, not that"),
        pytest.param("score=", FAILED, True, id="no score"),
        pytest.param("score=", SCORED, False, id="a score"),
        pytest.param("score!=", SCORED, True, id="not none"),
        pytest.param("width>=300", SCORED, True, id="whole number"),
        pytest.param("exif_latitude<-33", SCORED, True, id="negative number"),
        pytest.param("status=failed", FAILED, True, id="status"),
        pytest.param("status=failed", TIMED_OUT, False, id="another status"),
        pytest.param("failed=yes", TIMED_OUT, True, id="all that failed"),
        pytest.param("failed=no", SCORED, True, id="not failed"),
        pytest.param("format=jpeg", SCORED, True, id="text, whatever the case"),
        pytest.param("format=jpe", SCORED, False, id="text, all of it"),
        pytest.param("flags~frame", SCORED, True, id="part of a text"),
        pytest.param("flags!~frame", SCORED, False, id="no part of a text"),
        pytest.param("flags!~preview", FAILED, True, id="nothing contains nothing"),
        pytest.param("camera~ACME", SCORED, True, id="derived column"),
        pytest.param("path~.jpg", SCORED, True, id="a point is a point"),
        pytest.param("mark=suspicious", MARKED, True, id="mark"),
        pytest.param("mark=suspicious", SCORED, False, id="no mark"),
        pytest.param("mark=", SCORED, True, id="not marked"),
        pytest.param("note==1+1", MARKED, False, id="a value may begin with ="),
        pytest.param("note~=1+1", MARKED, True, id="the original, not the escaped cell"),
        pytest.param("modified_at>=2026", SCORED, True, id="year"),
        pytest.param("modified_at<=2025", SCORED, False, id="earlier year"),
        pytest.param("modified_at=2026-01", SCORED, True, id="month"),
        pytest.param("modified_at<=2026-01", SCORED, True, id="a month includes its days"),
        pytest.param("modified_at>2026-01", SCORED, False, id="after the month"),
        pytest.param("modified_at<2026-01-01", FAILED, False, id="no date"),
        pytest.param("exif_original_date_iso=2026-01-01 00:00", SCORED, True, id="minute, with a space"),
        pytest.param("exif_gps_date_iso=2026-01-01T00:00:00Z", SCORED, True, id="UTC"),
        *(
            pytest.param(f"mark_at{condition}", MARKED, expected, id=f"mark_at{condition}")
            for condition, expected in (
                (">=2026-01-02T01:59+02:00", True),
                (">=2026-01-02T02:00:00+02:00", True),
                (">=2026-01-02T02:00:01+02:00", False),
                (">=2026-01-02T02:01+02:00", False),
                ("=2026-01-01T19:00-05:00", True),
                ("=2026-01-02 05:30:00+05:30", True),
                ("!=2026-01-02T02:00:00.5+02:00", True),
                ("<2026-01-01T19:00:00.5-05:00", True),
                ("<=2026-01-01T19:00:00-05:00", True),
                ("<2026-01-01T19:00:00-05:00", False),
            )
        ),
    ],
)
def test_a_condition_holds(text: str, result: ScanResult, expected: bool) -> None:
    assert holds(text, result) is expected


@pytest.mark.parametrize(
    ("text", "message"),
    [
        pytest.param("", "'' is not a condition for --only", id="empty"),
        pytest.param("score", "'score' is not a condition for --only", id="no operator"),
        pytest.param(">=0.5", "'>=0.5' is not a condition for --only", id="no column"),
        pytest.param("scor>=0.5", "there is no column 'scor'. Did you mean score", id="misspelt column"),
        pytest.param("score>=high", "'score>=high': score can't be 'high'; it holds numbers", id="no number"),
        pytest.param("score>=nan", "score can't be 'nan'; it holds numbers", id="not a number"),
        pytest.param("score>=0,8", "score can't be '0,8'; it holds numbers, such as 0.8", id="decimal comma"),
        pytest.param("score>=", "score can't be ''; it holds numbers", id="no value"),
        pytest.param("score~0", "~ looks for a part of a text", id="part of a number"),
        pytest.param("flags~", "~ looks for a part of a text", id="part without a value"),
        pytest.param(
            "evidence>=medium", "it is ordered weak, moderate, strong, very strong", id="no evidence"
        ),
        pytest.param("evidence>=inconclusive", "it is ordered weak, moderate", id="not ordered"),
        pytest.param(
            "evidence=medium", "it is one of very strong, strong, moderate, weak, inconclusive", id="="
        ),
        pytest.param("status=fail", "it is one of scored, skipped, failed, timeout", id="no status"),
        pytest.param("mark=bad", "it is one of suspicious, cleared, later", id="no mark"),
        pytest.param("format>=JPEG", "format is text, which >= can't compare", id="ordered text"),
        pytest.param("modified_at>=yesterday", "it holds dates, such as 2026-01", id="no date"),
        pytest.param("modified_at>=2026-1-1", "it holds dates", id="date without zeros"),
        pytest.param("modified_at>=2026-01-01T12+02:00", "it holds dates", id="offset without minutes"),
        pytest.param("modified_at>=2026-02-31T12:00Z", "there is no such time", id="no such day"),
        pytest.param("modified_at>=0001-01-01T00:00+02:00", "there is no such time", id="before all years"),
        pytest.param("modified_at>=2026-01-01T12:00+99:00", "there is no such time", id="no such offset"),
        pytest.param(
            "exif_original_date_iso>=2026-01-01T12:00+02:00",
            "its dates are times of the place; leave the offset from UTC out",
            id="offset of a local time",
        ),
        pytest.param("modified_at~2026", "~ looks for a part of a text", id="part of a date"),
        pytest.param("rine.score>=0.5", "there is no column 'rine.score'", id="another model"),
    ],
)
def test_what_is_no_condition_is_refused(text: str, message: str) -> None:
    with pytest.raises(UsageError, match=re.escape(message)):
        holds(text, SCORED)


def test_of_several_models_the_strongest_speaks_for_evidence() -> None:
    scores = (replace(SCORE, evidence="weak"), replace(SCORE, model="b/c.pth", evidence="strong"))
    result, models = replace(SCORED, scores=scores), ("mini", "b/c.pth")
    assert holds("evidence>=strong", result, models)
    assert not holds("evidence=weak", result, models)
    assert holds("b/c.pth.evidence=strong", result, models)
    assert holds("b/c.pth.score>=0.7", result, models)


ORDERS = {">=": operator.ge, "<=": operator.le, ">": operator.gt, "<": operator.lt, "=": operator.eq}


@given(st.floats(allow_nan=False, allow_infinity=False), st.floats(allow_nan=False, allow_infinity=False))
def test_numbers_compare_as_in_python(score: float, bound: float) -> None:
    result = replace(SCORED, scores=(replace(SCORE, score=score),))
    for sign, order in ORDERS.items():
        assert holds(f"score{sign}{bound!r}", result) is order(score, bound)


@given(st.sampled_from(EVIDENCE_WORDS[:4]), st.sampled_from(EVIDENCE_WORDS[:4]))
def test_evidence_compares_by_strength(word: str, bound: str) -> None:
    ranks = {each: -position for position, each in enumerate(EVIDENCE_WORDS)}
    for sign, order in ORDERS.items():
        assert holds(f"evidence{sign}{bound}", with_evidence(word)) is order(ranks[word], ranks[bound])


@given(st.text(min_size=1))
def test_any_text_can_be_looked_for(text: str) -> None:
    result = replace(SCORED, facts=replace(FACTS, exif=replace(FACTS.exif, software=text)))
    if text.strip() == text and not text.startswith("="):
        assert holds(f"exif_software={text}", result)
        assert holds(f"exif_software~{text}", result)


@given(st.text())
def test_any_condition_is_parsed_or_refused_in_words(text: str) -> None:
    try:
        condition = parse_condition(text)
    except UsageError:
        return
    assert condition.column
    assert condition.operator in (">=", "<=", "!=", "!~", "=", ">", "<", "~")
