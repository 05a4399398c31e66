"""Find, for a perceptual hash, those near it among many, mirrored and rotated images included.

Two hashes are near if they differ in at most `MOST_BITS` of all bits, and in at most `MOST_LOW_BITS` of the
64 bits of the lowest frequencies. The second limit finds candidates by multi-index hashing (Norouzi, Punjani
and Fleet 2012): of four chunks of 16 bits, one differs in at most 2, so a table per chunk is asked for all
values that do. The search misses none. Faiss can search like this, but is a large package for so little.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import combinations, pairwise

import numpy as np
from numpy.typing import NDArray

from sidscan.images.perceptual_hash import SIDE, bit_order

MOST_BITS = 52
"""Bits of 256 in which the hashes of copies may differ; chosen by benchmarks/copies.py."""
MOST_LOW_BITS = 11
"""Of the first 64."""
TRANSFORMS = (
    None,
    *("rotated 90", "rotated 180", "rotated 270", "mirrored"),
    *("mirrored, rotated 90", "mirrored, rotated 180", "mirrored, rotated 270"),
)
"""What was done to an image, in this order: mirrored left for right, then rotated clockwise by degrees."""
_CHUNK_BITS = 16
_CHUNKS = 64 // _CHUNK_BITS
_MOST_CHUNK_BITS = MOST_LOW_BITS // _CHUNKS
_CANDIDATES = 1 << 16  # compared at once: few enough for a processor's cache
_QUERIES = 128  # looked up at once, at most
# A pair is one number, so that sorting finds the best: its last bits hold the distance and the transform.
_TRANSFORM, _PAIR = 3, 12

Words = NDArray[np.uint64]


@dataclass(frozen=True, slots=True)
class Near:
    """A hash near another.

    Attributes:
        index: among the hashes that are searched.
        distance: in how many of 256 bits it differs.
        transform: what was done to the other's image to get this hash's, one of `TRANSFORMS`.
    """

    index: int
    distance: int
    transform: str | None


@dataclass(frozen=True, slots=True)
class Nears:
    """The hashes near another as arrays of equal length, in the order of the first: there may be many.

    Attributes:
        indices: among the hashes that are searched.
        distances: in how many of 256 bits they differ.
        transforms: places in `TRANSFORMS`, what was done to the other's image to get theirs.
    """

    indices: NDArray[np.int64]
    distances: NDArray[np.int64]
    transforms: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.indices)

    def __iter__(self) -> Iterator[Near]:
        columns = (self.indices.tolist(), self.distances.tolist(), self.transforms.tolist())
        for index, distance, transform in zip(*columns, strict=True):
            yield Near(index, distance, TRANSFORMS[transform])

    def among(self, wanted: NDArray[np.bool_]) -> Nears:
        """Those that are wanted, told by index."""
        kept = wanted[self.indices]
        return Nears(self.indices[kept], self.distances[kept], self.transforms[kept])


class HashIndex:
    """Perceptual hashes to look into.

    Args:
        hashes: as `ImageInfo.perceptual_hash` has them, none of them empty.

    Attributes:
        free: which hashes are still there; a boolean for each.
    """

    def __init__(self, hashes: Sequence[str]) -> None:
        self._words = _words(hashes)
        self.free = np.ones(len(self._words), dtype=np.bool_)
        self._build()

    def _build(self) -> None:
        """Tables of what is still there."""
        self._removed, self._held = 0, np.flatnonzero(self.free)
        low = self._words[self._held, 0]
        self._tables = [_Table.of(chunk, low) for chunk in _chunks(low)]

    def remove(self, indices: NDArray[np.int64]) -> None:
        """Never find these again, which are still there. The fewer are left, the faster is the search."""
        self.free[indices] = False
        self._removed += len(indices)
        if 2 * self._removed > len(self._held):
            self._build()

    def near(self, perceptual_hash: str) -> list[Near]:
        """The hashes near this one, by index; an empty hash has none."""
        return list(next(self.near_each([perceptual_hash]))) if perceptual_hash else []

    def near_each(self, hashes: Sequence[str]) -> Iterator[Nears]:
        """The hashes near each of these, none of which is empty; faster than one by one."""
        for start in range(0, len(hashes), _QUERIES):
            queries = _transformed(_words(hashes[start : start + _QUERIES]))
            yield from self._near_all(queries)

    def _near_all(self, queries: Words) -> Iterator[Nears]:
        """Of queries (n, transforms, 4)."""
        number = len(self._words)
        found = [np.empty(0, dtype=np.int64)]
        for rows, indices, distances in self._pairs(queries.reshape(-1, queries.shape[-1])):
            query, transform = np.divmod(rows, len(TRANSFORMS))
            found.append(((query * number + indices) << _PAIR) | (distances << _TRANSFORM) | transform)
        pairs = np.concatenate(found)
        pairs.sort()  # of several transforms, the nearest comes first, else the plainest
        places = pairs >> _PAIR
        first = np.diff(places, prepend=-1) != 0
        pairs, places = pairs[first], places[first]
        ends = np.searchsorted(places, number * np.arange(len(queries) + 1))
        for start, end in pairwise(ends.tolist()):
            part = pairs[start:end]
            yield Nears(
                places[start:end] % number,
                (part & ((1 << _PAIR) - 1)) >> _TRANSFORM,
                part & ((1 << _TRANSFORM) - 1),
            )

    def _pairs(
        self, queries: Words
    ) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]]:
        """Rows of queries, indices of hashes near them, and their distances; each pair once."""
        low = np.ascontiguousarray(queries[:, 0])
        for number, (table, chunk) in enumerate(zip(self._tables, _chunks(low), strict=True)):
            for rows, places in table.candidates(chunk):
                differences = low[rows] ^ table.low[places]
                kept = np.flatnonzero(np.bitwise_count(differences) <= MOST_LOW_BITS)
                rows, indices = rows[kept], self._held[table.order[places[kept]]]
                near = self.free[indices] & ~_was_found(differences[kept], number)
                rows, indices = rows[near], indices[near]
                distances = np.bitwise_count(queries[rows] ^ self._words[indices]).sum(axis=1, dtype=np.int64)
                near = distances <= MOST_BITS
                yield rows[near], indices[near], distances[near]


def _was_found(differences: Words, number: int) -> NDArray[np.bool_]:
    """Whether the table of an earlier chunk finds pairs with these differences, too."""
    found = np.zeros(len(differences), dtype=np.bool_)
    for chunk in _chunks(differences)[:number]:
        found |= np.bitwise_count(chunk) <= _MOST_CHUNK_BITS
    return found


@dataclass(frozen=True)
class _Table:
    """Which hashes have a value in one chunk.

    Attributes:
        order: indices of the hashes, by the chunk's value.
        low: the first words of the hashes in this order, so that they are read in one go.
        starts: where in ``order`` each value begins, and the end.
    """

    order: NDArray[np.intp]
    low: Words
    starts: NDArray[np.intp]

    @classmethod
    def of(cls, chunk: NDArray[np.uint16], low: Words) -> _Table:
        counts = np.bincount(chunk, minlength=1 << _CHUNK_BITS)
        order = np.argsort(chunk, kind="stable")
        return cls(order, low[order], np.append(0, np.cumsum(counts)))

    def candidates(self, chunk: NDArray[np.uint16]) -> Iterator[tuple[NDArray[np.intp], NDArray[np.intp]]]:
        """Pairs of a query and a hash whose chunks are near: rows of the queries, places in ``order``."""
        keys = (chunk[:, np.newaxis] ^ _near_values()).ravel()
        begins = self.starts[keys]
        lengths = self.starts[keys.astype(np.intp) + 1] - begins
        hits = np.flatnonzero(lengths)
        begins, lengths = begins[hits], lengths[hits]
        ends = np.cumsum(lengths)
        first = 0
        while first < len(hits):
            done = ends[first] - lengths[first]
            last = max(first + 1, int(np.searchsorted(ends, done + _CANDIDATES, "right")))
            length = lengths[first:last]
            offsets = np.arange(ends[last - 1] - done) - np.repeat(ends[first:last] - length - done, length)
            places = np.repeat(begins[first:last], length) + offsets
            yield np.repeat(hits[first:last] // len(_near_values()), length), places
            first = last


@cache
def _near_values() -> NDArray[np.uint16]:
    """All differences of at most `_MOST_CHUNK_BITS` bits."""
    places = (
        chosen for count in range(_MOST_CHUNK_BITS + 1) for chosen in combinations(range(_CHUNK_BITS), count)
    )
    return np.array([sum(1 << place for place in chosen) for chosen in places], dtype=np.uint16)


def _words(hashes: Sequence[str]) -> Words:
    """Hashes as (n, 4) words; the first holds the lowest frequencies."""
    words = np.frombuffer(bytes.fromhex("".join(hashes)), dtype=">u8").astype(np.uint64)
    return words.reshape(-1, SIDE * SIDE // 64)


def _chunks(low: Words) -> list[NDArray[np.uint16]]:
    return [(low >> np.uint64(_CHUNK_BITS * number)).astype(np.uint16) for number in range(_CHUNKS)]


def _transformed(words: Words) -> Words:
    """The hashes (n, transforms, 4) of images as they are after each of `TRANSFORMS`."""
    bits = np.unpackbits(words.astype(">u8").view(np.uint8), axis=1)
    turned = np.stack([bits[:, sources] ^ flips for sources, flips in _bit_changes()], axis=1)
    return np.packbits(turned, axis=2).view(">u8").astype(np.uint64)


@cache
def _bit_changes() -> list[tuple[NDArray[np.intp], NDArray[np.uint8]]]:
    """Per transform: which bit each bit comes from, and whether it changes.

    A mirrored image has the opposite sign at odd frequencies along that axis; a transposed one swaps axes.
    Rotated clockwise by 90 degrees is transposed, then mirrored.
    """
    rows, columns = np.divmod(bit_order(), SIDE)
    same = np.arange(SIDE * SIDE)
    transposed = np.argsort(bit_order())[columns * SIDE + rows]
    odd_row, odd_column = (rows % 2).astype(np.uint8), (columns % 2).astype(np.uint8)
    never = np.zeros_like(odd_row)
    return [
        (same, never),
        (transposed, odd_column),
        (same, odd_row ^ odd_column),
        (transposed, odd_row),
        (same, odd_column),
        (transposed, odd_row ^ odd_column),
        (same, odd_row),
        (transposed, never),
    ]
