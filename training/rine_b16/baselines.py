"""What rine-b16 has to beat, fitted to the same windows, views and folds: `mini`'s method, a plain probe."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from functools import reduce
from operator import add
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sidscan.models.backbones import mini, mini_patterns
from sidscan.models.backbones.mini import MiniEncoder
from sidscan.training.common import pixels as pixels_module
from sidscan.training.mini import features as mini_features
from sidscan.training.mini.features import statistics_array
from sidscan.training.mini.fit import MiniNetwork, Moments, WindowFeatures, fit_detector
from sidscan.training.windows import conditions, corpus, degradation
from sidscan.training.windows.cache import cached
from sidscan.training.windows.corpus import FOLDS, Window
from sidscan.training.windows.parallel import map_windows
from sidscan.util.progress import track

from . import features, views
from .features import View
from .fit import Standardisation, WindowTokens, standardisation

PENALTY = 1.0  # of the plain probe, in units of a standardised feature's variance
_CHUNK = 1024  # windows that are held as float32 at a time


class StatisticsExtractor:
    """(index, window) -> (statistics + 1,) float16: `mini`'s statistics of a view, its content weight."""

    def __init__(self, view: View) -> None:
        self.view, self.encoder = view, MiniEncoder().eval()

    def __call__(self, numbered: tuple[int, Window]) -> NDArray[np.float16]:
        crop = torch.from_numpy(self.view(numbered[1]).copy()).permute(2, 0, 1)
        statistics: NDArray[np.float16] = statistics_array(self.encoder, crop[None])[0]
        return statistics


def compute_statistics(
    windows: Sequence[Window], name: str, view: View, workers: int, cache: Path | None = None
) -> Tensor:
    """`mini`'s statistics of one view of every window, (windows, statistics + 1), float16."""
    array = cached(
        lambda: np.stack(map_windows(StatisticsExtractor(view), windows, workers, f"mini, {name}")),
        cache,
        f"mini-{name.replace(' ', '')}",
        windows,
        (
            name,
            *(mini, mini_patterns, mini_features, features, views, conditions, degradation, pixels_module),
            *(corpus, sys.modules[__name__]),
        ),
    )
    return torch.from_numpy(array)


def fit_mini(statistics: Sequence[Tensor], tokens: WindowTokens, repos: Tensor) -> list[MiniNetwork]:
    """`mini`'s method, fitted without each fold.

    Args:
        statistics: of the views of ``tokens``, (windows, statistics + 1) each.
        repos: (windows,), a number for every repository.
    """
    views_of = torch.stack(tuple(statistics), dim=1)
    of_windows = WindowFeatures(
        views_of[..., :-1], views_of[..., -1].float(), tokens.labels, tokens.weights, tokens.folds, repos
    )
    return [
        fit_detector(of_windows.where(of_windows.folds != fold))
        for fold in track(range(FOLDS), FOLDS, "fold", title="mini")
    ]


@torch.inference_mode()
def mini_logits(network: MiniNetwork, statistics: Tensor) -> Tensor:
    """Statistics (windows, statistics + 1), float16 -> logits (windows,)."""
    encoder, head = network
    logits = []
    for part in torch.split(statistics, _CHUNK):
        groups = list(torch.split(part[:, :-1].float(), encoder.group_sizes, dim=1))
        logits.append(head(encoder.embed(groups) * part[:, -1].float()[:, None, None]))
    return torch.cat(logits)


class PlainProbe(NamedTuple):
    """A linear discriminant: coefficients (n * d,) of shifted features, and the bias () of its logit."""

    shift: Standardisation
    coefficients: Tensor
    bias: Tensor

    def __call__(self, tokens: Tensor) -> Tensor:
        """Tokens (windows, n, d), float16 -> logits (windows,)."""
        parts = torch.split(tokens, _CHUNK)
        return torch.cat([self.shift(part).flatten(1) @ self.coefficients for part in parts]) + self.bias


def fit_plain_probes(tokens: WindowTokens) -> list[PlainProbe]:
    """Ridge discriminants on all CLS tokens, fitted without each fold.

    What shifts the features is of all windows; it keeps sums small and does not see labels.
    """
    shift = standardisation(tokens)
    by_fold = [
        [_moments(tokens, shift, (tokens.folds == fold) & (tokens.labels == label)) for label in (0.0, 1.0)]
        for fold in track(range(FOLDS), FOLDS, "fold", title="plain probe")
    ]
    probes = []
    for left_out in range(FOLDS):
        kept = [labels for fold, labels in enumerate(by_fold) if fold != left_out]
        real, synthetic = (reduce(add, of_label) for of_label in zip(*kept, strict=True))
        probes.append(PlainProbe(shift, *_discriminant(real, synthetic)))
    return probes


def _moments(tokens: WindowTokens, shift: Standardisation, chosen: Tensor) -> Moments:
    """Those of the shifted features (n * d,) of all views of the chosen windows."""
    size = shift.mean.numel()
    weight, first, second = torch.zeros(()), torch.zeros(size), torch.zeros(size, size)
    for view in tokens.views:
        for index in torch.split(chosen.nonzero()[:, 0], _CHUNK):
            x = shift(view[index]).flatten(1)
            weighted = x * tokens.weights[index, None]
            weight += tokens.weights[index].sum()
            first += weighted.sum(dim=0)
            second.addmm_(weighted.T, x)
    return Moments(weight, first, second)


def _discriminant(real: Moments, synthetic: Moments) -> tuple[Tensor, Tensor]:
    """w = (S / s s' + PENALTY I)^-1 (m1 - m0) / s, (n * d,), and the bias -w (m0 + m1) / 2, ().

    S is the mean covariance of both labels, s its deviations, m0 and m1 the means.
    """
    covariance = (real.covariance + synthetic.covariance) / 2
    scale = covariance.diagonal().clamp_min(1e-6).sqrt()
    covariance = covariance / scale[:, None] / scale
    covariance.diagonal().add_(PENALTY)
    shift = ((synthetic.mean - real.mean) / scale)[:, None]
    coefficients = torch.cholesky_solve(shift, torch.linalg.cholesky(covariance))[:, 0] / scale
    return coefficients, -(real.mean + synthetic.mean) @ coefficients / 2
