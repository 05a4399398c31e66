"""The search for near hashes: it finds all within the limits, in all eight positions, and nothing else."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from sample_images import scene

from sidscan.images.perceptual_hash import perceptual_hash
from sidscan.review.near_hashes import MOST_BITS, MOST_LOW_BITS, TRANSFORMS, HashIndex, Near

Turn = Image.Transpose
_CLOCKWISE = (None, Turn.ROTATE_270, Turn.ROTATE_180, Turn.ROTATE_90)  # Pillow's turn the other way


def turned(image: Image.Image, transform: str | None) -> Image.Image:
    """The image after one of `TRANSFORMS`."""
    number = TRANSFORMS.index(transform)
    if number >= 4:
        image = image.transpose(Turn.FLIP_LEFT_RIGHT)
    rotation = _CLOCKWISE[number % 4]
    return image if rotation is None else image.transpose(rotation)


def random_hash(generator: np.random.Generator) -> int:
    return int.from_bytes(generator.bytes(32), "big") >> 1  # the first bit, of the mean brightness, is 0


def as_hex(number: int) -> str:
    return f"{number:064x}"


def changed(number: int, low: int, high: int, generator: np.random.Generator) -> int:
    """A hash with so many other bits among the first 64 and among the rest."""
    places = [
        *(255 - generator.choice(63, low, replace=False) - 1),
        *generator.choice(192, high, replace=False),
    ]
    for place in places:
        number ^= 1 << int(place)
    return number


@pytest.mark.parametrize("transform", TRANSFORMS)
def test_mirrored_and_rotated_images_are_named(transform: str | None) -> None:
    index = HashIndex([perceptual_hash(scene(2)), perceptual_hash(turned(scene(1), transform))])
    (near,) = index.near(perceptual_hash(scene(1)))
    assert (near.index, near.transform) == (1, transform)
    assert near.distance <= 2


@pytest.mark.parametrize(
    ("low", "high", "found"),
    [
        pytest.param(0, 0, True, id="equal"),
        pytest.param(MOST_LOW_BITS, MOST_BITS - MOST_LOW_BITS, True, id="as far as may be"),
        pytest.param(MOST_LOW_BITS, MOST_BITS - MOST_LOW_BITS + 1, False, id="a bit too far"),
        pytest.param(0, MOST_BITS, True, id="far in high frequencies"),
        pytest.param(MOST_LOW_BITS + 1, 0, False, id="too far in low frequencies"),
    ],
)
def test_limits(low: int, high: int, found: bool) -> None:
    generator = np.random.default_rng(low * 100 + high)
    for _ in range(50):
        one = random_hash(generator)
        other = changed(one, low, high, generator)
        expected = [Near(0, low + high, None)] if found else []
        assert HashIndex([as_hex(other)]).near(as_hex(one)) == expected


def brute_force(query: int, hashes: list[int]) -> list[tuple[int, int]]:
    """Untransformed hashes within the limits, and their distances."""
    differences = [query ^ each for each in hashes]
    return [
        (index, difference.bit_count())
        for index, difference in enumerate(differences)
        if difference.bit_count() <= MOST_BITS and (difference >> 192).bit_count() <= MOST_LOW_BITS
    ]


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**32), st.lists(st.tuples(st.integers(0, 14), st.integers(0, 60)), max_size=60))
def test_the_search_misses_nothing(seed: int, offsets: list[tuple[int, int]]) -> None:
    generator = np.random.default_rng(seed)
    query = random_hash(generator)
    others = [random_hash(generator) for _ in range(200)]
    hashes = [*others, *(changed(query, low, high, generator) for low, high in offsets)]
    found = HashIndex(list(map(as_hex, hashes))).near(as_hex(query))
    assert [(near.index, near.distance) for near in found if near.transform is None] == brute_force(
        query, hashes
    )


def test_many_are_looked_up_as_one_by_one() -> None:
    generator = np.random.default_rng(1)
    hashes = [random_hash(generator) for _ in range(300)]
    hashes += [changed(number, 3, 9, generator) for number in hashes]
    index = HashIndex(list(map(as_hex, hashes)))
    together = list(map(list, index.near_each(list(map(as_hex, hashes)))))
    assert together == [index.near(as_hex(each)) for each in hashes]
    assert [len(near) for near in together] == [2] * 600


def test_nothing_is_near_an_empty_hash_or_among_no_hashes() -> None:
    assert HashIndex([as_hex(5)]).near("") == []
    assert HashIndex([]).near(as_hex(5)) == []


def test_many_equal_hashes_are_all_found() -> None:
    """More candidates than are compared at once."""
    same = as_hex(random_hash(np.random.default_rng(7)))
    assert len(HashIndex([same] * 30_000).near(same)) == 30_000


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**32), st.lists(st.sets(st.integers(0, 59)), max_size=5))
def test_what_is_removed_is_not_found_again(seed: int, removals: list[set[int]]) -> None:
    generator = np.random.default_rng(seed)
    base = random_hash(generator)
    index = HashIndex([as_hex(changed(base, place % 5, place % 9, generator)) for place in range(60)])
    left = set(range(60))
    for removed in removals:
        index.remove(np.array(sorted(removed & left), dtype=np.int64))
        left -= removed
        assert {near.index for near in index.near(as_hex(base))} == left
        assert set(np.flatnonzero(index.free).tolist()) == left
