"""Figures of the bundled detector's card that are more than a metric."""

from __future__ import annotations

import numpy as np
import pytest

from sidscan.training.card import OF_ONE_SIDE, by_side
from sidscan.training.corpus import Window
from sidscan.training.mini import LOGIT, SMALLER_SIDE, Look


def test_size_alone_is_worth_nothing_among_equal_sizes() -> None:
    """Synthetic windows are mostly the smaller ones, and the logit is the size: useless within one size."""
    count = OF_ONE_SIDE
    sides = [160] * (3 * count) + [128] * (3 * count) + [100] * count
    labels = [False] * 2 * count + [True] * count + [False] * count + [True] * 2 * count + [True] * count
    windows = [Window("a.png", label, "kind", "o/a", "MIT") for label in labels]
    looks = np.zeros((len(windows), len(Look._fields)))
    looks[:, SMALLER_SIDE] = sides
    looks[:, LOGIT] = -looks[:, SMALLER_SIDE]
    found = by_side(windows, looks)
    assert list(found) == ["160", "128"]  # of 100 px there are no photographs
    assert found["160"] == {"real": 2 * count, "synthetic": count, "auroc": pytest.approx(0.5)}
