"""z, the vector that a classifier sees, of a sample of the test pictures: for the feature-space plot."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from sidscan.models.detectors import Detector
from sidscan.models.heads.rine import RineHead
from sidscan.records import DecodedImage
from sidscan.util import threads

from .run import EvaluationConfig, view
from .testsets import Example, Found

Vector = NDArray[np.float64]
_BATCH = 10  # pictures in a pass


class Point(NamedTuple):
    """A picture in the feature spaces of some detectors.

    Attributes:
        key: of its set.
        z: of every detector in turn, (d',).
    """

    key: str
    synthetic: bool
    z: tuple[Vector, ...]


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
    detectors: Sequence[Detector], chosen: Sequence[tuple[str, Example]], config: EvaluationConfig
) -> Iterator[Point]:
    """Every picture that can be read, by its centre crop; each encoder sees it once for all its heads."""
    reading = threads.map_ordered(
        partial(_view, config=replace(config, crops="center")), chosen, config.workers
    )
    batch: list[tuple[str, bool, NDArray[np.uint8]]] = []
    for index, one in enumerate(reading, start=1):
        batch += [one] if one else []
        if batch and (len(batch) == _BATCH or index == len(chosen)):
            z = _embed(detectors, np.stack([crop for _, _, crop in batch]))
            yield from (Point(key, label, rows) for (key, label, _), rows in zip(batch, z, strict=True))
            batch = []


@torch.inference_mode()
def _embed(detectors: Sequence[Detector], crops: NDArray[np.uint8]) -> Iterator[tuple[Vector, ...]]:
    """Of every crop (b, 224, 224, 3) the detectors' z."""
    encoders = {id(detector.encoder): detector.encoder for detector in detectors}
    found: dict[int, Vector] = {}  # place of a detector -> z (b, d')
    for key, encoder in encoders.items():
        heads = {place: one.head for place, one in enumerate(detectors) if id(one.encoder) == key}
        device = next(next(iter(heads.values())).parameters()).device
        batch = torch.from_numpy(crops).to(device).permute(0, 3, 1, 2)
        read = encoder.read(batch, {head.feature for head in heads.values()})
        for place, head in heads.items():
            found[place] = head.embed(read[head.feature]).double().cpu().numpy()
    return zip(*(found[place] for place in range(len(detectors))), strict=True)


def _view(one: tuple[str, Example], config: EvaluationConfig) -> tuple[str, bool, NDArray[np.uint8]] | None:
    key, example = one
    found = view(example, key, config)
    return (key, example.synthetic, found.views.crops[0]) if isinstance(found, DecodedImage) else None
