"""AUROC of resamples of whole repositories."""

from __future__ import annotations

import numpy as np
import pytest

from sidscan.training.common.metrics import auroc
from sidscan.training.windows.bootstrap_auroc import BootstrapAuroc, draw_counts


def test_counts_of_pairs_give_the_auroc_of_any_resample() -> None:
    rng = np.random.default_rng(0)
    evidence = rng.integers(0, 6, 60).astype(float)  # many ties
    synthetic, repos = rng.random(60) < 0.5, rng.integers(0, 5, 60)
    bootstrap = BootstrapAuroc(evidence, synthetic, repos)
    positive = draw_counts(len(bootstrap.synthetic), rng)
    negative = draw_counts(len(bootstrap.real), rng)
    areas = bootstrap.auroc(positive, negative)
    for draw in range(3):
        sides = [
            np.concatenate([np.tile(evidence[chosen & (repos == repo)], int(times)) for repo, times in drawn])
            for chosen, drawn in (
                (synthetic, zip(bootstrap.synthetic, positive[draw], strict=True)),
                (~synthetic, zip(bootstrap.real, negative[draw], strict=True)),
            )
        ]
        assert areas[draw] == pytest.approx(auroc(*sides))
