"""What a sample says of all images, and how often its interval is right."""

from __future__ import annotations

import random
from contextlib import closing
from dataclasses import replace

import pytest
from test_journal import KEYS, SCORE, result

from sidscan.journal import Journal
from sidscan.records import Item, SamplePlan
from sidscan.review.sample_estimate import SampleEstimate, chance, estimate, wilson


def test_wilson_gives_published_values() -> None:
    # Newcombe 1998, table I, method 3: 81 of 263, 0 of 20, 1 of 29
    for (share, size), interval in {
        (81 / 263, 263): (0.2553, 0.3662),
        (0.0, 20): (0.0, 0.1611),
        (1 / 29, 29): (0.0061, 0.1718),
    }.items():
        assert wilson(share, size) == pytest.approx(interval, abs=5e-5)


def drawn(names: list[str], above: set[str], size: int, seed: int) -> SampleEstimate:
    with closing(Journal(None)) as journal:
        plan = SamplePlan(size, seed)
        sample = journal.register_inputs([Item(name) for name in names], KEYS, plan=plan).sample
        assert sample is not None
        weak = (replace(SCORE, evidence="weak"),)
        journal.append(
            [
                result(item.name) if item.name in above else replace(result(item.name), scores=weak)
                for item in journal.pending()
            ],
            KEYS,
        )
        return estimate(journal, sample)


def test_chances_add_up_to_the_size_of_the_sample() -> None:
    sizes = [1] * 30 + [4] * 20 + [50, 400]
    names = [f"{folder}/{number}" for folder, size in enumerate(sizes) for number in range(size)]
    average = len(sizes) / len(names)
    for last in (0.01, 0.05, 0.2, 0.9):
        expected = sum(size * chance(size, last, average) for size in sizes)
        first = sum(min(1.0, last / min(1 / size, average)) for size in sizes)
        assert expected == pytest.approx(first + sum(max(0.0, last * size - 1) for size in sizes))
    assert chance(1, 1.0, average) == chance(400, 1.0, average) == 1.0


def test_small_folders_do_not_distort_the_estimate_and_intervals_hold_the_truth() -> None:
    sizes = [1] * 60 + [20] * 10 + [400]
    names = [f"{folder}/{number}" for folder, size in enumerate(sizes) for number in range(size)]
    above = {name for name in names if int(name.split("/")[0]) < 60}  # all single images, 9 % of all
    above |= {name for name in names if name.startswith("70/") and random.Random(name).random() < 0.05}
    truth = len(above) / len(names)
    estimates = [drawn(names, above, 150, seed) for seed in range(60)]
    rates = [each.rate for each in estimates if each.rate is not None]
    assert sum(rates) / 60 == pytest.approx(truth, abs=0.01)
    assert all(each.above > 1.5 * truth * each.images for each in estimates), "unweighted, it would be"
    right = sum(each.low <= truth <= each.high for each in estimates if each.low is not None and each.high)
    assert right >= 54


def test_few_images_say_too_little() -> None:
    names = [f"a/{number}" for number in range(100)]
    assert drawn(names, {*names}, 29, 0) == SampleEstimate(29, 29)
    assert drawn(names, {*names}, 30, 0).rate == 1.0
