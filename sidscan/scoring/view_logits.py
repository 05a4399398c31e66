"""Logits of the detectors that read one picture of a whole image instead of its crops."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

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


class ViewLogits:
    """Computes logits of pictures: those of one view and size together, as many as memory holds.

    Args:
        check_wanted: called before each pass; raises where nobody waits for it.

    Attributes:
        most_pixels: of all pictures of a pass, by view; less than the usual where memory was short once.
    """

    def __init__(self, runtime: Runtime, check_wanted: Callable[[], object] = lambda: None) -> None:
        self._runtime, self._check_wanted = runtime, check_wanted
        self._views = views_of(runtime.detectors)
        self.most_pixels = dict.fromkeys(self._views, _PIXELS)

    def __call__(self, images: Sequence[DecodedImage]) -> list[dict[str, float]]:
        """Of each image, the logits of the detectors that read a picture of it, by name.

        Args:
            images: with the `views` of these detectors.

        Raises:
            RuntimeUnavailable: this runtime reads crops only, or memory does not hold a single picture.
        """
        logits: list[dict[str, float]] = [{} for _ in images]
        for view in self._views:
            names = [detector.name for detector in self._runtime.detectors if detector.view == view]
            for indices in _by_size([image.views[view] for image in images]):
                pictures = [images[index].views[view] for index in indices]
                rows = (row for part in self._parts(view, pictures) for row in part)
                for index, row in zip(indices, rows, strict=True):
                    logits[index] |= zip(names, row.tolist(), strict=True)
        return logits

    def _parts(self, view: ImageView, pictures: Sequence[NDArray[np.uint8]]) -> Iterator[NDArray[np.float32]]:
        """Logits (b, detectors) of pictures of one size, a part of them after the other."""
        runtime, start = self._runtime, 0
        if not isinstance(runtime, ViewRuntime):
            raise RuntimeUnavailable("exported graphs read crops, no whole images", "Leave --runtime out.")
        height, width, _ = pictures[0].shape
        while start < len(pictures):
            self._check_wanted()
            part = pictures[start : start + max(self.most_pixels[view] // (height * width), 1)]
            try:
                yield or_memory_error(lambda given: runtime.view_logits(view, np.stack(given)), part)
            except MemoryError as error:
                if len(part) == 1:
                    raise no_memory() from error
                self.most_pixels[view] = len(part) // 2 * height * width
            else:
                start += len(part)


def _by_size(pictures: Sequence[NDArray[np.uint8]]) -> list[list[int]]:
    """Indices of pictures that have one size."""
    by_size: dict[tuple[int, ...], list[int]] = {}
    for index, picture in enumerate(pictures):
        by_size.setdefault(picture.shape, []).append(index)
    return list(by_size.values())
