"""Logits of the crops of a batch: each crop is computed once, whenever and for however many images."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from sidscan.records import CropRef, CropSet

_SPARSE = 16  # px between the rows and columns of a crop that tell most crops apart

Compute = Callable[[CropSet], NDArray[np.float32]]
"""Crops -> logits (crops, columns), as `Runtime.logits` orders them."""


class CropLogits:
    """The crops of several images, and the logits that were computed of them. Pixels are stored once.

    Args:
        compute: computes logits, e.g. `Runtime.logits`.
    """

    def __init__(self, compute: Compute) -> None:
        self._compute = compute
        self._crops: list[NDArray[np.uint8]] = []  # all different
        self._by_sample: dict[bytes, list[int]] = {}  # indices of crops by some of their pixels
        self._logits: dict[CropRef, NDArray[np.float32]] = {}

    def add(self, crop_set: CropSet) -> tuple[CropRef, ...]:
        """The crop of each view of an image, as the other methods name it; nothing is computed yet."""
        indices = [self._index_of(crop) for crop in crop_set.crops]
        return tuple((indices[index], mirrored) for index, mirrored in crop_set.order)

    def compute(self, refs: Iterable[CropRef]) -> None:
        """Compute, in one call, those of the crops that have no logits yet."""
        missing = [ref for ref in dict.fromkeys(refs) if ref not in self._logits]
        if not missing:
            return
        used = sorted({index for index, _ in missing})
        positions = {index: position for position, index in enumerate(used)}
        pixels = np.stack([self._crops[index] for index in used])
        order = tuple((positions[index], mirrored) for index, mirrored in missing)
        self._logits.update(zip(missing, self._compute(CropSet(pixels, order)), strict=True))

    def of(self, refs: Sequence[CropRef]) -> NDArray[np.float32]:
        """Logits (crops, columns) of crops that were computed, in this order."""
        return np.stack([self._logits[ref] for ref in refs])

    def _index_of(self, crop: NDArray[np.uint8]) -> int:
        """Index of the same pixels in ``_crops``; new pixels are appended."""
        candidates = self._by_sample.setdefault(crop[::_SPARSE, ::_SPARSE].tobytes(), [])
        for index in candidates:
            if np.array_equal(self._crops[index], crop):
                return index
        candidates.append(len(self._crops))
        self._crops.append(crop)
        return len(self._crops) - 1
