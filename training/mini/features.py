"""Windows -> statistics of random degradations of them, by the mini encoder's fixed filters."""

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
from sidscan.training.common import pixels as pixels_module
from sidscan.training.common.pixels import Pixels
from sidscan.training.windows import corpus, degradation
from sidscan.training.windows.cache import cached
from sidscan.training.windows.corpus import Window, decode_window, fold_of_repo
from sidscan.training.windows.degradation import random_crop, random_degradation, random_recompression
from sidscan.training.windows.parallel import map_windows

from .fit import WindowFeatures

_SEED = 0
DEGRADATIONS = 8  # random degradations of every training window
RECOMPRESSIONS = 3  # further copies of it, only saved once more as JPEG
REPOSITORY_POWER = 0.5  # a repository of n windows weighs n ** this: many small ones outweigh one large one


def repository_weights(windows: Sequence[Window]) -> Tensor:
    """`sampling_weights` of windows, with the power of the training."""
    return sampling_weights([w.synthetic for w in windows], [w.repo for w in windows], REPOSITORY_POWER)


def sampling_weights(synthetic: Sequence[bool], repos: Sequence[Hashable], power: float) -> Tensor:
    """Weights (windows,): both labels weigh the same; n windows of a repository weigh n ** power."""
    keys = list(zip(synthetic, repos, strict=True))
    counts = Counter(keys)
    weights = torch.tensor([counts[key] ** (power - 1) for key in keys])
    labels = torch.tensor(synthetic)
    for label in (labels, ~labels):
        weights[label] /= weights[label].sum()
    return weights


def ten_crops(pixels: Pixels, encoder: MiniEncoder) -> tuple[CropSet, Tensor, list[int]]:
    """The ten crops that a scan takes of an image with these pixels.

    Returns:
        the crops; the different ones that the encoder has to read, (b, 3, 224, 224); and for each of the ten
        its index among these.
    """
    crop_set = crop(SourceImage(Image.fromarray(pixels), "window", ()), "ten")
    needed, indices = unique_crops(crop_set.order, encoder.mirror_invariant)
    return crop_set, select_crops(torch.from_numpy(crop_set.crops), needed), indices


class FeatureExtractor:
    """(index, window) -> float16 statistics and content weight of its degraded copies.

    The array is (DEGRADATIONS + RECOMPRESSIONS, statistics + 1). Every window has its own random generator,
    so the result does not depend on the number of workers.
    """

    def __init__(self) -> None:
        self.encoder = MiniEncoder().eval()

    def __call__(self, numbered: tuple[int, Window]) -> NDArray[np.float16]:
        index, window = numbered
        rng = np.random.default_rng([_SEED, index])
        pixels = decode_window(window)
        crops = [random_crop(random_degradation(pixels, rng), SIDE, rng) for _ in range(DEGRADATIONS)]
        crops += [random_crop(random_recompression(pixels, rng), SIDE, rng) for _ in range(RECOMPRESSIONS)]
        return statistics_array(self.encoder, torch.from_numpy(np.stack(crops)).permute(0, 3, 1, 2))


@torch.inference_mode()
def statistics_array(encoder: MiniEncoder, crops: Tensor) -> NDArray[np.float16]:
    """Crops (b, 3, h, w) -> statistics of all feature groups, then content weight: (b, statistics + 1)."""
    statistics, content_weight = encoder.compute_statistics(crops)
    array: NDArray[np.float16] = torch.cat([*statistics, content_weight[:, None]], dim=1).half().numpy()
    return array


def compute_features(windows: Sequence[Window], workers: int, cache: Path | None = None) -> WindowFeatures:
    """The windows' statistics, labels and folds.

    Args:
        cache: a folder that holds the statistics for the next command on the same windows (see `cached`).
    """
    folds = fold_of_repo(windows)
    numbers = {repo: number for number, repo in enumerate(sorted(folds))}
    arrays = cached(
        lambda: np.stack(map_windows(FeatureExtractor(), windows, workers, "features")),
        cache,
        "features",
        windows,
        (mini, mini_patterns, degradation, pixels_module, corpus, sys.modules[__name__]),
    )
    return WindowFeatures(
        torch.from_numpy(arrays[..., :-1]),
        torch.from_numpy(arrays[..., -1]).float(),
        torch.tensor([float(window.synthetic) for window in windows]),
        repository_weights(windows),
        torch.tensor([folds[window.repo] for window in windows]),
        torch.tensor([numbers[window.repo] for window in windows]),
    )
