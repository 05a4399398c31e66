"""How much every window counts: both labels the same, and large repositories less than their size."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Sequence

import torch
from torch import Tensor

from .corpus import Window

REPOSITORY_POWER = 0.5  # a repository of n windows weighs n ** this: many small ones outweigh one large one


def repository_weights(windows: Sequence[Window]) -> Tensor:
    """`sampling_weights` of windows, with the power of the training."""
    return sampling_weights([w.synthetic for w in windows], [w.repo for w in windows], REPOSITORY_POWER)


def sampling_weights(synthetic: Sequence[bool], repos: Sequence[Hashable], power: float) -> Tensor:
    """Weights (windows,): both labels weigh the same; n windows of a repository weigh n ** power."""
    keys = list(zip(synthetic, repos, strict=True))
    counts = Counter(keys)
    weights = torch.tensor([counts[key] ** (power - 1) for key in keys])
    labels = torch.tensor(synthetic)
    for label in (labels, ~labels):
        weights[label] /= weights[label].sum()
    return weights
