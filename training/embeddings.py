"""z, the vector that a classifier sees, of a sample of the test pictures: for the feature-space plot."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from sidscan.engines import local
from sidscan.models.detectors import Detector
from sidscan.models.heads import RineHead
from sidscan.records import Sample

from .evaluation import EvaluationConfig, view
from .testsets import Example, Found

Point = tuple[str, bool, NDArray[np.float64]]  # set, whether synthetic, z (d',)
_BATCH = 10  # pictures in a pass


def sample(found: Found, most: int, seed: int) -> list[tuple[str, Example]]:
    """Set and picture of at most ``most``: equally many of every set and label, as far as there are so many.

    Of a picture that several sets share there is one.
    """
    rng = np.random.default_rng(seed)
    each = most // (2 * len(found.sets))
    chosen: dict[Path, tuple[str, Example]] = {}
    for test_set in found.sets:
        for synthetic in (False, True):
            side = [example for example in test_set.examples if example.synthetic is synthetic]
            places = sorted(rng.permutation(len(side))[:each].tolist())
            for example in (side[place] for place in places):
                chosen.setdefault(example.path, (test_set.key, example))
    return list(chosen.values())


def alpha(detector: Detector) -> NDArray[np.float32] | None:
    """The importances of a RINE head, (1, blocks, channels); None of any other head."""
    if not isinstance(detector.head, RineHead):
        return None
    values: NDArray[np.float32] = detector.head.alpha.detach().float().cpu().numpy()
    return values


def embed(
    detector: Detector, chosen: Sequence[tuple[str, Example]], config: EvaluationConfig
) -> Iterator[Point]:
    """Set, label and z (d',) of the centre crop of every picture that can be read."""
    device = next(detector.head.parameters()).device
    reading = local.map_ordered(
        partial(_view, config=replace(config, crops="center")), chosen, config.workers
    )
    batch: list[tuple[str, bool, NDArray[np.uint8]]] = []
    for index, one in enumerate(reading, start=1):
        batch += [one] if one else []
        if batch and (len(batch) == _BATCH or index == len(chosen)):
            crops = torch.from_numpy(np.stack([crop for _, _, crop in batch])).to(device).permute(0, 3, 1, 2)
            with torch.inference_mode():
                reads = detector.head.reads
                z = detector.head.embed(detector.encoder.read(crops, {reads})[reads]).double().cpu().numpy()
            yield from ((key, label, row) for (key, label, _), row in zip(batch, z, strict=True))
            batch = []


def _view(one: tuple[str, Example], config: EvaluationConfig) -> tuple[str, bool, NDArray[np.uint8]] | None:
    key, example = one
    found = view(example, key, config)
    return (key, example.synthetic, found.views.crops[0]) if isinstance(found, Sample) else None
