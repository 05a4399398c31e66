"""Crops go through a model as many at once as memory holds, of the machine or of a GPU."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from sidscan.errors import RuntimeUnavailable
from sidscan.records import CropSet
from sidscan.runtimes.short_memory import or_memory_error
from sidscan.scoring.crop_logits import Compute


class CropParts:
    """Computes logits in parts where memory was short once; parts are halved until they fit.

    Attributes:
        most: crops that are computed at once; None for any number.
    """

    def __init__(self, compute: Compute) -> None:
        self._compute = compute
        self.most: int | None = None

    def __call__(self, crops: CropSet) -> NDArray[np.float32]:
        """Logits (crops, columns), in the order of the crops.

        Raises:
            RuntimeUnavailable: memory does not hold a single crop.
        """
        parts: list[NDArray[np.float32]] = []
        start = 0
        while start < len(crops.order) or not parts:
            size = min(self.most or len(crops.order), len(crops.order) - start)
            part = crops if size == len(crops.order) else _part(crops, start, start + size)
            try:
                parts.append(or_memory_error(self._compute, part))
            except MemoryError as error:
                if size <= 1:
                    raise no_memory() from error
                self.most = size // 2
            else:
                start += size
        return parts[0] if len(parts) == 1 else np.concatenate(parts)


def _part(crops: CropSet, start: int, stop: int) -> CropSet:
    """Some of the crops, with no other pixels than theirs."""
    order = crops.order[start:stop]
    used = sorted({index for index, _ in order})
    positions = {index: position for position, index in enumerate(used)}
    return CropSet(crops.crops[used], tuple((positions[index], mirrored) for index, mirrored in order))


def no_memory() -> RuntimeUnavailable:
    """The error of a device that holds not even one crop or picture."""
    return RuntimeUnavailable(
        "scoring takes more memory than there is, even one crop or image at a time",
        "Close other programs that use the device, or choose --device cpu. What is scored is recorded, and "
        "the same command goes on.",
    )
