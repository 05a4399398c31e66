"""The head finds a planted direction, on repositories that it was not fitted on."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from sidscan.training.common.metrics import auroc
from sidscan.training.rine_b16.fit import (
    EnsembleConfig,
    WindowTokens,
    calibrate,
    fit_ensemble,
    fit_head,
    fit_logit,
    held_out_logits,
    logits_of,
    standardisation,
)

BLOCKS, WIDTH, WINDOWS = 3, 16, 200
SMALL = EnsembleConfig(probe_steps=150, probe_batch=64, seeds=(0, 1), proj_dim=8, epochs=40, batch=32)


@pytest.fixture(scope="module")
def tokens() -> WindowTokens:
    """Two views of windows; the label moves one direction of the second block."""
    generator = torch.Generator().manual_seed(0)
    labels = (torch.arange(WINDOWS) % 2).float()
    shift = torch.zeros(BLOCKS, WIDTH)
    shift[1, :4] = 2.0
    views = tuple(
        (5 + torch.randn(WINDOWS, BLOCKS, WIDTH, generator=generator) + labels[:, None, None] * shift).half()
        for _ in range(2)
    )
    return WindowTokens(views, labels, torch.full((WINDOWS,), 2 / WINDOWS), torch.arange(WINDOWS) // 2 % 5)


def test_standardisation_is_that_of_all_views(tokens: WindowTokens) -> None:
    every = torch.cat(tokens.views).double().numpy()
    found = standardisation(tokens)
    np.testing.assert_allclose(found.mean.numpy(), every.mean(axis=0), rtol=1e-5)
    np.testing.assert_allclose(found.scale.numpy(), every.std(axis=0) + 1e-3, rtol=1e-5)


def test_held_out_windows_are_separated(tokens: WindowTokens) -> None:
    folds = [fit_ensemble(tokens.where(tokens.folds != fold), "fold", SMALL) for fold in range(5)]
    logits = held_out_logits(folds, tokens.views[0], tokens.folds)
    synthetic, real = (logits[tokens.labels == label].double().numpy() for label in (1.0, 0.0))
    assert auroc(synthetic, real) > 0.85


def test_each_window_is_scored_by_the_head_of_its_fold(tokens: WindowTokens) -> None:
    folds = [fit_ensemble(tokens.where(tokens.folds != fold), "fold", SMALL) for fold in (0, 1)]
    chosen = tokens.folds < 2
    logits = held_out_logits(folds, tokens.views[0][chosen], tokens.folds[chosen])
    first = tokens.folds[chosen] == 0
    assert torch.equal(logits[first], logits_of(folds[0], tokens.views[0][tokens.folds == 0]))


def test_the_same_seed_gives_the_same_head(tokens: WindowTokens) -> None:
    standardise = standardisation(tokens)
    first, again, other = (fit_head(tokens, standardise, seed, SMALL) for seed in (3, 3, 4))
    assert torch.equal(first.alpha, again.alpha)
    assert not torch.equal(first.alpha, other.alpha)


def test_members_count_alike_around_one_level(tokens: WindowTokens) -> None:
    ensemble = fit_ensemble(tokens, "all", SMALL)
    members = torch.cat([ensemble.embed(view.float()) for view in tokens.views])
    spread: Tensor = members.std(dim=0, correction=0) * ensemble.weights
    torch.testing.assert_close(spread, torch.full((3,), 1 / 3))
    assert float((members @ ensemble.weights + ensemble.bias).mean()) == pytest.approx(0, abs=1e-5)


def test_calibration_is_a_line(tokens: WindowTokens) -> None:
    ensemble = fit_ensemble(tokens, "all", SMALL)
    before = logits_of(ensemble, tokens.views[0])
    calibrate(ensemble, 2.0, -1.0)
    torch.testing.assert_close(logits_of(ensemble, tokens.views[0]), 2 * before - 1)
    calibrate(ensemble, 0.5, 3.0)
    torch.testing.assert_close(logits_of(ensemble, tokens.views[0]), before + 2.5)


def test_the_logit_is_fitted_to_the_labels() -> None:
    """Logits of two Gaussians at -1 and +1: the true slope is twice the mean over the variance."""
    generator = torch.Generator().manual_seed(1)
    labels = (torch.arange(20_000) % 2).float()
    logits = torch.randn(2, 20_000, generator=generator) + 2 * labels - 1
    slope, bias = fit_logit(logits, labels, torch.ones(20_000) / 10_000)
    assert slope == pytest.approx(2, abs=0.05)
    assert bias == pytest.approx(0, abs=0.05)
