"""Train the bundled mini detector: compute features of degraded windows once, then fit the detector to them.

The encoder's filters are fixed, so its statistics of every (window, degradation) are computed once and held
in memory. Standardisation, projections and RINE's head then follow in closed form, in minutes on a laptop.

    python -m sidscan.training.mini.train --corpus DIR --corpus MORE --out DIR --folds DIR

There are five folds of repositories. Weights fitted on four folds score the fifth; the threshold and every
figure of the model card rest on those scores (see ``training/mini/card.py``). The shipped weights are fitted
on all five folds. The weights of the folds go to a work folder.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

import click
import torch
from safetensors import safe_open
from safetensors.torch import load_file

from sidscan.models.abstention import Abstention
from sidscan.models.backbones.mini import MiniEncoder
from sidscan.models.families.mini import mini_networks
from sidscan.models.heads.rine import RineHead
from sidscan.training.common.pixels import Pixels
from sidscan.training.windows.conditions import unchanged
from sidscan.training.windows.corpus import FOLDS, Window, decode_window, fold_of_repo, read_corpora
from sidscan.training.windows.options import cache_option, corpora_option, reserved_option
from sidscan.training.windows.parallel import map_windows
from sidscan.training.windows.reserved import check_not_reserved
from sidscan.training.windows.threshold import weighted_threshold
from sidscan.training.windows.weights_file import fold_files, training_summary, write_weights
from sidscan.training.windows.window_score import LOGIT, WindowScore, ten_crops, window_score
from sidscan.util.progress import track

from .features import compute_features
from .fit import MiniNetwork, fit_detector

MINI_VERSION = "5"
MINI_ABSTENTION = Abstention(side=128, detail=0.1, quality=20)  # measured in the model card
WEIGHTS_FILE = "mini.safetensors"
TRAIN_COMMAND = (
    "python -m sidscan.training.mini.train --corpus DIR --corpus MORE --out sidscan/weights --folds FOLDS"
)


@torch.inference_mode()
def score_window(encoder: MiniEncoder, head: RineHead, pixels: Pixels) -> WindowScore:
    """Ten crops, cut and read as in a scan."""
    crop_set, crops, indices = ten_crops(pixels, encoder.mirror_invariant)
    return window_score(head(encoder(crops))[indices], crop_set, pixels)


class WindowScorer:
    """(index, window) -> its score by its fold's network, after every change of the pixels."""

    def __init__(
        self,
        networks: Sequence[MiniNetwork],
        network_of_repo: Mapping[str, int],
        changes: Sequence[Callable[[Pixels], Pixels]],
    ) -> None:
        self.networks, self.network_of_repo, self.changes = networks, network_of_repo, changes

    def __call__(self, numbered: tuple[int, Window]) -> list[WindowScore]:
        _, window = numbered
        encoder, head = self.networks[self.network_of_repo[window.repo]]
        pixels = decode_window(window)
        return [score_window(encoder, head, change(pixels)) for change in self.changes]


def save_weights(path: Path, encoder: MiniEncoder, head: RineHead, metadata: dict[str, str]) -> None:
    """Write ``encoder.*`` and ``head.*`` as float32 safetensors; the same values give the same bytes."""
    tensors = {f"encoder.{name}": tensor for name, tensor in encoder.state_dict().items()}
    tensors |= {f"head.{name}": tensor for name, tensor in head.state_dict().items()}
    write_weights(path, tensors, metadata)


def load_weights(path: Path) -> tuple[MiniEncoder, RineHead, dict[str, str]]:
    """Encoder and head, ready to score, and the file's metadata."""
    with safe_open(path, framework="pt") as file:
        metadata = dict(file.metadata())
    return *mini_networks(load_file(path)), metadata


def weights_metadata(threshold: float, windows: Sequence[Window]) -> dict[str, str]:
    """What a weights file says about itself."""
    return {
        "name": "mini",
        "version": MINI_VERSION,
        "licence": "Apache-2.0",
        "threshold": f"{threshold:.4f}",
        "training_data": training_summary(windows),
        "abstention": json.dumps(asdict(MINI_ABSTENTION)),
    }


@click.command()
@corpora_option
@click.option("--out", type=click.Path(file_okay=False, path_type=Path), required=True)
@click.option("--folds", "work", type=click.Path(file_okay=False, path_type=Path), required=True)
@cache_option
@reserved_option
@click.option("--workers", default=2, show_default=True, help="Processes that decode and compute features.")
def train_command(
    corpora: tuple[Path, ...],
    out: Path,
    work: Path,
    cache: Path | None,
    reserved: Path | None,
    workers: int,
) -> None:
    """Train the mini detector on all CORPORA: weights for OUT, and those of five folds in a work folder."""
    windows = read_corpora(corpora)
    if reserved:
        check_not_reserved((window.repo for window in windows), reserved)
    folds = fold_of_repo(windows)
    features = compute_features(windows, workers, cache)
    networks = [
        fit_detector(features.where(features.folds != fold))
        for fold in track(range(FOLDS), FOLDS, "fold", title="folds")
    ]
    photographs = [window for window in windows if not window.synthetic]
    scorer = WindowScorer(networks, folds, [unchanged])
    logits = torch.tensor(map_windows(scorer, photographs, workers, "threshold"))[:, 0, LOGIT]
    threshold = weighted_threshold(logits, photographs)
    for fold, (file, network) in enumerate(zip(fold_files(work), networks, strict=True)):
        fitted_on = [window for window in windows if folds[window.repo] != fold]
        save_weights(file, *network, weights_metadata(threshold, fitted_on))
    save_weights(out / WEIGHTS_FILE, *fit_detector(features), weights_metadata(threshold, windows))


if __name__ == "__main__":
    train_command()
