"""The plain probe is the formula's, and what scores a fold never saw it; mini's logits are the network's."""

from __future__ import annotations

from dataclasses import replace
from importlib import resources
from pathlib import Path

import numpy as np
import pytest
import torch
from sample_images import photo

from sidscan.training.mini.features import statistics_array
from sidscan.training.mini.train import load_weights
from sidscan.training.rine_b16 import baselines
from sidscan.training.rine_b16.baselines import PENALTY, fit_mini, fit_plain_probes, mini_logits
from sidscan.training.rine_b16.fit import WindowTokens, held_out

BLOCKS, WIDTH, WINDOWS = 2, 8, 300


@pytest.fixture
def tokens() -> WindowTokens:
    """Two views of windows of unequal weights; the label moves four features."""
    generator = torch.Generator().manual_seed(0)
    labels = (torch.arange(WINDOWS) % 2).float()
    shift = torch.zeros(BLOCKS, WIDTH)
    shift[1, :4] = 1.5
    views = tuple(
        (3 + torch.randn(WINDOWS, BLOCKS, WIDTH, generator=generator) + labels[:, None, None] * shift).half()
        for _ in range(2)
    )
    weights = torch.rand(WINDOWS, generator=generator) + 0.5
    return WindowTokens(views, labels, weights, torch.arange(WINDOWS) // 2 % 5)


def test_the_plain_probe_is_the_ridge_discriminant(tokens: WindowTokens) -> None:
    """Beside NumPy's own weighted means and covariances."""
    left_out = 2
    kept = (tokens.folds != left_out).numpy()
    x = np.concatenate([view.flatten(1).double().numpy()[kept] for view in tokens.views])
    labels, weights = (
        np.tile(part.double().numpy()[kept], len(tokens.views)) for part in (tokens.labels, tokens.weights)
    )
    chosen = [labels == label for label in (0, 1)]
    mean = [np.average(x[of], axis=0, weights=weights[of]) for of in chosen]
    pooled = sum(np.cov(x[of].T, aweights=weights[of], ddof=0) for of in chosen) / 2
    scale = np.sqrt(np.diag(pooled))
    ridge = pooled / np.outer(scale, scale) + PENALTY * np.eye(len(scale))
    coefficients = np.linalg.solve(ridge, (mean[1] - mean[0]) / scale) / scale
    expected = x @ coefficients - (mean[0] + mean[1]) @ coefficients / 2
    probe = fit_plain_probes(tokens)[left_out]
    found = torch.cat([probe(view[torch.from_numpy(kept)]) for view in tokens.views])
    np.testing.assert_allclose(found.numpy(), expected, atol=2e-3)


def test_a_probe_does_not_depend_on_its_fold(tokens: WindowTokens) -> None:
    inside = tokens.folds == 0
    views = tuple(torch.where(inside[:, None, None], -view, view) for view in tokens.views)
    before, after = fit_plain_probes(tokens), fit_plain_probes(replace(tokens, views=views))
    torch.testing.assert_close(before[0](tokens.views[0]), after[0](tokens.views[0]), atol=1e-2, rtol=0)
    assert (before[1](tokens.views[0]) - after[1](tokens.views[0])).abs().max() > 0.1


def test_mini_is_fitted_without_each_fold(tokens: WindowTokens, monkeypatch: pytest.MonkeyPatch) -> None:
    fitted: list[set[int]] = []
    monkeypatch.setattr(baselines, "fit_detector", lambda part: fitted.append(set(part.folds.tolist())))
    fit_mini([torch.rand(WINDOWS, 5) for _ in range(2)], tokens, torch.arange(WINDOWS))
    assert fitted == [set(range(5)) - {fold} for fold in range(5)]


def test_every_window_is_scored_by_its_fold() -> None:
    folds = torch.tensor([4, 0, 2, 1, 3, 0])
    logits = held_out(lambda fold, part: part + 10 * fold, torch.arange(6.0), folds)
    assert logits.tolist() == [40, 1, 22, 13, 34, 5]


def test_logits_of_statistics_are_the_networks() -> None:
    with resources.as_file(resources.files("sidscan.weights") / "mini.safetensors") as path:
        encoder, head, _ = load_weights(Path(path))
    crops = torch.stack(
        [torch.from_numpy(np.array(photo(224, 224, seed=seed))).permute(2, 0, 1) for seed in (0, 1)]
    )
    statistics = torch.from_numpy(statistics_array(encoder, crops))
    with torch.inference_mode():
        expected = head(encoder(crops))
    torch.testing.assert_close(mini_logits((encoder, head), statistics), expected, atol=0.02, rtol=0)
