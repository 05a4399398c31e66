"""Figures of cards that need more than one metric."""

from __future__ import annotations

import numpy as np
import pytest

from sidscan.training.windows.corpus import Window
from sidscan.training.windows.figures import MIN_OF_ONE_SIZE, metrics_by_size
from sidscan.training.windows.window_score import LOGIT, SMALLER_SIDE, WindowScore


def test_size_alone_does_not_discriminate_among_equal_sizes() -> None:
    """Synthetic windows are mostly smaller, and the logit is the size, so it is useless within one size."""
    count = MIN_OF_ONE_SIZE
    sides = [160] * (3 * count) + [128] * (3 * count) + [100] * count
    labels = [False] * 2 * count + [True] * count + [False] * count + [True] * 2 * count + [True] * count
    windows = [Window("a.png", label, "kind", "o/a", "MIT") for label in labels]
    measured = np.zeros((len(windows), len(WindowScore._fields)))
    measured[:, SMALLER_SIDE] = sides
    measured[:, LOGIT] = -measured[:, SMALLER_SIDE]
    metrics = metrics_by_size(windows, measured)
    assert list(metrics) == ["160", "128"]  # no photograph has 100 px
    assert metrics["160"] == {"real": 2 * count, "synthetic": count, "auroc": pytest.approx(0.5)}
