"""z, the vector that a classifier gets, for a sample of the test images: data of the feature-space plots."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from sidscan.models.detector_info import views_of
from sidscan.models.detectors import Detector
from sidscan.models.heads.rine import RineHead
from sidscan.records import DecodedImage
from sidscan.records.views import ImageView
from sidscan.training.datasets.rows import LabelledImage
from sidscan.util import threads

from .config import EvaluationConfig
from .reading import read_test_image
from .testsets import TestSetCollection

Vector = NDArray[np.float64]
_Pixels = NDArray[np.uint8]
_BATCH = 10  # images in a pass


class _Pictures(NamedTuple):
    """What detectors read of an image, with the key of its set and its label.

    Attributes:
        crop: the centre crop, (224, 224, 3).
        views: pictures of the whole image, (rows, columns, 3).
    """

    set_key: str
    synthetic: bool
    crop: _Pixels
    views: Mapping[ImageView, _Pixels]

    def read_by(self, view: ImageView | None) -> _Pixels:
        """The picture of a view; without one, the crop."""
        return self.crop if view is None else self.views[view]


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
    """The embeddings of all images that can be read; each encoder sees an image once for all its heads.

    Detectors that read whole images see the picture that they score, the others the centre crop.
    """
    views = views_of([detector.info for detector in detectors])
    read = partial(_read_pictures, config=replace(config, crops="center"), views=views)
    with closing(threads.OrderedMap(read, images, config.workers)) as results:
        batches = threads.map_batches(
            results,
            weigh=lambda _: 1,
            enough=_BATCH,
            begin=lambda batch: [pictures for pictures in batch if pictures is not None],
            function=partial(_embed_batch, detectors),
            at_once=1,
        )
        for batch in batches:
            yield from batch


@torch.inference_mode()
def _embed_batch(detectors: Sequence[Detector], batch: Sequence[_Pictures]) -> list[EmbeddedImage]:
    if not batch:
        return []
    sharing: dict[tuple[int, ImageView | None], dict[int, Detector]] = {}
    for index, detector in enumerate(detectors):
        sharing.setdefault((id(detector.encoder), detector.info.view), {})[index] = detector
    z: dict[int, Vector] = {}  # index of a detector -> (b, d')
    for (_, view), own in sharing.items():
        vectors = _embed([pictures.read_by(view) for pictures in batch], list(own.values()))
        z |= zip(own, vectors, strict=True)
    of_images = zip(*(z[index] for index in range(len(detectors))), strict=True)
    return [
        EmbeddedImage(pictures.set_key, pictures.synthetic, of_image)
        for pictures, of_image in zip(batch, of_images, strict=True)
    ]


def _embed(pictures: Sequence[_Pixels], detectors: Sequence[Detector]) -> list[Vector]:
    """Of detectors with one encoder, the vectors (b, d') of pictures; those of several sizes one by one."""
    encoder, heads = detectors[0].encoder, [detector.head for detector in detectors]
    device, of_parts = next(heads[0].parameters()).device, []
    for part in [pictures] if len({one.shape for one in pictures}) == 1 else [[one] for one in pictures]:
        tensor = torch.from_numpy(np.stack(part)).to(device).permute(0, 3, 1, 2)
        features = encoder.read(tensor, {head.feature for head in heads})
        of_parts.append([head.embed(features[head.feature]).double().cpu().numpy() for head in heads])
    return [np.concatenate(parts) for parts in zip(*of_parts, strict=True)]


def _read_pictures(
    entry: tuple[str, LabelledImage], config: EvaluationConfig, views: Sequence[ImageView]
) -> _Pictures | None:
    set_key, image = entry
    sample = read_test_image(image, set_key, config, views)
    if not isinstance(sample, DecodedImage):
        return None
    return _Pictures(set_key, image.synthetic, sample.crop_set.crops[0], sample.views)
