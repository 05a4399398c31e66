"""z, the vector that a classifier gets, for a sample of the test images: data of the feature-space plots."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing
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
from sidscan.training.datasets.rows import LabelledImage
from sidscan.util import threads

from .run import EvaluationConfig, read_test_image
from .testsets import TestSetCollection

Vector = NDArray[np.float64]
_BATCH = 10  # images in a pass


class LabelledCrop(NamedTuple):
    """An image's centre crop, (224, 224, 3), with the key of its set and its label."""

    set_key: str
    synthetic: bool
    pixels: NDArray[np.uint8]


class EmbeddedImage(NamedTuple):
    """An image in the feature spaces of some detectors.

    Attributes:
        set_key: key of the image's set.
        z: one vector (d',) for each detector.
    """

    set_key: str
    synthetic: bool
    z: tuple[Vector, ...]


def sample_images(test_sets: TestSetCollection, limit: int, seed: int) -> list[tuple[str, LabelledImage]]:
    """At most ``limit`` images with the keys of their sets, if possible equally many of every set and label.

    An image that several sets share comes once.
    """
    rng = np.random.default_rng(seed)
    per_label = limit // (2 * len(test_sets.sets))
    chosen: dict[Path, tuple[str, LabelledImage]] = {}
    for test_set in test_sets.sets:
        for synthetic in (False, True):
            images = [image for image in test_set.images if image.synthetic is synthetic]
            for index in sorted(rng.permutation(len(images))[:per_label].tolist()):
                chosen.setdefault(images[index].path, (test_set.key, images[index]))
    return list(chosen.values())


def rine_alpha(detector: Detector) -> NDArray[np.float32] | None:
    """The parameter alpha of a RINE head, (1, blocks, channels); None for any other head."""
    if not isinstance(detector.head, RineHead):
        return None
    alpha: NDArray[np.float32] = detector.head.alpha.detach().float().cpu().numpy()
    return alpha


def embed_images(
    detectors: Sequence[Detector], images: Sequence[tuple[str, LabelledImage]], config: EvaluationConfig
) -> Iterator[EmbeddedImage]:
    """The embeddings of all images that can be read; each encoder sees an image once for all its heads."""
    read = partial(_read_centre_crop, config=replace(config, crops="center"))
    with closing(threads.OrderedMap(read, images, config.workers)) as results:
        batches = threads.map_batches(
            results,
            weigh=lambda _: 1,
            enough=_BATCH,
            begin=lambda batch: [labelled for labelled in batch if labelled is not None],
            function=partial(_embed_batch, detectors),
            at_once=1,
        )
        for batch in batches:
            yield from batch


@torch.inference_mode()
def _embed_batch(detectors: Sequence[Detector], batch: Sequence[LabelledCrop]) -> list[EmbeddedImage]:
    if not batch:
        return []
    crops = np.stack([labelled.pixels for labelled in batch])
    encoders = {id(detector.encoder): detector.encoder for detector in detectors}
    z: dict[int, Vector] = {}  # index of a detector -> (b, d')
    for key, encoder in encoders.items():
        heads = {
            index: detector.head for index, detector in enumerate(detectors) if id(detector.encoder) == key
        }
        device = next(next(iter(heads.values())).parameters()).device
        tensor = torch.from_numpy(crops).to(device).permute(0, 3, 1, 2)
        features = encoder.read(tensor, {head.feature for head in heads.values()})
        for index, head in heads.items():
            z[index] = head.embed(features[head.feature]).double().cpu().numpy()
    vectors = zip(*(z[index] for index in range(len(detectors))), strict=True)
    return [
        EmbeddedImage(labelled.set_key, labelled.synthetic, of_image)
        for labelled, of_image in zip(batch, vectors, strict=True)
    ]


def _read_centre_crop(entry: tuple[str, LabelledImage], config: EvaluationConfig) -> LabelledCrop | None:
    set_key, image = entry
    sample = read_test_image(image, set_key, config)
    if not isinstance(sample, DecodedImage):
        return None
    return LabelledCrop(set_key, image.synthetic, sample.crop_set.crops[0])
