"""The model card of the bundled mini detector: measure the five folds, write mini.json and mini.md.

    python -m sidscan.training.mini.card --corpus DIR --corpus MORE --weights sidscan/weights --folds FOLDS

FOLDS is the work folder of the training. Every window is scored by the weights that were not fitted on its
repository. mini.json holds every figure; mini.md is rendered from it. The same input gives the same files.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import click
import numpy as np
from numpy.typing import NDArray

from sidscan.models.abstention import Abstention
from sidscan.models.backbones.mini import CONTENT_POWER, MiniEncoder
from sidscan.models.heads.rine import RineHead
from sidscan.training.common.files import write_json, write_text
from sidscan.training.windows.abstention_figures import abstention_by_condition, abstention_rule
from sidscan.training.windows.conditions import CONDITIONS, HARD_CONDITIONS, HARD_WINDOWS, PER_REPOSITORY
from sidscan.training.windows.corpus import Window, fold_of_repo, read_corpora, sample_windows, synthetic_mask
from sidscan.training.windows.data_sources import data_sources, fold_weights
from sidscan.training.windows.figure_types import ReliabilityFigures
from sidscan.training.windows.figures import (
    catalog_metrics,
    effort_reliability,
    metrics_by_condition,
    metrics_by_fold,
    metrics_by_size,
)
from sidscan.training.windows.options import corpora_option
from sidscan.training.windows.parallel import map_windows
from sidscan.training.windows.threshold import THRESHOLD_MADE
from sidscan.training.windows.weights_file import file_sha256, fold_files
from sidscan.training.windows.window_score import LOGIT

from .card_format import KIND_KEYS, ModelCard, Training
from .card_text import render_card
from .features import DEGRADATIONS, RECOMPRESSIONS
from .fit import DEFAULT_FIT
from .train import TRAIN_COMMAND, WEIGHTS_FILE, WindowScorer, load_weights

CARD_COMMAND = (
    "python -m sidscan.training.mini.card --corpus DIR --corpus MORE --weights sidscan/weights --folds FOLDS"
)


def measure_detector(corpora: Sequence[Path], weights: Path, work: Path, workers: int) -> ModelCard:
    """Score every window with its fold's weights under all conditions; everything behind the card."""
    windows = read_corpora(corpora)
    folds = fold_of_repo(windows)
    networks = [load_weights(file)[:2] for file in fold_files(work)]
    scorer = WindowScorer(networks, folds, list(CONDITIONS.values()))
    measured = np.array(map_windows(scorer, windows, workers, "score"))
    sample = sample_windows(windows, HARD_WINDOWS, PER_REPOSITORY)
    hard_scorer = WindowScorer(networks, folds, list(HARD_CONDITIONS.values()))
    hard = np.array(map_windows(hard_scorer, sample, workers, "hard conditions"))
    return build_card(windows, measured, sample, hard, weights, work)


def build_card(
    windows: Sequence[Window],
    measured: NDArray[np.float64],
    sample: Sequence[Window],
    hard: NDArray[np.float64],
    weights: Path,
    work: Path,
) -> ModelCard:
    """Everything behind the card.

    Args:
        measured: (windows, CONDITIONS, fields of `WindowScore`), by weights that were not fitted on the
            repository of a window.
        hard: the same for the ``sample`` windows under HARD_CONDITIONS.
    """
    folds = fold_of_repo(windows)
    encoder, head, metadata = load_weights(weights)
    threshold = float(metadata["threshold"])
    by_condition = dict(zip(CONDITIONS, measured[..., LOGIT].T, strict=True))
    first = np.array([window.corpus == windows[0].corpus for window in windows])
    first_windows = [window for window in windows if window.corpus == windows[0].corpus]
    rule = Abstention.from_dict(json.loads(metadata["abstention"]))
    return {
        "name": metadata["name"],
        "version": metadata["version"],
        "licence": metadata["licence"],
        "sha256": file_sha256(weights),
        "parameters": sum(tensor.numel() for module in (encoder, head) for tensor in module.parameters()),
        "card_command": CARD_COMMAND,
        "training": _training(),
        "importance": _importance(encoder, head),
        "threshold": threshold,
        "threshold_made": THRESHOLD_MADE,
        "folds": fold_weights(folds, fold_files(work)),
        "metrics": catalog_metrics(windows, by_condition["clean"], threshold),
        "pooled": metrics_by_condition(windows, by_condition, threshold),
        "reliability": _reliability(windows, by_condition, threshold),
        "first_corpus": metrics_by_condition(
            first_windows, {name: logits[first] for name, logits in by_condition.items()}, threshold
        ),
        "half_by_side": metrics_by_size(windows, measured[:, list(CONDITIONS).index("half")]),
        "abstention": abstention_rule(rule),
        "abstaining": {
            **abstention_by_condition(windows, CONDITIONS, measured, rule, threshold),
            **abstention_by_condition(sample, HARD_CONDITIONS, hard, rule, threshold),
        },
        "per_fold": {
            name: metrics_by_fold(windows, folds, logits, threshold) for name, logits in by_condition.items()
        },
        "sources": data_sources(windows, folds),
    }


def _reliability(
    windows: Sequence[Window], logits: Mapping[str, NDArray[np.float64]], threshold: float
) -> ReliabilityFigures:
    synthetic = int(synthetic_mask(windows).sum())
    return {
        "images": "windows of up to 320 x 320 pixels, ten crops",
        "encoder": None,
        "photographs": len(windows) - synthetic,
        "synthetic": synthetic,
        "efforts": {"full": effort_reliability(windows, logits["clean"], logits["jpeg75"], threshold)},
    }


def _training() -> Training:
    return {
        "command": TRAIN_COMMAND,
        "histories": DEGRADATIONS,
        "copies": RECOMPRESSIONS,
        "penalty": DEFAULT_FIT.penalty,
        "shrinkage": DEFAULT_FIT.shrinkage,
        "synthetic_share": DEFAULT_FIT.synthetic_share,
        "bar": DEFAULT_FIT.margin,
        "consensus": DEFAULT_FIT.consensus,
        "certainty_power": CONTENT_POWER,
    }


def _importance(encoder: MiniEncoder, head: RineHead) -> dict[str, float]:
    """The share that the Trainable Importance Estimator gives every feature group, mean over its channels."""
    shares = head.alpha.detach().softmax(dim=1).mean(dim=(0, 2))
    return {
        f"{KIND_KEYS.get(kind, kind)}, 1/{2**level}": round(float(share), 4)
        for (level, kind), share in zip(encoder.feature_groups, shares, strict=True)
    }


@click.command()
@corpora_option
@click.option("--weights", type=click.Path(exists=True, file_okay=False, path_type=Path), required=True)
@click.option("--folds", "work", type=click.Path(exists=True, file_okay=False, path_type=Path), required=True)
@click.option("--workers", default=2, show_default=True, help="Processes that decode and score.")
def card_command(corpora: tuple[Path, ...], weights: Path, work: Path, workers: int) -> None:
    """Evaluate the mini detector's folds on all CORPORA; write mini.json and mini.md into WEIGHTS."""
    card = measure_detector(corpora, weights / WEIGHTS_FILE, work, workers)
    write_json(weights / "mini.json", card)
    write_text(weights / "mini.md", render_card(card))


if __name__ == "__main__":
    card_command()
