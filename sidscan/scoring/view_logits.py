"""Logits of the detectors that read one picture of a whole image instead of its crops."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import islice

import numpy as np
from numpy.typing import NDArray

from sidscan.config import SIDE
from sidscan.errors import RuntimeUnavailable
from sidscan.models.detector_info import views_of
from sidscan.records import DecodedImage
from sidscan.records.views import ImageView
from sidscan.runtimes import Runtime, ViewRuntime
from sidscan.runtimes.short_memory import or_memory_error
from sidscan.scoring.crop_parts import no_memory

_PIXELS = 40 * SIDE * SIDE  # of all pictures of a pass, unless one has more


def view_logits(
    images: Sequence[DecodedImage], runtime: Runtime, check_wanted: Callable[[], object] = lambda: None
) -> list[dict[str, float]]:
    """Of each image, the logits of the detectors that read a picture of it, by name.

    Pictures of one view and size are computed together.

    Args:
        images: with the `views` of these detectors.
        check_wanted: called before each pass; raises where nobody waits for it.

    Raises:
        RuntimeUnavailable: this runtime reads crops only, or memory does not hold a single picture.
    """
    logits: list[dict[str, float]] = [{} for _ in images]
    views = views_of(runtime.detectors)
    if views and not isinstance(runtime, ViewRuntime):
        raise RuntimeUnavailable("exported graphs read crops, no whole images", "Leave --runtime out.")
    for view in views:
        assert isinstance(runtime, ViewRuntime)
        names = [detector.name for detector in runtime.detectors if detector.view == view]
        for part in _parts(images, view):
            check_wanted()
            pictures = np.stack([images[index].views[view] for index in part])
            for index, row in zip(part, _computed(runtime, view, pictures), strict=True):
                logits[index] |= zip(names, row.tolist(), strict=True)
    return logits


def _parts(images: Sequence[DecodedImage], view: ImageView) -> list[list[int]]:
    """Indices of images whose pictures have one size, as many as a pass holds."""
    by_size: dict[tuple[int, ...], list[int]] = {}
    for index, image in enumerate(images):
        by_size.setdefault(image.views[view].shape, []).append(index)
    parts = []
    for (height, width, *_), indices in by_size.items():
        each, rest = max(_PIXELS // (height * width), 1), iter(indices)
        while part := list(islice(rest, each)):
            parts.append(part)
    return parts


def _computed(runtime: ViewRuntime, view: ImageView, pictures: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Logits (b, detectors) of pictures; halves of them where memory was short."""
    try:
        return or_memory_error(lambda given: runtime.view_logits(view, given), pictures)
    except MemoryError as error:
        if len(pictures) == 1:
            raise no_memory() from error
    half = len(pictures) // 2
    return np.concatenate([_computed(runtime, view, part) for part in (pictures[:half], pictures[half:])])
