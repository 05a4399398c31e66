"""Train the head of rine-b16: the encoder's features of views of windows once, then the head.

    python -m sidscan.training.rine_b16.train --corpus DIR --corpus MORE --corpus MORE2 --whole WHOLE \\
        --out sidscan/weights --folds FOLDS --cache CACHE

There are five folds of repositories. Heads fitted on four folds score the fifth. The slope and bias of the
logit, the threshold, the cascade, the threshold of the probe for the caution `drawn`, and every figure of the
model card (``training/rine_b16/card.py``) rest on those scores. The shipped head is fitted on all five folds.
WHOLE holds whole images, as `sidscan.training.windows.whole_images` copies them. The encoder must be
installed: ``sidscan models pull clip-vit-b16-q8``.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import NamedTuple

import click
import torch
from safetensors import safe_open
from safetensors.torch import load_file
from torch import Tensor

from sidscan.errors import UsageError
from sidscan.models.abstention import Abstention
from sidscan.models.cascade import Cascade
from sidscan.models.heads.base import with_weights
from sidscan.models.heads.rine_ensemble import RineEnsemble
from sidscan.scoring.evidence import logit_of
from sidscan.training.windows.corpus import FOLDS, Window, fold_of_repo, read_corpora, synthetic_mask
from sidscan.training.windows.options import (
    cache_option,
    corpora_option,
    reserved_option,
    whole_option,
    workers_option,
)
from sidscan.training.windows.reserved import check_not_reserved
from sidscan.training.windows.sampling_weights import repository_weights
from sidscan.training.windows.threshold import weighted_threshold
from sidscan.training.windows.weights_file import FOLD_FILE, training_summary, write_weights
from sidscan.training.windows.whole_images import present_images
from sidscan.util.progress import track

from .cascade import choose_cascade
from .cautions import (
    DRAWN,
    caution_threshold,
    drawn_tokens,
    fit_caution,
    held_out_cautions,
)
from .crops import ten_crop_tokens
from .features import View, compute_features, fitted_views
from .fit import WindowTokens, calibrate, fit_ensemble, fit_logit, held_out_logits

VERSION = "2.1"
DEGRADED_VIEWS, UPLOAD_VIEWS = 1, 1  # of every window, besides the window as it is and as JPEG 75
ABSTENTION = Abstention(side=128, detail=0.1, quality=20)  # mini's; the card has errors by size and quality
WEIGHTS_FILE = "rine_b16.safetensors"
TRAIN_COMMAND = (
    "python -m sidscan.training.rine_b16.train --corpus DIR --corpus MORE --corpus MORE2 --whole WHOLE "
    "--out sidscan/weights --folds FOLDS --cache CACHE"
)


def fitted_views_of_training() -> dict[str, View]:
    """`fitted_views` in the numbers of the shipped head."""
    return fitted_views(DEGRADED_VIEWS, UPLOAD_VIEWS)


def window_tokens(windows: Sequence[Window], workers: int, cache: Path | None) -> WindowTokens:
    """The windows' features, labels, weights and folds."""
    folds = fold_of_repo(windows)
    views = fitted_views_of_training()
    return WindowTokens(
        tuple(compute_features(windows, name, view, workers, cache) for name, view in views.items()),
        torch.tensor([float(window.synthetic) for window in windows]),
        repository_weights(windows),
        torch.tensor([folds[window.repo] for window in windows]),
    )


def fit_all(tokens: WindowTokens) -> tuple[list[RineEnsemble], RineEnsemble]:
    """One head per fold, fitted on the others, and the shipped one, fitted on all.

    All get the same slope and bias of the logit, fitted on what the heads say of the folds that they were
    left out of: a head is surer of what it was fitted on than of anything new.
    """
    folds = [
        fit_ensemble(tokens.where(tokens.folds != fold), f"fold {fold + 1} of {FOLDS}")
        for fold in range(FOLDS)
    ]
    logits = torch.stack([held_out_logits(folds, view, tokens.folds) for view in tokens.views])
    slope, bias = fit_logit(logits, tokens.labels, tokens.weights)
    shipped = fit_ensemble(tokens, "all folds")
    for ensemble in (*folds, shipped):
        calibrate(ensemble, slope, bias)
    return folds, shipped


def fit_cautions(
    folds: Sequence[RineEnsemble], shipped: RineEnsemble, windows: Sequence[Window], tokens: WindowTokens
) -> None:
    """Give every head its probe, fitted on the windows that the head was fitted on; all else stays.

    Args:
        tokens: of the windows.
    """
    drawn = drawn_tokens(windows, tokens)
    for fold, ensemble in enumerate(track(folds, FOLDS, "fold", title=DRAWN)):
        fit_caution(ensemble, DRAWN, drawn.where(drawn.folds != fold))
    fit_caution(shipped, DRAWN, drawn)


class DecisionRule(NamedTuple):
    """What turns logits into words, measured on whole images by heads not fitted on their repositories."""

    threshold: float  # score
    cascade: Cascade
    probes: dict[str, float]  # thresholds on the mean logit, by kind of caution


def measure_decision(
    folds: Sequence[RineEnsemble], images: Sequence[Window], tokens: Tensor, fold_of: Mapping[str, int]
) -> DecisionRule:
    """The threshold, the cascade, and the thresholds of the probes.

    Args:
        tokens: of the images' ten crops, (images, 10, n, d).
        fold_of: the fold of each repository.
    """
    numbers = torch.tensor([fold_of[image.repo] for image in images])
    logits = held_out_logits(folds, tokens, numbers)
    synthetic = synthetic_mask(images)
    photographs = [image for image in images if not image.synthetic]
    real = torch.from_numpy(~synthetic)
    threshold = round(weighted_threshold(logits.mean(dim=1)[real], photographs), 4)
    probe = caution_threshold(held_out_cautions(folds, DRAWN, tokens, numbers).mean(dim=1), images)
    cascade = choose_cascade(logits.double().numpy(), synthetic, logit_of(threshold))
    return DecisionRule(threshold, cascade, {DRAWN: probe})


def metadata(windows: Sequence[Window], decision: DecisionRule) -> dict[str, str]:
    """What a weights file says about itself."""
    return {
        "name": "rine-b16",
        "version": VERSION,
        "licence": "Apache-2.0",
        "threshold": f"{decision.threshold:.4f}",
        "training_data": training_summary(windows),
        "abstention": json.dumps(asdict(ABSTENTION)),
        "cascade": json.dumps(asdict(decision.cascade)),
        "probes": json.dumps(decision.probes),
    }


def load_weights(path: Path) -> tuple[RineEnsemble, dict[str, str]]:
    """A head, ready to score, and the file's metadata."""
    with safe_open(path, framework="pt") as file:
        stated = dict(file.metadata())
    head = with_weights(RineEnsemble, load_file(path))
    assert isinstance(head, RineEnsemble)
    return head, stated


@click.command(help=__doc__)
@corpora_option
@whole_option
@click.option("--out", type=click.Path(file_okay=False, path_type=Path), required=True)
@click.option("--folds", "work", type=click.Path(file_okay=False, path_type=Path), required=True)
@cache_option
@reserved_option
@workers_option
def train_command(
    corpora: tuple[Path, ...],
    whole: Path,
    out: Path,
    work: Path,
    cache: Path | None,
    reserved: Path | None,
    workers: int,
) -> None:
    """Train the head on all CORPORA: weights for OUT, and those of five folds in a work folder."""
    windows = read_corpora(corpora)
    fold_of = fold_of_repo(windows)
    if reserved:
        check_not_reserved(fold_of, reserved)
    tokens = window_tokens(windows, workers, cache)
    images = whole_images(whole, fold_of)
    crops = ten_crop_tokens(images, "clean", workers, cache)
    folds, shipped = fit_all(tokens)
    fit_cautions(folds, shipped, windows, tokens)
    decision = measure_decision(folds, images, crops, fold_of)
    for fold, ensemble in enumerate(folds):
        fitted_on = [window for window in windows if fold_of[window.repo] != fold]
        write_weights(work / FOLD_FILE.format(fold), ensemble.state_dict(), metadata(fitted_on, decision))
    write_weights(out / WEIGHTS_FILE, shipped.state_dict(), metadata(windows, decision))


def whole_images(folder: Path, fold_of: Mapping[str, int]) -> list[Window]:
    """The whole images of both labels that are there.

    Raises:
        UsageError: none of a label is there.
    """
    images = present_images(folder, fold_of)
    if len({image.synthetic for image in images}) < 2:
        raise UsageError(
            f"{folder} needs whole images of both labels",
            "Copy them with `python -m sidscan.training.windows.whole_images`.",
        )
    return images


if __name__ == "__main__":
    train_command()
