"""rine-b16 beside `mini`'s method and a plain probe, on the same windows, folds and crops.

Model cards of two detectors can't be compared where their windows, folds or crops differ. Here both baselines
are fitted to the windows and views that rine-b16 is fitted to, and read the crops that it reads.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from sidscan.models.heads.rine_ensemble import RineEnsemble
from sidscan.training.common.metrics import Scores
from sidscan.training.windows.conditions import ALTERED_CONDITIONS, ALTERED_IMAGES
from sidscan.training.windows.corpus import Window, fold_of_repo, sample_by_repository
from sidscan.training.windows.figures import condition_metrics

from .baselines import compute_statistics, fit_mini, fit_plain_probes, mini_logits
from .card_format import ComparedFigures, ComparisonFigures
from .features import compute_features, measured_views
from .fit import WindowTokens, held_out, held_out_logits
from .train import fitted_views_of_training

HALF_WINDOWS = 5  # of each repository and label


class Compared(NamedTuple):
    """Logits (windows,) by detector, each by what was fitted without a window's repository."""

    windows: Sequence[Window]
    logits: dict[str, Scores]


class DetectorComparison(NamedTuple):
    """By condition: the centre crop of windows, and of whole images, as all detectors see it."""

    windows: dict[str, Compared]
    images: dict[str, Compared]

    def figures(self) -> ComparisonFigures:
        """What the card states."""
        return {
            "windows": {
                name: compared_figures(*compared, generators=name == "clean")
                for name, compared in self.windows.items()
            },
            "images": {name: compared_figures(*compared) for name, compared in self.images.items()},
        }


def compared_figures(
    windows: Sequence[Window], logits: Mapping[str, Scores], generators: bool = False
) -> dict[str, ComparedFigures]:
    """Figures of every detector.

    Args:
        logits: by detector, (windows,).
        generators: state those of each family, too.
    """
    figures: dict[str, ComparedFigures] = {}
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


def compare(
    ensembles: Sequence[RineEnsemble],
    windows: Sequence[Window],
    tokens: WindowTokens,
    images: Sequence[Window],
    workers: int,
    cache: Path | None,
) -> DetectorComparison:
    """Fit both baselines and let all three score the same crops.

    Args:
        ensembles: rine-b16 of every fold.
        tokens: of the windows, as ``ensembles`` were fitted to them.
        images: whole images of the same repositories; `sample_by_repository` chooses among them.
    """
    fold_of = fold_of_repo(windows)
    repo_numbers = {repo: number for number, repo in enumerate(sorted(fold_of))}
    statistics = {
        name: compute_statistics(windows, name, view, workers, cache)
        for name, view in fitted_views_of_training().items()
    }
    networks = fit_mini(
        list(statistics.values()), tokens, torch.tensor([repo_numbers[window.repo] for window in windows])
    )
    measured = {
        name: tokens.views[number]
        for number, name in enumerate(fitted_views_of_training())
        if name in measured_views()
    }
    probes = fit_plain_probes(replace(tokens, views=tuple(measured.values())))

    def logits(of: Sequence[Window], cls: Tensor, of_mini: Tensor) -> Compared:
        folds = torch.tensor([fold_of[window.repo] for window in of])
        scored = {
            "rine-b16": held_out_logits(ensembles, cls, folds),
            "plain probe": held_out(lambda fold, part: probes[fold](part), cls, folds),
            "mini": held_out(lambda fold, part: mini_logits(networks[fold], part), of_mini, folds),
        }
        return Compared(of, {name: values.double().numpy() for name, values in scored.items()})

    def score(of: Sequence[Window], condition: str) -> Compared:
        view = measured_views([condition])[condition]
        cls = compute_features(of, condition, view, workers, cache)
        return logits(of, cls, compute_statistics(of, condition, view, workers, cache))

    some = sample_by_repository(images, ALTERED_IMAGES)
    return DetectorComparison(
        {
            **{name: logits(windows, cls, statistics[name]) for name, cls in measured.items()},
            "half": score(sample_by_repository(windows, HALF_WINDOWS), "half"),
        },
        {name: score(some, name) for name in ("clean", *ALTERED_CONDITIONS)},
    )
