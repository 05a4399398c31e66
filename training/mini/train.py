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
from typing import NamedTuple

import click
import torch
from safetensors import safe_open
from safetensors.torch import load_file
from safetensors.torch import save as serialised
from torch import Tensor

from sidscan.models.abstention import Abstention, detail
from sidscan.models.backbones.mini import MiniEncoder
from sidscan.models.families.mini import mini_networks
from sidscan.models.heads.rine import RineHead
from sidscan.training.common.files import make_folder, writing_result
from sidscan.training.common.pixels import Pixels
from sidscan.training.windows.conditions import unchanged
from sidscan.training.windows.corpus import FOLDS, Window, decode_window, fold_of_repo, read_corpora
from sidscan.training.windows.parallel import map_windows
from sidscan.util.progress import track

from .features import compute_features, repository_weights, ten_crops
from .fit import MiniNetwork, fit_detector

FALSE_POSITIVE_RATE = 0.05  # weighted share of photographs above the threshold
MINI_VERSION = "5"
MINI_ABSTENTION = Abstention(side=128, detail=0.1, quality=20)  # measured in the model card
WEIGHTS_FILE = "mini.safetensors"
FOLD_FILE = "fold-{}.safetensors"
TRAIN_COMMAND = (
    "python -m sidscan.training.mini.train --corpus DIR --corpus MORE --out sidscan/weights --folds FOLDS"
)


class WindowScore(NamedTuple):
    """What a scan would measure in an image of these pixels.

    Attributes:
        logit: mean over the ten crops; its sigmoid is the image's score.
        spread: their standard deviation.
        detail: `sidscan.models.abstention.detail` of the crops.
        side: pixels, the lesser of width and height.
    """

    logit: float
    spread: float
    detail: float
    side: int


LOGIT, SMALLER_SIDE = (WindowScore._fields.index(name) for name in ("logit", "side"))  # columns of arrays


@torch.inference_mode()
def score_window(encoder: MiniEncoder, head: RineHead, pixels: Pixels) -> WindowScore:
    """Ten crops, cut and read as in a scan."""
    crop_set, crops, indices = ten_crops(pixels, encoder)
    logits = head(encoder(crops))[indices]
    height, width, _ = pixels.shape
    return WindowScore(
        logit=float(logits.mean()),
        spread=float(logits.std(correction=0)),
        detail=detail(crop_set.crops, width, height),
        side=min(width, height),
    )


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


def weighted_threshold(logits: Tensor, photographs: Sequence[Window]) -> float:
    """The score that FALSE_POSITIVE_RATE of the photographs exceed: logits (windows,).

    Photographs weigh as in training, a repository of n by n ** REPOSITORY_POWER. The next archive will be a
    new one, so no large repository of ours may set the threshold alone.
    """
    order = logits.argsort(descending=True)
    above = repository_weights(photographs)[order].cumsum(dim=0)
    first_below = int((above <= FALSE_POSITIVE_RATE * above[-1]).sum())
    return float(logits[order[first_below]].sigmoid())


def training_summary(windows: Sequence[Window]) -> str:
    """One line on the training data, for the weights file."""
    photographs = [w for w in windows if not w.synthetic]
    return (
        f"{len(windows) - len(photographs)} synthetic windows and {len(photographs)} windows of photographs "
        f"from {len({w.repo for w in windows})} public repositories; see the model card"
    )


def save_weights(path: Path, encoder: MiniEncoder, head: RineHead, metadata: dict[str, str]) -> None:
    """Write ``encoder.*`` and ``head.*`` as float32 safetensors; the same values give the same bytes."""
    tensors = {f"encoder.{name}": tensor for name, tensor in encoder.state_dict().items()}
    tensors |= {f"head.{name}": tensor for name, tensor in head.state_dict().items()}
    make_folder(path.parent)
    with writing_result(path) as partial:
        partial.write_bytes(_with_sorted_header(serialised(tensors, metadata)))


def _with_sorted_header(data: bytes) -> bytes:
    """A safetensors file with the names in its header sorted; the library writes metadata in random order."""
    size = int.from_bytes(data[:8], "little")
    header = json.dumps(json.loads(data[8 : 8 + size]), sort_keys=True, separators=(",", ":")).encode()
    header += b" " * (-len(header) % 8)
    return len(header).to_bytes(8, "little") + header + data[8 + size :]


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


corpora_option = click.option(
    "--corpus",
    "corpora",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    required=True,
    multiple=True,
)


cache_option = click.option(
    "--cache",
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder that holds statistics for the next command on the same windows (100 to 200 kB a window).",
)


@click.command()
@corpora_option
@click.option("--out", type=click.Path(file_okay=False, path_type=Path), required=True)
@click.option("--folds", "work", type=click.Path(file_okay=False, path_type=Path), required=True)
@cache_option
@click.option("--workers", default=2, show_default=True, help="Processes that decode and compute features.")
def train_command(corpora: tuple[Path, ...], out: Path, work: Path, cache: Path | None, workers: int) -> None:
    """Train the mini detector on all CORPORA: weights for OUT, and those of five folds in a work folder."""
    windows = read_corpora(corpora)
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
    for fold, network in enumerate(networks):
        fitted_on = [window for window in windows if folds[window.repo] != fold]
        save_weights(work / FOLD_FILE.format(fold), *network, weights_metadata(threshold, fitted_on))
    save_weights(out / WEIGHTS_FILE, *fit_detector(features), weights_metadata(threshold, windows))


if __name__ == "__main__":
    train_command()
