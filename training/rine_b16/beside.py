"""rine-b16 beside what it has to beat: `mini`'s method and a plain probe, on the same data, folds and crops.

A model card's figures of two detectors can't be compared where their windows, folds or crops differ. Here
both others are fitted to the windows and views that rine-b16 is fitted to, and read the crops that it reads.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple, TypedDict

import torch

from sidscan.models.heads.rine_ensemble import RineEnsemble
from sidscan.training.common.metrics import Scores
from sidscan.training.windows.conditions import ALTERED_CONDITIONS, ALTERED_IMAGES
from sidscan.training.windows.corpus import Window, fold_of_repo, some_of_each
from sidscan.training.windows.figure_types import Intervals, Rates
from sidscan.training.windows.figures import condition_metrics

from .features import compute_features, fitted_views, measured_views
from .fit import WindowTokens, held_out_logits
from .rivals import compute_statistics, fit_mini, fit_plain_probes, held_out, mini_logits
from .train import FITTED_VIEWS

HALF_WINDOWS = 5  # of each repository and label


class RivalFigures(Intervals):
    """What one detector comes to under one condition; no threshold is involved.

    Attributes:
        tpr_at_5: share of the synthetic images above the level that 5 % of these photographs exceed.
        auroc_of_repositories: mean over synthetic repositories.
        generators: by family; empty where it is not told.
    """

    real: int
    synthetic: int
    auroc: float
    tpr_at_5: float
    auroc_of_repositories: float
    generators: dict[str, Rates]


class BesideFigures(TypedDict):
    """By condition, then by detector.

    Attributes:
        windows: the centre crop of windows: all as they are and as JPEG 75, `HALF_WINDOWS` of each repository
            and label at half size.
        images: the centre crop of some whole images.
    """

    windows: dict[str, dict[str, RivalFigures]]
    images: dict[str, dict[str, RivalFigures]]


class Compared(NamedTuple):
    """Logits (windows,) of every detector, each by what was fitted without a window's repository."""

    windows: Sequence[Window]
    logits: dict[str, Scores]


class Beside(NamedTuple):
    """By condition: the centre crop of windows, and of whole images, as all three detectors see it."""

    windows: dict[str, Compared]
    images: dict[str, Compared]

    def figures(self) -> BesideFigures:
        """What the card states."""
        return {
            "windows": {
                name: rival_figures(*compared, generators=name == "clean")
                for name, compared in self.windows.items()
            },
            "images": {name: rival_figures(*compared) for name, compared in self.images.items()},
        }


def rival_figures(
    windows: Sequence[Window], logits: Mapping[str, Scores], generators: bool = False
) -> dict[str, RivalFigures]:
    """Figures of every detector.

    Args:
        logits: by detector, (windows,).
        generators: tell them apart.
    """
    figures: dict[str, RivalFigures] = {}
    for name, values in logits.items():
        exact = condition_metrics(windows, values, threshold=0.5)
        figures[name] = {
            "real": exact["real"],
            "synthetic": exact["synthetic"],
            "auroc": exact["auroc"],
            "auroc_interval": exact["auroc_interval"],
            "tpr_at_5": exact["tpr_at_5"],
            "tpr_at_5_interval": exact["tpr_at_5_interval"],
            "auroc_of_repositories": exact["auroc_of_repositories"],
            "generators": exact["generators"] if generators else {},
        }
    return figures


def measure_beside(
    ensembles: Sequence[RineEnsemble],
    windows: Sequence[Window],
    tokens: WindowTokens,
    images: Sequence[Window],
    workers: int,
    cache: Path | None,
) -> Beside:
    """Fit both others and let all three score the same crops.

    Args:
        ensembles: rine-b16 of every fold.
        tokens: of the windows, as ``ensembles`` were fitted to them.
        images: whole images of the same repositories; `some_of_each` of them are used.
    """
    fold_of = fold_of_repo(windows)
    repo_numbers = {repo: number for number, repo in enumerate(sorted(fold_of))}
    statistics = [
        compute_statistics(windows, name, view, workers, cache)
        for name, view in fitted_views(*FITTED_VIEWS).items()
    ]
    networks = fit_mini(statistics, tokens, torch.tensor([repo_numbers[window.repo] for window in windows]))
    del statistics
    probes = fit_plain_probes(replace(tokens, views=tokens.views[-len(measured_views()) :]))
    some = some_of_each(images, ALTERED_IMAGES)

    def score(of: Sequence[Window], condition: str) -> Compared:
        view = measured_views([condition])[condition]
        folds = torch.tensor([fold_of[window.repo] for window in of])
        cls = compute_features(of, condition, view, workers, cache)
        of_mini = compute_statistics(of, condition, view, workers, cache)
        logits: dict[str, Scores] = {
            "rine-b16": held_out_logits(ensembles, cls, folds).double().numpy(),
            "plain probe": held_out(lambda fold, part: probes[fold](part), cls, folds),
            "mini": held_out(lambda fold, part: mini_logits(networks[fold], part), of_mini, folds),
        }
        return Compared(of, logits)

    return Beside(
        {
            **{name: score(windows, name) for name in ("clean", "jpeg75")},
            "half": score(some_of_each(windows, HALF_WINDOWS), "half"),
        },
        {name: score(some, name) for name in ("clean", *ALTERED_CONDITIONS)},
    )
