"""Windows -> statistics of random degradations of them, by the mini encoder's fixed filters."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sidscan.config import SIDE
from sidscan.models.backbones import mini, mini_patterns
from sidscan.models.backbones.mini import MiniEncoder
from sidscan.training.common import pixels as pixels_module
from sidscan.training.windows import corpus, degradation
from sidscan.training.windows.cache import cached
from sidscan.training.windows.corpus import Window, decode_window, fold_of_repo
from sidscan.training.windows.degradation import random_crop, random_degradation, random_recompression
from sidscan.training.windows.parallel import map_windows
from sidscan.training.windows.sampling_weights import repository_weights

from .fit import WindowFeatures

_SEED = 0
DEGRADATIONS = 8  # random degradations of every training window
RECOMPRESSIONS = 3  # further copies of it, only saved once more as JPEG


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
