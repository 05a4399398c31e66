"""Windows -> what the mini encoder's fixed filters say of their random histories, ready to be fitted on."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Hashable, Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from sidscan.config import SIDE
from sidscan.images.crops import crop
from sidscan.images.decode import SourceImage
from sidscan.models.backbones import mini, mini_patterns
from sidscan.models.backbones.mini import MiniEncoder
from sidscan.records import CropSet
from sidscan.runtimes import unique_crops
from sidscan.runtimes.forward import select_crops

from . import corpus, degradation
from .cache import kept
from .corpus import Pixels, Window, decode, fold_of_repo
from .degradation import live_through, random_crop, resaved
from .fit import Described
from .processes import in_processes

SEED = 0
HISTORIES = 8  # random histories of every training window
COPIES = 3  # further histories of it, saved once more as JPEG and otherwise left alone
REPOSITORY_POWER = 0.5  # a repository of n windows weighs n ** this: many small ones outweigh one big one


def repository_weights(windows: Sequence[Window]) -> Tensor:
    """`weights_of` windows, with the power of the training."""
    return weights_of([w.synthetic for w in windows], [w.repo for w in windows], REPOSITORY_POWER)


def weights_of(synthetic: Sequence[bool], repos: Sequence[Hashable], power: float) -> Tensor:
    """Sampling weights (windows,): both labels weigh the same; n windows of a repository weigh n ** power."""
    keys = list(zip(synthetic, repos, strict=True))
    counts = Counter(keys)
    weights = torch.tensor([counts[key] ** (power - 1) for key in keys])
    labels = torch.tensor(synthetic)
    for label in (labels, ~labels):
        weights[label] /= weights[label].sum()
    return weights


def ten_crops(pixels: Pixels, encoder: MiniEncoder) -> tuple[CropSet, Tensor, list[int]]:
    """What a scan would look at in a picture of these pixels.

    Returns:
        its views; those that the encoder has to read, (b, 3, 224, 224); for each of the ten, which of these.
    """
    views = crop(SourceImage(Image.fromarray(pixels), "window", ()), "ten")
    needed, places = unique_crops(views.order, encoder.mirror_invariant)
    return views, select_crops(torch.from_numpy(views.crops), needed), places


class Describer:
    """(index, window) -> float16 statistics and certainty of its histories.

    (HISTORIES + COPIES, statistics + 1). Every window has its own random generator, so the result does not
    depend on the number of workers.
    """

    def __init__(self) -> None:
        self.encoder = MiniEncoder().eval()

    def __call__(self, numbered: tuple[int, Window]) -> NDArray[np.float16]:
        index, window = numbered
        rng = np.random.default_rng([SEED, index])
        pixels = decode(window)
        crops = [random_crop(live_through(pixels, rng), SIDE, rng) for _ in range(HISTORIES)]
        crops += [random_crop(resaved(pixels, rng), SIDE, rng) for _ in range(COPIES)]
        views = torch.from_numpy(np.stack(crops)).permute(0, 3, 1, 2)
        return side_by_side(self.encoder, views)


@torch.inference_mode()
def side_by_side(encoder: MiniEncoder, views: Tensor) -> NDArray[np.float16]:
    """Views (b, 3, h, w) -> statistics of all depths, then certainty: (b, statistics + 1)."""
    statistics, certainty = encoder.describe(views)
    array: NDArray[np.float16] = torch.cat([*statistics, certainty[:, None]], dim=1).half().numpy()
    return array


def describe(windows: Sequence[Window], workers: int, keep: Path | None = None) -> Described:
    """The windows' statistics, labels and folds.

    Args:
        keep: a folder where the statistics stay, for the next command on the same windows (see `kept`).
    """
    folds = fold_of_repo(windows)
    numbers = {repo: number for number, repo in enumerate(sorted(folds))}
    found = kept(
        lambda: np.stack(in_processes(Describer(), windows, workers, "describe")),
        keep,
        "described",
        windows,
        (mini, mini_patterns, degradation, corpus, sys.modules[__name__]),
    )
    return Described(
        torch.from_numpy(found[..., :-1]),
        torch.from_numpy(found[..., -1]).float(),
        torch.tensor([float(window.synthetic) for window in windows]),
        repository_weights(windows),
        torch.tensor([folds[window.repo] for window in windows]),
        torch.tensor([numbers[window.repo] for window in windows]),
    )
