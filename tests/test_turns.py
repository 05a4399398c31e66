"""Which images a sample has: in proportion to folders, the same everywhere, a larger one around a smaller."""

from __future__ import annotations

import itertools
from collections import Counter
from contextlib import closing
from pathlib import PurePosixPath

import pytest
from hypothesis import given
from hypothesis import strategies as st
from test_journal import KEYS, result

from sidscan.archives.entries import Packing, Span
from sidscan.journal import Journal
from sidscan.records import Item, Kind, SamplePlan, SampleRecord

SIZES = {"large": 600, "middle": 90, "small": 9, "one": 1}
NAMES = [f"{folder}/{number}.jpg" for folder, size in SIZES.items() for number in range(size)]


def listed(names: list[str]) -> list[Item]:
    return [Item(name, Kind.URL if "://" in name else Kind.FILE, "1:1") for name in names]


def sample(size: int | None, names: list[str] = NAMES, seed: int = 0, mixed: bool = True) -> list[str]:
    with closing(Journal(None)) as journal:
        journal.register_inputs(listed(names), KEYS, plan=SamplePlan(size, seed))
        return [item.name for item in journal.pending(mixed)]


def folders(names: list[str]) -> Counter[str]:
    return Counter(str(PurePosixPath(name).parent) for name in names)


def test_a_sample_is_in_proportion_and_has_every_folder() -> None:
    chosen = folders(sample(70))
    assert set(chosen) == set(SIZES)
    assert chosen["large"] in range(57, 61)
    assert chosen["middle"] in range(8, 11)


def test_every_folder_is_seen_with_twice_as_many_images_as_folders() -> None:
    names = [f"{folder}/{number}" for folder in range(40) for number in range(1 + 97 * (folder % 7 == 0))]
    for seed in range(20):
        assert len(folders(sample(80, names, seed))) == 40


def test_each_image_is_as_likely_as_any_other_of_its_folder() -> None:
    names = [f"a/{number}" for number in range(10)]
    chosen = Counter(name for seed in range(400) for name in sample(3, names, seed))
    assert all(80 < chosen[name] < 160 for name in names), chosen


@given(st.integers(1, 699), st.integers(1, 699), st.randoms(use_true_random=False))
def test_a_larger_sample_contains_a_smaller_one_in_any_order_of_the_listing(
    one: int, other: int, random: object
) -> None:
    shuffled = [*NAMES]
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    small, large = sorted((one, other))
    assert sample(large, shuffled)[:small] == sample(small)


def test_the_choice_is_the_same_on_every_machine_and_another_with_another_seed() -> None:
    assert sample(5) == ["large/465.jpg", "middle/38.jpg", "large/25.jpg", "small/2.jpg", "one/0.jpg"]
    assert sample(5, seed=1) == ["middle/44.jpg", "small/2.jpg", "large/190.jpg", "large/21.jpg", "one/0.jpg"]


def test_without_a_time_limit_a_sample_is_read_in_the_order_of_the_inputs() -> None:
    chosen = sample(50, mixed=False)
    assert chosen == [name for name in NAMES if name in set(sample(50))]


@pytest.mark.parametrize("size", [700, 701, None], ids=["all", "more", "as time allows"])
def test_all_images_may_be_asked_for(size: int | None) -> None:
    assert sorted(sample(size)) == sorted(NAMES)


def test_urls_are_grouped_by_host_and_members_by_folder() -> None:
    names = [f"https://{host}/{number}/a.jpg" for host in ("a.example", "b.example") for number in range(9)]
    with closing(Journal(None)) as journal:
        plan = SamplePlan(4, 0)
        registered = journal.register_inputs(
            listed([*names, "x.zip!/d/a.jpg", "x.zip!/d/b.jpg"]), KEYS, plan=plan
        )
        assert registered.sample == SampleRecord(size=4, seed=0, images=20, folders=3)


def test_members_of_a_compressed_tar_keep_their_order() -> None:
    members = [Item(f"a.tgz!/{n}.jpg", Kind.MEMBER, f"9:1|{Span(Packing.SOLID, n, 5)}") for n in range(50)]
    with closing(Journal(None)) as journal:
        inputs = [*listed(NAMES[:20]), *members]
        sample = journal.register_inputs(inputs, KEYS, plan=SamplePlan(None, 0)).sample
        assert sample == SampleRecord(size=None, seed=0, images=70, folders=2, mixed=False)
        assert str(sample) == "as many of 70 images as time allows, in the order of the inputs"
        assert journal.must_keep_order()
        assert list(journal.pending()) == inputs
        assert journal.images_pending() == (70, 20 + 250)
        sample = journal.register_inputs(inputs, KEYS, plan=SamplePlan(10, 0)).sample
        assert sample is not None
        assert sample.mixed
        assert journal.num_pending() == 10


def test_what_is_not_read_has_its_row_and_is_not_of_the_sample() -> None:
    with closing(Journal(None)) as journal:
        inputs = [*listed(["a/1", "a/2", "a/3"]), Item("a/notes.txt", skip="not an image")]
        registered = journal.register_inputs(inputs, KEYS, plan=SamplePlan(2, 0))
        assert registered.sample == SampleRecord(size=2, seed=0, images=3, folders=1)
        assert journal.num_pending() == 3
        assert next(item.name for item in journal.pending(mixed=True)) == "a/notes.txt"
        assert [item.name for item in journal.pending()][-1] == "a/notes.txt"


def test_results_are_kept_and_only_those_in_turn_are_of_the_sample() -> None:
    with closing(Journal(None)) as journal:
        journal.register_inputs(listed(NAMES), KEYS)
        order = sample(10)
        outside = next(name for name in NAMES if name not in order)
        journal.append([result(name) for name in (order[0], order[1], order[3], outside)], KEYS)
        assert journal.register_inputs(listed(NAMES), KEYS, plan=SamplePlan(10, 0)).kept == 4
        assert [each.name for each, _, _ in journal.sampled()] == order[:2]
        assert journal.num_pending() == 7
        journal.append([result(name) for name in order if name not in (order[0], order[1], order[3])], KEYS)
        assert [each.name for each, _, _ in journal.sampled()] == order
        assert journal.counts().pending == 700 - 11


@pytest.mark.parametrize("number", [1, 7, 200, 700, 900])
def test_images_spread_over_all_inputs(number: int) -> None:
    with closing(Journal(None)) as journal:
        inputs = [*listed(NAMES), Item("notes.txt", skip="not an image")]
        journal.register_inputs(inputs, KEYS)
        journal.append([result(name) for name in NAMES[:100]], KEYS)
        assert journal.images_pending() == (600, 600)
        spread = [item.name for item in journal.spread_pending(number)]
        assert len(spread) == min(number, 600)
        assert spread == [name for name in NAMES[100:] if name in set(spread)]
        places = [NAMES.index(name) for name in spread]
        assert all(later - one <= -(-600 // number) for one, later in itertools.pairwise(places))
