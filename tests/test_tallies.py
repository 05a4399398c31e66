"""What closing lines count in a record is what all of its results say, one by one."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st
from sample_results import FACTS, SCORE

from sidscan.journal import Journal
from sidscan.journal.keys import ReuseKeys
from sidscan.journal.tallies import ScoredGroup
from sidscan.records import (
    EVIDENCE_WORDS,
    Failure,
    Item,
    Kind,
    Marker,
    Provenance,
    ScanResult,
    SignatureCheck,
    Stage,
    Status,
)

KEYS = ReuseKeys("model", "limits", "urls")
AT = "2026-01-01T00:00:00+00:00"
_MARKER = Marker("generator", "ai_generated", "plain", "PNG tEXt", "Software", "a generator", 8)
_PROVENANCE = st.sampled_from(
    [
        None,
        Provenance(),
        Provenance("unreadable"),
        Provenance("ai_generated", "plain", markers=(_MARKER,)),
        Provenance("none", signature=SignatureCheck(error="no verifier")),
    ]
)
_SCORED = st.builds(
    lambda flags, hashed, provenance, words, logit, cautions, views, share: ScanResult(
        *("name", Kind.FILE, Status.SCORED),
        replace(FACTS, flags=flags, perceptual_hash=hashed, provenance=provenance, sha256="a" * 64),
        AT,
        scores=tuple(replace(SCORE, evidence=word, logit=logit, cautions=cautions) for word in words),
        views=views,
        share_scored=share,
    ),
    st.sampled_from([(), ("padded",), ("truncated", "padded")]),
    st.sampled_from([None, "", "0" * 64]),
    _PROVENANCE,
    st.tuples(st.sampled_from(EVIDENCE_WORDS), st.sampled_from(EVIDENCE_WORDS)),
    st.sampled_from([-1.0, 0.5, 2.0]),
    st.sampled_from([(), ("screenshot",)]),
    st.sampled_from([1, 10]),
    st.sampled_from([None, 0.5]),
)
_FAILED = st.sampled_from(
    [
        ScanResult.of_failure(Failure(Item("name"), Stage.DECODE, "DecodeError", "truncated", FACTS), AT),
        ScanResult.of_failure(Failure(Item("name"), Stage.LIST, "FileNotFoundError", "no such file"), AT),
    ]
)
_SKIPPED = st.sampled_from(
    [
        ScanResult.of_failure(Failure(Item("name"), Stage.LIST, "Skipped", why, status=Status.SKIPPED), AT)
        for why in ("a link", "not an image")
    ]
)
_RESULTS = st.lists(st.one_of(_SCORED, _FAILED, _SKIPPED), max_size=12)


def recorded(results: list[ScanResult]) -> Journal:
    """A record of these results, each under a name of its own."""
    journal, named = Journal(None), [replace(each, name=f"{number}") for number, each in enumerate(results)]
    journal.register_inputs([Item(each.name) for each in named], KEYS)
    journal.append(named, KEYS)
    return journal


def of_one(result: ScanResult) -> ScoredGroup:
    """The group of one result."""
    provenance = result.facts.provenance
    return ScoredGroup(
        number=1,
        first=0,
        flags=result.facts.flags,
        views=result.views,
        complete=result.share_scored is not None,
        hashed=result.facts.perceptual_hash is not None,
        states=bool(provenance and (provenance.markers or provenance.signature)),
        verdict=provenance.verdict if provenance else None,
        evidence=tuple(score.evidence for score in result.scores),
        reaches=(result.scores[0].logit >= 0.5, False),
        cautions=result.scores[0].cautions,
    )


@given(_RESULTS)
def test_groups_count_what_single_results_say(results: list[ScanResult]) -> None:
    groups = list(recorded(results).scored_groups([0.5, None]))
    alone = Counter(of_one(result) for result in results if result.scores)
    assert {replace(each, number=1, first=0): each.number for each in groups} == alone
    for group in groups:
        same = [
            place
            for place, result in enumerate(results, 1)
            if result.scores and of_one(result) == replace(group, number=1, first=0)
        ]
        assert group.first == same[0]


@given(_RESULTS)
def test_every_other_result_is_a_reason_or_read_back(results: list[ScanResult]) -> None:
    journal = recorded(results)
    skipped = [each.message for each in results if each.status is Status.SKIPPED]
    others = [place for place, each in enumerate(results, 1) if each.status is Status.FAILED]
    counted = {reason: (number, first) for reason, number, first in journal.listing_reasons()}
    assert counted == {
        why: (skipped.count(why), 1 + [each.message for each in results].index(why)) for why in set(skipped)
    }
    assert [position for position, _ in journal.other_results()] == others
    stating = [each for each in results if each.scores and of_one(each).states]
    assert len(list(journal.with_statements())) == len(stating)


@given(_RESULTS)
def test_possible_copies_are_all_whose_bytes_occur_twice_or_that_have_a_hash(
    results: list[ScanResult],
) -> None:
    journal = recorded(results)
    bytes_seen = Counter(each.facts.sha256 for each in results if each.facts.sha256)
    needed = {
        str(number)
        for number, each in enumerate(results)
        if each.facts.sha256 and (each.facts.perceptual_hash or bytes_seen[each.facts.sha256] > 1)
    }
    assert needed <= {result.name for result in journal.possible_copies()}
