"""Groups of copies: equal bytes and near hashes, each group around its strongest image."""

from __future__ import annotations

import random
import tracemalloc
from collections.abc import Mapping
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sample_images import scene
from sample_results import FAILED, SCORE, SCORED

from sidscan.cli.ranking import Ranking
from sidscan.images.perceptual_hash import perceptual_hash
from sidscan.records import Copies, ScanResult
from sidscan.review import many_copies
from sidscan.review.copies import find_copies
from sidscan.review.many_copies import find_copies_among_many
from sidscan.review.near_hashes import MOST_BITS, HashIndex

BASE = perceptual_hash(scene(1))
OTHER = perceptual_hash(scene(2))


def differing(hash_: str, bits: int, first: int = 0) -> str:
    """A hash that differs in so many bits of the high frequencies, beginning at one of them."""
    return f"{int(hash_, 16) ^ (((1 << bits) - 1) << first):064x}"


def image(name: str, hash_: str | None, logit: float = 0.0, sha256: str = "") -> ScanResult:
    sha256 = (sha256 or name.encode().hex()).ljust(64, "0")[:64]
    score = replace(SCORE, logit=logit, score=0.5 + logit / 100)
    return replace(
        SCORED, name=name, facts=replace(SCORED.facts, sha256=sha256, perceptual_hash=hash_), scores=(score,)
    )


def copies_of(*results: ScanResult) -> dict[str, Copies]:
    return find_copies(results)


def test_equal_bytes_name_the_first_input() -> None:
    found = copies_of(
        image("a", None, sha256="aa"), image("b", None, sha256="bb"), image("c", None, sha256="aa")
    )
    same = Copies(None, "a", 0, None, 2, 0.5, 0.5)
    assert found == {"a": same, "c": replace(same, same_as="a")}


def test_the_strongest_image_speaks_for_its_group_and_scores_show_the_disagreement() -> None:
    found = copies_of(
        image("jpeg", differing(BASE, 4), -24),
        image("original", BASE, 23),
        image("half", differing(BASE, 9), 4),
        image("other", OTHER, 50),
    )
    group = Copies(None, "original", 0, None, 3, 0.26, 0.73)
    assert found == {
        "original": group,
        "half": replace(group, distance=9),
        "jpeg": replace(group, distance=4),
    }


def test_evidence_ranks_before_the_score() -> None:
    inconclusive = replace(
        image("png", BASE, 40), scores=(replace(SCORE, evidence="inconclusive", logit=40),)
    )
    found = copies_of(inconclusive, image("jpeg", BASE, -10))
    assert {copies.group for copies in found.values()} == {"jpeg"}


def test_copies_of_copies_do_not_join_what_differs_too_much() -> None:
    """A chain: each is near the next, the ends are far from each other."""
    far = MOST_BITS // 2 + 10
    chain = [differing(BASE, far * step) for step in range(3)]
    found = copies_of(*(image(str(step), hash_, -step) for step, hash_ in enumerate(chain)))
    assert {name: copies.distance for name, copies in found.items()} == {"0": 0, "1": far}


@settings(max_examples=30, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 90), st.integers(0, 3), st.integers(-9, 9)), max_size=25))
def test_every_member_is_near_the_strongest_of_its_group(images: list[tuple[int, int, int]]) -> None:
    results = [
        image(f"{number}", differing(BASE, bits, 30 * first), logit)
        for number, (bits, first, logit) in enumerate(images)
    ]
    found, by_name = copies_of(*results), {result.name: result for result in results}
    for name, copies in found.items():
        members = [other for other, each in found.items() if each.group == copies.group]
        strongest = by_name[str(copies.group)]
        assert copies.group in members
        assert copies.count == len(members) > 1
        assert all(by_name[other].scores[0].logit <= strongest.scores[0].logit for other in members)
        one, other = (str(result.facts.perceptual_hash) for result in (by_name[name], strongest))
        assert copies.distance == (int(one, 16) ^ int(other, 16)).bit_count() <= MOST_BITS


@pytest.mark.parametrize("hash_", ["", None], ids=["too little detail", "not made"])
def test_images_without_a_hash_form_no_group(hash_: str | None) -> None:
    assert copies_of(image("a", hash_), image("b", hash_)) == {}


def test_inputs_without_bytes_form_no_group() -> None:
    assert copies_of(FAILED, replace(FAILED, name="c.jpg")) == {}


def test_equal_bytes_without_a_score_are_told() -> None:
    facts = replace(SCORED.facts, sha256="c" * 64)
    one, other = (replace(FAILED, name=name, facts=facts) for name in "ab")
    expected = Copies(None, "a", 0, None, 2)
    assert copies_of(one, other) == {"a": expected, "b": replace(expected, same_as="a")}


def test_of_equal_bytes_the_first_with_a_score_speaks() -> None:
    """Where an earlier one failed, which names are shown in lists of the strongest."""
    scored = image("b", None, sha256="cc")
    results = [replace(FAILED, name=name, facts=scored.facts) for name in "ac"]
    results = [results[0], scored, results[1], replace(scored, name="d")]
    found = copies_of(*results)
    assert {name: (copies.group, copies.same_as) for name, copies in found.items()} == {
        "a": ("b", "b"),
        "b": ("b", None),
        "c": ("b", "b"),
        "d": ("b", "b"),
    }
    ranking = Ranking(5)
    for result in results:
        ranking.add(replace(result, copies=found[result.name]))
    assert [ranked.result.name for ranked in ranking.highest()] == ["b"]


def test_of_equal_bytes_one_may_lack_a_hash() -> None:
    """Its result may be older."""
    found = copies_of(
        image("old", None, 1, "aa"), image("new", BASE, 1, "aa"), image("copy", differing(BASE, 5), 0)
    )
    assert {name: (copies.group, copies.same_as) for name, copies in found.items()} == {
        "old": ("old", None),
        "new": ("old", "old"),
        "copy": ("old", None),
    }


def test_many_copies_of_one_image_are_one_group() -> None:
    found = copies_of(*(image(f"{number}", differing(BASE, number % 40), -number) for number in range(400)))
    assert {(copies.group, copies.count) for copies in found.values()} == {("0", 400)}


def greedy(hashes: list[str]) -> list[list[str]]:
    """Groups by the plainest rule: each image joins the first that leads a group and is near."""
    nears = [{near.index for near in found} for found in HashIndex(hashes).near_each(hashes)]
    groups: dict[int, list[str]] = {}
    for place in range(len(hashes)):
        leader = next((leader for leader in groups if place in nears[leader]), place)
        groups.setdefault(leader, []).append(str(place))
    return [members for members in groups.values() if len(members) > 1]


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 2**32), st.sampled_from([0.02, 0.08, 0.12, 0.15]))
def test_groups_do_not_depend_on_how_many_are_looked_up_at_once(seed: int, share: float) -> None:
    chance = random.Random(seed)
    hashes = [
        f"{int(BASE, 16) ^ sum((chance.random() < share) << bit for bit in range(255)):064x}"
        for _ in range(150)
    ]
    found = copies_of(*(image(str(number), hash_, -number) for number, hash_ in enumerate(hashes)))
    groups: dict[str, list[str]] = {}
    for name in map(str, range(150)):
        if name in found:
            groups.setdefault(str(found[name].group), []).append(name)
    assert sorted(groups.values()) == sorted(greedy(hashes))


def test_many_images_that_look_alike_take_little_memory() -> None:
    """Each is near most others, and what is near is never held for many at once."""
    chance = random.Random(1)
    results = []
    for number in range(4_000):
        flips = sum(1 << bit for bit in chance.sample(range(255), 15))
        results.append(image(str(number), f"{int(BASE, 16) ^ flips:064x}"))
    tracemalloc.start()
    try:
        found = find_copies(results)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert len(found) > 3_800
    assert peak < 15e6


BYTES_OF = ("a", "b\udcff", "c")


def among_many(results: list[ScanResult]) -> Mapping[str, Copies]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(many_copies, "_IN_MEMORY", 2)
        return find_copies_among_many(results)


@given(st.lists(st.tuples(st.sampled_from(BYTES_OF), st.integers(-3, 3)), max_size=9))
def test_equal_bytes_among_many(drawn: list[tuple[str, int]]) -> None:
    results = [
        image(f"{number} \udcff", None, logit, sha256=name.encode("utf-8", "surrogateescape").hex())
        for number, (name, logit) in enumerate(drawn)
    ]
    found = among_many(results)
    assert dict(found) == find_copies(results)
    assert len(found) == len(list(found))
    assert found.get("another") is None


def test_near_hashes_among_many() -> None:
    results = [image("a", BASE, 1), image("b", differing(BASE, 4), 2), image("c", None), image("d", BASE, 3)]
    found = among_many(results)
    assert found == find_copies(results)
    assert set(found) == {"a", "b", "d"}
