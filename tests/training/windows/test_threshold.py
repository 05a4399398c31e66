"""The threshold of our detectors."""

from __future__ import annotations

import pytest
import torch

from sidscan.training.windows.corpus import Window
from sidscan.training.windows.threshold import weighted_threshold


def test_a_large_repository_does_not_dominate_the_threshold() -> None:
    sizes = {"o/large": 900, "o/small": 100}
    photographs = [Window("f", False, "kind", repo, "MIT") for repo, n in sizes.items() for _ in range(n)]
    logits = torch.cat([torch.linspace(-5, -1, 900), torch.linspace(0, 1, 100)])
    threshold = weighted_threshold(logits, photographs)
    above = (logits.sigmoid() > threshold).float()
    assert above[:900].sum() == 0
    assert (30 * above[:900].mean() + 10 * above[900:].mean()) / 40 == pytest.approx(0.05, abs=0.003)
