"""What composites are made of: labelled windows by fold, spread over repositories, matched by colour."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from sidscan.errors import UsageError
from sidscan.images.formats import supported_formats
from sidscan.training.common.pixels import Pixels
from sidscan.training.windows.corpus import Window, decode_original, decode_window
from sidscan.training.windows.parallel import map_windows
from sidscan.training.windows.sampling_weights import REPOSITORY_POWER, sampling_weights

GRID = 4  # a window's colours are known in 4 x 4 cells
CANDIDATES = 24  # donors are chosen among this many
CHOSEN_AMONG = 3  # one of the nearest


@dataclass(frozen=True)
class Pool:
    """Windows of one label and one fold."""

    windows: tuple[Window, ...]
    weights: NDArray[np.float64]  # (windows,), they sum to 1
    colours: NDArray[np.float32]  # (windows, 6): mean and deviation of the cells' RGB

    def draw(self, rng: np.random.Generator) -> int:
        """The index of a window; n windows of a repository weigh n ** REPOSITORY_POWER."""
        return int(rng.choice(len(self.windows), p=self.weights))

    def draw_like(self, colours: NDArray[np.float32], other_than: str, rng: np.random.Generator) -> int:
        """A window of another repository whose colours are near these, (6,)."""
        drawn = rng.choice(len(self.windows), CANDIDATES, p=self.weights)
        others = [int(index) for index in drawn if self.windows[index].repo != other_than] or [int(drawn[0])]
        distances = np.abs(self.colours[others] - colours).sum(axis=1)
        nearest = np.argsort(distances, kind="stable")[:CHOSEN_AMONG]
        return others[int(rng.choice(nearest))]


@dataclass(frozen=True)
class Material:
    """Both labels of one fold: a composite never mixes folds."""

    real: Pool
    synthetic: Pool


def colour_descriptor(pixels: Pixels) -> NDArray[np.float32]:
    """Mean and deviation of RGB over a coarse grid, (6,)."""
    cells = cv2.resize(pixels, (GRID, GRID), interpolation=cv2.INTER_AREA).reshape(-1, 3).astype(np.float32)
    return np.concatenate([cells.mean(axis=0), cells.std(axis=0)])


def window_colours(windows: Sequence[Window], workers: int) -> NDArray[np.float16]:
    """`colour_descriptor` of every window, (windows, 6)."""
    return np.stack(map_windows(_colours, windows, workers, "colours"))


def _colours(numbered: tuple[int, Window]) -> NDArray[np.float16]:
    return colour_descriptor(decode_window(numbered[1])).astype(np.float16)


def materials(
    windows: Sequence[Window], colours: NDArray[np.float16], fold_of: Mapping[str, int], folds: int
) -> list[Material]:
    """Material of every fold."""

    def pool(fold: int, synthetic: bool) -> Pool:
        indices = [i for i, w in enumerate(windows) if w.synthetic is synthetic and fold_of[w.repo] == fold]
        chosen = [windows[i] for i in indices]
        weights = sampling_weights([synthetic] * len(chosen), [w.repo for w in chosen], REPOSITORY_POWER)
        exact = weights.double().numpy()
        return Pool(tuple(chosen), exact / exact.sum(), colours[indices].astype(np.float32))

    return [Material(pool(fold, False), pool(fold, True)) for fold in range(folds)]


def random_square(window: Window, side: int, whole: bool, rng: np.random.Generator) -> Pixels:
    """A random square of a window, or of its whole image if wanted and at hand; all of a smaller one."""
    pixels = decode_original(window) if whole and window.original else decode_window(window)
    height, width = pixels.shape[:2]
    side = min(side, height, width)
    top, left = (int(rng.integers(0, length - side + 1)) for length in (height, width))
    return pixels[top : top + side, left : left + side]


def smaller_side(window: Window) -> int:
    """Pixels, of the whole image; 0 where that is not at hand."""
    return _smaller_side(window.corpus / window.original) if window.original else 0


@cache
def _smaller_side(path: Path) -> int:
    supported_formats()  # makes Pillow read HEIC where pillow-heif is installed
    with Image.open(path) as image:
        return int(min(image.size))


def whole_images_of(material: Material, side: int, synthetic: int | None = None) -> Material:
    """Only windows whose whole image is at hand and has at least that side, pixels.

    Args:
        synthetic: side of synthetic ones, if it is another; few are large, and donors are mirrored at edges.

    Raises:
        UsageError: no image of a label is that large.
    """
    return Material(_large(material.real, side), _large(material.synthetic, synthetic or side))


def _large(pool: Pool, side: int) -> Pool:
    kept = [index for index, window in enumerate(pool.windows) if smaller_side(window) >= side]
    if not kept:
        raise UsageError(
            f"a fold has no whole image of a label with at least {side} px a side",
            "Gather corpora with --originals, and whole images of more repositories.",
        )
    weights = pool.weights[kept]
    return Pool(tuple(pool.windows[index] for index in kept), weights / weights.sum(), pool.colours[kept])
