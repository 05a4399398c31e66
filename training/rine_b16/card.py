"""The model card of rine-b16: measure the five folds, write rine_b16.json and rine_b16.md.

    python -m sidscan.training.rine_b16.card --corpus DIR --corpus MORE --corpus MORE2 --whole WHOLE \\
        --weights sidscan/weights --folds FOLDS --cache CACHE

FOLDS is the work folder of the training. Every window and whole image is scored by the head that was not
fitted on its repository. rine_b16.json holds every figure; rine_b16.md is rendered from it. The same input
gives the same files.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

import click
import numpy as np
import torch
from numpy.typing import NDArray

from sidscan.images.crops import CENTRE
from sidscan.models.abstention import Abstention
from sidscan.models.cascade import Cascade
from sidscan.models.cautions import LOSSLESS
from sidscan.scoring.evidence import logit_of
from sidscan.training.common.files import write_json, write_text
from sidscan.training.common.metrics import Scores, detection_metrics
from sidscan.training.windows.abstention_figures import abstention_rule
from sidscan.training.windows.conditions import HARD_CONDITIONS, PER_REPOSITORY
from sidscan.training.windows.corpus import (
    Window,
    fold_of_repo,
    read_corpora,
    sample_windows,
    synthetic_mask,
)
from sidscan.training.windows.data_sources import data_sources, fold_weights
from sidscan.training.windows.figure_types import Rates, ReliabilityFigures
from sidscan.training.windows.figures import (
    catalog_metrics,
    effort_reliability,
    metrics_by_condition,
    metrics_by_fold,
    rounded,
    scores_of_logits,
)
from sidscan.training.windows.options import cache_option, corpora_option, whole_option, workers_option
from sidscan.training.windows.weights_file import file_sha256, fold_files

from .card_format import (
    CascadeFigures,
    CautionRule,
    EnsembleCard,
    EnsembleTraining,
    ProbeFigures,
    ToldFigures,
)
from .card_text import render_card
from .cascade import run_cascade
from .cautions import (
    DRAWN,
    caution_rules,
    held_out_cautions,
    lossless_mask,
    probe_figures,
    told_figures,
)
from .comparison import DetectorComparison, compare
from .crops import WHOLE_CONDITIONS, ten_crop_tokens
from .features import ENCODER, compute_features, measured_views
from .fit import DEFAULT_FIT, held_out_logits
from .train import (
    TRAIN_COMMAND,
    WEIGHTS_FILE,
    fitted_views_of_training,
    load_weights,
    whole_images,
    window_tokens,
)

HARD_SAMPLE = 150  # windows of each label under the hard conditions: fewer than for `mini`, they cost more
CARD_COMMAND = (
    "python -m sidscan.training.rine_b16.card --corpus DIR --corpus MORE --corpus MORE2 --whole WHOLE "
    "--weights sidscan/weights --folds FOLDS --cache CACHE"
)
THRESHOLD_MADE = (
    "5 % false positives on whole photographs of repositories left out of the fit (five folds), a repository "
    "of n weighing as the square root of n; ten crops, as they are"
)
METRICS_MADE = "five folds of its model card, whole images, ten crops, as they are; accuracy at its threshold"


def measure_detector(
    corpora: Sequence[Path], whole: Path, weights: Path, work: Path, cache: Path | None, workers: int
) -> EnsembleCard:
    """Score everything with the heads of its fold under all conditions; everything behind the card."""
    windows = read_corpora(corpora)
    fold_of = fold_of_repo(windows)
    folds = [load_weights(file)[0] for file in fold_files(work)]
    numbers = _numbers(windows, fold_of)
    tokens = window_tokens(windows, workers, cache)
    window_logits = {
        name: held_out_logits(folds, view, numbers)
        for name, view in zip(fitted_views_of_training(), tokens.views, strict=True)
        if name in measured_views()
    }
    sample = sample_windows(windows, HARD_SAMPLE, PER_REPOSITORY)
    hard_logits = {
        name: held_out_logits(
            folds, compute_features(sample, name, view, workers, cache), _numbers(sample, fold_of)
        )
        for name, view in measured_views(HARD_CONDITIONS).items()
    }
    images = whole_images(whole, fold_of)
    crop_logits = {
        name: held_out_logits(folds, ten_crop_tokens(images, name, workers, cache), _numbers(images, fold_of))
        for name in WHOLE_CONDITIONS
    }
    probe_logits = {
        name: held_out_cautions(
            folds, DRAWN, ten_crop_tokens(images, name, workers, cache), _numbers(images, fold_of)
        )
        for name in WHOLE_CONDITIONS
    }
    comparison = compare(folds, windows, tokens, images, workers, cache)
    return build_card(
        windows,
        _arrays(window_logits),
        sample,
        _arrays(hard_logits),
        images,
        _arrays(crop_logits),
        probe_logits,
        comparison,
        weights,
        work,
    )


def _arrays(logits: Mapping[str, torch.Tensor]) -> dict[str, NDArray[np.float64]]:
    return {name: values.double().numpy() for name, values in logits.items()}


def _numbers(windows: Sequence[Window], fold_of: Mapping[str, int]) -> torch.Tensor:
    return torch.tensor([fold_of[window.repo] for window in windows])


def build_card(
    windows: Sequence[Window],
    window_logits: Mapping[str, Scores],
    sample: Sequence[Window],
    hard_logits: Mapping[str, Scores],
    images: Sequence[Window],
    crop_logits: Mapping[str, NDArray[np.float64]],
    probe_logits: Mapping[str, torch.Tensor],
    comparison: DetectorComparison,
    weights: Path,
    work: Path,
) -> EnsembleCard:
    """Everything behind the card.

    Args:
        window_logits: by condition, (windows,), by heads that were not fitted on the repository of a window.
        hard_logits: the same for the ``sample`` windows under `HARD_CONDITIONS`.
        crop_logits: by condition, (images, 10), likewise.
        probe_logits: of the probe `DRAWN`, likewise.
    """
    fold_of = fold_of_repo(windows)
    head, metadata = load_weights(weights)
    threshold = float(metadata["threshold"])
    cascade = Cascade.from_dict(json.loads(metadata["cascade"]))
    means = {name: logits.mean(axis=1) for name, logits in crop_logits.items()}
    centre = {name: logits[:, CENTRE] for name, logits in crop_logits.items()}
    whole = metrics_by_condition(images, means, threshold)
    drawn = json.loads(metadata["probes"])[DRAWN]
    cautions = caution_rules(whole["clean"]["real_kinds"], drawn)
    return {
        "name": metadata["name"],
        "version": metadata["version"],
        "licence": metadata["licence"],
        "sha256": file_sha256(weights),
        "parameters": sum(tensor.numel() for tensor in head.parameters()),
        "card_command": CARD_COMMAND,
        "training": _training(),
        "threshold": threshold,
        "threshold_made": THRESHOLD_MADE,
        "abstention": abstention_rule(Abstention.from_dict(json.loads(metadata["abstention"]))),
        "cascade": {"centre": cascade.centre, "mirrors": cascade.mirrors},
        "cautions": cautions,
        "told": _told(cautions, images, scores_of_logits(means["clean"]), threshold, probe_logits, drawn),
        "probe": _probe(images, probe_logits, drawn),
        "folds": fold_weights(fold_of, fold_files(work)),
        "metrics": {**catalog_metrics(images, means["clean"], threshold), "about": METRICS_MADE},
        "windows": metrics_by_condition(windows, window_logits, threshold),
        "hard": metrics_by_condition(sample, hard_logits, threshold),
        "whole": whole,
        "centre": metrics_by_condition(images, centre, threshold),
        "effort": _effort(images, crop_logits, threshold, cascade),
        "reliability": _reliability(images, crop_logits, threshold, cascade),
        "comparison": comparison.figures(),
        "per_fold": {
            name: metrics_by_fold(windows, fold_of, logits, threshold)
            for name, logits in window_logits.items()
        },
        "sources": data_sources(windows, fold_of),
    }


def _told(
    cautions: Sequence[CautionRule],
    images: Sequence[Window],
    scores: Scores,
    threshold: float,
    probe_logits: Mapping[str, torch.Tensor],
    drawn: float,
) -> dict[str, ToldFigures]:
    masks = {
        DRAWN: probe_logits["clean"].mean(dim=1).numpy() >= drawn,
        LOSSLESS: lossless_mask(images),
    }
    return {
        caution["kind"]: told_figures(masks[caution["kind"]], images, scores, threshold)
        for caution in cautions
    }


def _probe(
    images: Sequence[Window], probe_logits: Mapping[str, torch.Tensor], drawn: float
) -> dict[str, ProbeFigures]:
    """By condition of the whole images, ten crops; and of the centre crop."""
    figures = {
        name: probe_figures(logits.mean(dim=1), images, drawn) for name, logits in probe_logits.items()
    }
    return {**figures, "centre": probe_figures(probe_logits["clean"][:, CENTRE], images, drawn)}


def _training() -> EnsembleTraining:
    return {
        "command": TRAIN_COMMAND,
        "encoder": ENCODER,
        "views": list(fitted_views_of_training()),
        "config": {
            name: list(value) if isinstance(value, tuple) else value
            for name, value in asdict(DEFAULT_FIT).items()
        },
    }


def _reliability(
    images: Sequence[Window],
    crop_logits: Mapping[str, NDArray[np.float64]],
    threshold: float,
    cascade: Cascade,
) -> ReliabilityFigures:
    efforts = {
        "full": [logits.mean(axis=1) for logits in crop_logits.values()],
        "normal": [
            run_cascade(logits, logit_of(threshold), cascade).logits for logits in crop_logits.values()
        ],
        "fast": [logits[:, CENTRE] for logits in crop_logits.values()],
    }
    synthetic = int(synthetic_mask(images).sum())
    return {
        "images": "whole images",
        "encoder": ENCODER,
        "photographs": len(images) - synthetic,
        "synthetic": synthetic,
        "efforts": {
            effort: effort_reliability(images, as_is, jpeg75, threshold)
            for effort, (as_is, jpeg75) in efforts.items()
        },
    }


def _effort(
    images: Sequence[Window],
    crop_logits: Mapping[str, NDArray[np.float64]],
    threshold: float,
    cascade: Cascade,
) -> dict[str, CascadeFigures]:
    return {
        name: _cascade_figures(images, logits, threshold, cascade) for name, logits in crop_logits.items()
    }


def _cascade_figures(
    images: Sequence[Window], logits: NDArray[np.float64], threshold: float, cascade: Cascade
) -> CascadeFigures:
    synthetic = synthetic_mask(images)
    outcome = run_cascade(logits, logit_of(threshold), cascade)
    by_ten, by_cascade = (values >= logit_of(threshold) for values in (logits.mean(axis=1), outcome.logits))
    scores = scores_of_logits(outcome.logits)
    rates: Rates = {
        name: value if isinstance(value, int) else rounded(value)
        for name, value in detection_metrics(scores[synthetic], scores[~synthetic], threshold)
        .as_dict()
        .items()
    }  # type: ignore[assignment]
    return {
        "crops": {
            "real": rounded(outcome.crops[~synthetic].mean()),
            "synthetic": rounded(outcome.crops[synthetic].mean()),
        },
        "kept": rounded(by_cascade[synthetic & by_ten].mean()),
        "changed": rounded((by_ten != by_cascade).mean()),
        "rates": rates,
    }


@click.command(help=__doc__)
@corpora_option
@whole_option
@click.option("--weights", type=click.Path(exists=True, file_okay=False, path_type=Path), required=True)
@click.option("--folds", "work", type=click.Path(exists=True, file_okay=False, path_type=Path), required=True)
@cache_option
@workers_option
def card_command(
    corpora: tuple[Path, ...], whole: Path, weights: Path, work: Path, cache: Path | None, workers: int
) -> None:
    """Evaluate the heads of the folds on all CORPORA; write rine_b16.json and rine_b16.md into WEIGHTS."""
    card = measure_detector(corpora, whole, weights / WEIGHTS_FILE, work, cache, workers)
    write_json(weights / "rine_b16.json", card)
    write_text(weights / "rine_b16.md", render_card(card))


if __name__ == "__main__":
    card_command()
