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
from itertools import combinations

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


class HashIndex:
    """Perceptual hashes to look into.

    Args:
        hashes: as `ImageInfo.perceptual_hash` has them, none of them empty.
    """

    def __init__(self, hashes: Sequence[str]) -> None:
        self._words = _words(hashes)
        self._low = np.ascontiguousarray(self._words[:, 0])
        self._tables = [_Table.of(chunk) for chunk in _chunks(self._low)]

    def near(self, perceptual_hash: str) -> list[Near]:
        """The hashes near this one, by index; an empty hash has none."""
        return next(self.near_each([perceptual_hash])) if perceptual_hash else []

    def near_each(self, hashes: Sequence[str]) -> Iterator[list[Near]]:
        """The hashes near each of these, none of which is empty; faster than one by one."""
        for start in range(0, len(hashes), _QUERIES):
            queries = _transformed(_words(hashes[start : start + _QUERIES]))
            yield from self._near_all(queries)

    def _near_all(self, queries: Words) -> list[list[Near]]:
        """Of queries (n, transforms, 4)."""
        best: list[dict[int, Near]] = [{} for _ in queries]
        for row, index, distance in self._pairs(queries.reshape(-1, queries.shape[-1])):
            query, transform = divmod(row, len(TRANSFORMS))
            near = Near(index, distance, TRANSFORMS[transform])
            if _order(near) <= _order(best[query].get(index, near)):
                best[query][index] = near
        return [[each[index] for index in sorted(each)] for each in best]

    def _pairs(self, queries: Words) -> Iterator[tuple[int, int, int]]:
        """Row of a query, index of a hash near it, and their distance; some pairs several times."""
        low = np.ascontiguousarray(queries[:, 0])
        for table, chunk in zip(self._tables, _chunks(low), strict=True):
            for rows, indices in table.candidates(chunk):
                kept = np.flatnonzero(np.bitwise_count(low[rows] ^ self._low[indices]) <= MOST_LOW_BITS)
                rows, indices = rows[kept], indices[kept]
                distances = np.bitwise_count(queries[rows] ^ self._words[indices]).sum(axis=1)
                near = distances <= MOST_BITS
                yield from zip(
                    rows[near].tolist(), indices[near].tolist(), distances[near].tolist(), strict=True
                )


def _order(near: Near) -> tuple[int, int]:
    """Of several transforms, the nearest counts, else the plainest."""
    return near.distance, TRANSFORMS.index(near.transform)


@dataclass(frozen=True)
class _Table:
    """Which hashes have a value in one chunk.

    Attributes:
        order: indices of the hashes, by the chunk's value.
        starts: where in ``order`` each value begins, and the end.
    """

    order: NDArray[np.intp]
    starts: NDArray[np.intp]

    @classmethod
    def of(cls, chunk: NDArray[np.uint16]) -> _Table:
        counts = np.bincount(chunk, minlength=1 << _CHUNK_BITS)
        return cls(np.argsort(chunk, kind="stable"), np.append(0, np.cumsum(counts)))

    def candidates(self, chunk: NDArray[np.uint16]) -> Iterator[tuple[NDArray[np.intp], NDArray[np.intp]]]:
        """Pairs of a query and a hash whose chunks are near: rows of the queries, indices of the hashes."""
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
            yield np.repeat(hits[first:last] // len(_near_values()), length), self.order[places]
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
