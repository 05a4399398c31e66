"""All windows of an image -> one score per window and model: what a score map shows."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import product
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from sidscan.config import SIDE
from sidscan.errors import ImageError, UsageError
from sidscan.images.windows import cut_window, window_grid
from sidscan.models.abstention import detail
from sidscan.models.detector_info import DetectorInfo, reading_crops
from sidscan.records import CropSet, Status
from sidscan.records.score_map import ScoreMap
from sidscan.runtimes import Runtime
from sidscan.scoring.evidence import sigmoid

_T = TypeVar("_T")


def check_scores_windows(detectors: Sequence[DetectorInfo]) -> None:
    """Refuse detectors of which none scores windows.

    Raises:
        UsageError: all read whole images.
    """
    if not reading_crops(detectors):
        names = ", ".join(detector.name for detector in detectors)
        raise UsageError(
            f"{names}: no windows to score, since whole images are read",
            "A closer look needs a detector that reads crops, such as rine-b16 or mini.",
        )


def score_windows(
    pixels: NDArray[np.uint8],
    runtime: Runtime,
    thresholds: Sequence[float],
    budget: int,
    batch: int,
    orientation: int | None = None,
    made_by: str = "",
    done: Callable[[int], object] = lambda _: None,
) -> tuple[ScoreMap, ...]:
    """The score maps of an image, one per detector that reads crops: the others score no windows.

    Each window is scored once, without its mirror image, by what scores crops in a scan.

    Args:
        pixels: (height, width, 3), RGB.
        thresholds: one per detector that reads crops, as in the image's scores.
        budget: most windows, as `window_grid` takes it.
        batch: windows that the runtime gets at once.
        orientation: as EXIF states it.
        made_by: what computes, in words.
        done: called with the number of windows that were scored since the last call.

    Raises:
        ImageError: a model gave a value that is not finite.
    """
    height, width, _ = pixels.shape
    lefts, tops = window_grid(width, height, budget)
    logits, details = [], []
    for windows in _batches(pixels, lefts, tops, batch):
        logits.append(runtime.logits(CropSet.plain(windows)))
        details += [detail(window[None], width, height) for window in windows]
        done(len(windows))
    detectors = reading_crops(runtime.detectors)
    columns = np.concatenate(logits)[:, : len(detectors)].astype(np.float64)
    if not np.isfinite(columns).all():
        raise ImageError(
            "the model gave a value that is not a finite number; no map is shown",
            "NonFiniteScore",
            Status.FAILED.value,
        )
    return tuple(
        ScoreMap(
            model=detector.name,
            digest=detector.digest,
            threshold=threshold,
            side=SIDE,
            width=width,
            height=height,
            lefts=lefts,
            tops=tops,
            scores=_in_rows([round(sigmoid(logit), 4) for logit in column.tolist()], len(lefts)),
            flat=_in_rows(_are_flat(details, detector), len(lefts)),
            orientation=orientation,
            made_by=made_by,
        )
        for detector, threshold, column in zip(detectors, thresholds, columns.T, strict=True)
    )


def _batches(
    pixels: NDArray[np.uint8], lefts: Sequence[int], tops: Sequence[int], size: int
) -> Iterator[NDArray[np.uint8]]:
    """Windows (size, 224, 224, 3), by rows of the grid."""
    places = list(product(tops, lefts))
    for start in range(0, len(places), size):
        yield np.stack([cut_window(pixels, left, top) for top, left in places[start : start + size]])


def _are_flat(details: Sequence[float], detector: DetectorInfo) -> list[bool]:
    """Which windows have less detail than the detector needs of an image."""
    return [value < detector.abstention.detail for value in details]


def _in_rows(values: Sequence[_T], columns: int) -> tuple[tuple[_T, ...], ...]:
    return tuple(tuple(values[start : start + columns]) for start in range(0, len(values), columns))
