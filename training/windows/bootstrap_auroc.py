"""AUROC of resamples of whole repositories, from counts of pairs instead of from images.

Model cards (`sidscan.training.windows.figures`) draw their resamples one by one instead. They also need a
true-positive rate, which takes a quantile of every resample and can't be had from counts of pairs.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from sidscan.training.common.metrics import Scores

_RESAMPLES = 2000  # bootstrap draws of whole repositories


class BootstrapAuroc:
    """AUROC of some evidence for any resample of repositories.

    Attributes:
        synthetic, real: the repositories of each label.
        pairs: (synthetic repositories, real ones), how many pairs of their windows are in the right order;
            ties count half.
        sizes: windows of each repository, (synthetic repositories,) and (real ones,).
    """

    def __init__(self, evidence: Scores, synthetic: NDArray[np.bool_], repos: NDArray[np.int64]) -> None:
        labels = []
        for chosen in (synthetic, ~synthetic):
            order = np.argsort(repos[chosen], kind="stable")
            names, starts, counts = np.unique(repos[chosen][order], return_index=True, return_counts=True)
            labels.append((names, evidence[chosen][order], starts, counts))
        (self.synthetic, positive, starts, n), (self.real, negative, edges, m) = labels
        groups = [np.sort(group) for group in np.split(negative, edges[1:])]
        below = np.stack([np.searchsorted(group, positive) for group in groups])
        at_most = np.stack([np.searchsorted(group, positive, "right") for group in groups])
        self.pairs = np.add.reduceat((below + at_most) / 2, starts, axis=1).T
        self.sizes = n, m

    def resampled(self, rng: np.random.Generator) -> Scores:
        """AUROC of every resample, whole repositories drawn with replacement for each label."""
        return self.auroc(draw_counts(len(self.synthetic), rng), draw_counts(len(self.real), rng))

    def auroc(self, positive: Scores, negative: Scores) -> Scores:
        """AUROC of each resample, (draws,), from how often it holds each repository.

        Args:
            positive, negative: (draws, synthetic repositories) and (draws, real ones).
        """
        right = ((positive @ self.pairs) * negative).sum(axis=1)
        areas: Scores = right / ((positive @ self.sizes[0]) * (negative @ self.sizes[1]))
        return areas


def draw_counts(count: int, rng: np.random.Generator) -> Scores:
    """How often each of ``count`` repositories comes in every resample, (resamples, count)."""
    return rng.multinomial(count, np.full(count, 1 / count), size=_RESAMPLES).astype(float)
