"""AUROC of resamples of whole repositories, from counts instead of from pictures."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from sidscan.training.common.metrics import Scores

RESAMPLES = 2000  # bootstrap draws of whole repositories


class Wins:
    """AUROC of some evidence, for any resample of repositories, from counts of pairs in the right order.

    Attributes:
        pairs: (synthetic repositories, real ones), wins of every pair's windows, ties counting half.
        sizes: windows of each, (synthetic repositories,) and (real ones,).
    """

    def __init__(self, evidence: Scores, synthetic: NDArray[np.bool_], repos: NDArray[np.int64]) -> None:
        sides = []
        for chosen in (synthetic, ~synthetic):
            order = np.argsort(repos[chosen], kind="stable")
            names, starts, counts = np.unique(repos[chosen][order], return_index=True, return_counts=True)
            sides.append((names, evidence[chosen][order], starts, counts))
        (self.synthetic, positive, starts, n), (self.real, negative, edges, m) = sides
        per_window = np.stack(
            [np.searchsorted(np.sort(some), positive) for some in np.split(negative, edges[1:])]
        )
        upto = np.stack(
            [np.searchsorted(np.sort(some), positive, "right") for some in np.split(negative, edges[1:])]
        )
        self.pairs = np.add.reduceat((per_window + upto) / 2, starts, axis=1).T
        self.sizes = n, m

    def resampled(self, rng: np.random.Generator) -> Scores:
        """AUROC of every resample, whole repositories drawn with replacement for each label: (RESAMPLES,)."""
        return self.auroc(draws(len(self.synthetic), rng), draws(len(self.real), rng))

    def auroc(self, positive: Scores, negative: Scores) -> Scores:
        """(draws,) where a repository comes so many times: (draws, synthetic), (draws, real)."""
        wins = ((positive @ self.pairs) * negative).sum(axis=1)
        found: Scores = wins / ((positive @ self.sizes[0]) * (negative @ self.sizes[1]))
        return found


def draws(count: int, rng: np.random.Generator) -> Scores:
    """How often each of ``count`` repositories comes in every resample, (RESAMPLES, count)."""
    return rng.multinomial(count, np.full(count, 1 / count), size=RESAMPLES).astype(float)
