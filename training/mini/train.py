"""Train the bundled mini detector: describe random histories of the windows once, then fit the maps on them.

The encoder's filters are fixed, so its statistics of every (window, history) are computed once and kept in
memory; standardisation, projections and RINE's head then follow in closed form, in minutes on a laptop.

    python -m sidscan.training.mini.train --corpus DIR --corpus MORE --out DIR --folds DIR

Five folds by repository: each is scored by weights fitted on the other four, and on those scores rest the
threshold and every figure of the model card (see ``training/mini/card.py``). The shipped weights are fitted
on all five; the folds' own go to a work folder.
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
from tqdm import tqdm

from sidscan.models.abstention import Abstention, detail
from sidscan.models.backbones.mini import MiniEncoder
from sidscan.models.families.mini import mini_networks
from sidscan.models.heads.rine import RineHead
from sidscan.training.common.files import make_folder, writing_result

from .conditions import as_is
from .corpus import FOLDS, Pixels, Window, decode, fold_of_repo, read_corpora
from .features import describe, repository_weights, ten_crops
from .fit import Network, fit
from .processes import in_processes

FALSE_POSITIVES = 0.05  # weighted share of photographs above the threshold
VERSION = "5"
ABSTENTION = Abstention(side=128, detail=0.1, quality=20)  # measured in the model card
FILE = "mini.safetensors"
FOLD_FILE = "fold-{}.safetensors"
COMMAND = (
    "python -m sidscan.training.mini.train --corpus DIR --corpus MORE --out sidscan/weights --folds FOLDS"
)


class Look(NamedTuple):
    """What a scan would find in a picture of these pixels.

    Attributes:
        logit: mean over the ten views; its sigmoid is the picture's score.
        spread: their standard deviation.
        detail: `sidscan.models.abstention.detail` of the crops.
        side: pixels, the lesser of width and height.
    """

    logit: float
    spread: float
    detail: float
    side: int


LOGIT, SMALLER_SIDE = (Look._fields.index(name) for name in ("logit", "side"))  # their places


@torch.inference_mode()
def look(encoder: MiniEncoder, head: RineHead, pixels: Pixels) -> Look:
    """Ten crops, cut and read as the product does it."""
    views, passed, places = ten_crops(pixels, encoder)
    logits = head(encoder(passed))[places]
    height, width, _ = pixels.shape
    seen = detail(views.crops, width, height)
    return Look(float(logits.mean()), float(logits.std(correction=0)), seen, min(width, height))


class Scorer:
    """(index, window) -> what its fold's network sees in it after every change."""

    def __init__(
        self,
        networks: Sequence[Network],
        folds: Mapping[str, int],
        changes: Sequence[Callable[[Pixels], Pixels]],
    ) -> None:
        self.networks, self.folds, self.changes = networks, folds, changes

    def __call__(self, numbered: tuple[int, Window]) -> list[Look]:
        _, window = numbered
        encoder, head = self.networks[self.folds[window.repo]]
        pixels = decode(window)
        return [look(encoder, head, change(pixels)) for change in self.changes]


def threshold_of(logits: Tensor, photographs: Sequence[Window]) -> float:
    """The score that FALSE_POSITIVES of the photographs exceed: logits (windows,).

    Photographs weigh as in training, a repository of n by n ** REPOSITORY_POWER: the next archive will be
    another one, so no large one of ours may set the threshold alone.
    """
    order = logits.argsort(descending=True)
    above = repository_weights(photographs)[order].cumsum(dim=0)
    first_below = int((above <= FALSE_POSITIVES * above[-1]).sum())
    return float(logits[order[first_below]].sigmoid())


def summary(windows: Sequence[Window]) -> str:
    """One line on the training data, for the weights file."""
    photographs = [w for w in windows if not w.synthetic]
    return (
        f"{len(windows) - len(photographs)} synthetic windows and {len(photographs)} windows of photographs "
        f"from {len({w.repo for w in windows})} public repositories; see the model card"
    )


def save(path: Path, encoder: MiniEncoder, head: RineHead, metadata: dict[str, str]) -> None:
    """Write ``encoder.*`` and ``head.*`` as float32 safetensors; the same values give the same bytes."""
    tensors = {f"encoder.{name}": tensor for name, tensor in encoder.state_dict().items()}
    tensors |= {f"head.{name}": tensor for name, tensor in head.state_dict().items()}
    make_folder(path.parent)
    with writing_result(path) as partial:
        partial.write_bytes(in_order(serialised(tensors, metadata)))


def in_order(data: bytes) -> bytes:
    """A safetensors file with the names in its header sorted; the library writes metadata in random order."""
    size = int.from_bytes(data[:8], "little")
    header = json.dumps(json.loads(data[8 : 8 + size]), sort_keys=True, separators=(",", ":")).encode()
    header += b" " * (-len(header) % 8)
    return len(header).to_bytes(8, "little") + header + data[8 + size :]


def load(path: Path) -> tuple[MiniEncoder, RineHead, dict[str, str]]:
    """Encoder and head, ready to score, and the file's metadata."""
    with safe_open(path, framework="pt") as file:
        metadata = dict(file.metadata())
    return *mini_networks(load_file(path)), metadata


def metadata_of(threshold: float, windows: Sequence[Window]) -> dict[str, str]:
    """What a weights file says of itself."""
    return {
        "name": "mini",
        "version": VERSION,
        "licence": "Apache-2.0",
        "threshold": f"{threshold:.4f}",
        "training_data": summary(windows),
        "abstention": json.dumps(asdict(ABSTENTION)),
    }


corpora_option = click.option(
    "--corpus",
    "corpora",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    required=True,
    multiple=True,
)


keep_option = click.option(
    "--keep",
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder where statistics stay for the next command on the same windows (100 to 200 kB a window).",
)


@click.command()
@corpora_option
@click.option("--out", type=click.Path(file_okay=False, path_type=Path), required=True)
@click.option("--folds", "work", type=click.Path(file_okay=False, path_type=Path), required=True)
@keep_option
@click.option("--workers", default=2, show_default=True, help="Processes that decode and describe.")
def main(corpora: tuple[Path, ...], out: Path, work: Path, keep: Path | None, workers: int) -> None:
    """Train the mini detector on all CORPORA: weights for OUT, and those of five folds in a work folder."""
    windows = read_corpora(corpora)
    folds = fold_of_repo(windows)
    described = describe(windows, workers, keep)
    networks = [fit(described.where(described.folds != fold)) for fold in tqdm(range(FOLDS), desc="folds")]
    photographs = [window for window in windows if not window.synthetic]
    scorer = Scorer(networks, folds, [as_is])
    logits = torch.tensor(in_processes(scorer, photographs, workers, "threshold"))[:, 0, LOGIT]
    threshold = threshold_of(logits, photographs)
    for fold, network in enumerate(networks):
        seen = [window for window in windows if folds[window.repo] != fold]
        save(work / FOLD_FILE.format(fold), *network, metadata_of(threshold, seen))
    save(out / FILE, *fit(described), metadata_of(threshold, windows))


if __name__ == "__main__":
    main()
