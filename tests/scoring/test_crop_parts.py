"""Where memory is short, crops go through a model in smaller parts, and scores stay."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from sidscan.errors import RuntimeUnavailable
from sidscan.records import CropSet
from sidscan.scoring.crop_parts import CropParts

RED = np.arange(7, dtype=np.uint8)
CUDA = "CUDA out of memory. Tried to allocate 2.00 GiB."  # as torch says it


def crop_set() -> CropSet:
    crops = np.zeros((7, 224, 224, 3), np.uint8)
    crops[:, :, 0, 0] = RED[:, None]
    return CropSet(crops, tuple((index, index % 2 == 1) for index in (3, 0, 6, 1, 2, 5, 4, 3)))


class SmallDevice:
    """Computes the red of both edges of as many crops as fit."""

    def __init__(self, fits: int, error: type[Exception] = RuntimeError) -> None:
        self.fits, self.error, self.sizes = fits, error, list[int]()

    def logits(self, crops: CropSet) -> NDArray[np.float32]:
        self.sizes.append(len(crops.order))
        if len(crops.order) > self.fits:
            raise self.error(CUDA)
        pixels = crops.pixels().astype(np.float32)
        return np.stack([pixels[:, 0, 0, 0], pixels[:, 0, -1, 0]], axis=1)


@pytest.mark.parametrize("error", [RuntimeError, MemoryError])
@pytest.mark.parametrize("fits", [1, 2, 3, 8])
def test_logits_do_not_depend_on_memory(fits: int, error: type[Exception]) -> None:
    expected = SmallDevice(8).logits(crop_set())
    device = SmallDevice(fits, error)
    parts = CropParts(device.logits)
    assert np.array_equal(parts(crop_set()), expected)
    first = len(device.sizes)
    assert np.array_equal(parts(crop_set()), expected)
    assert max(device.sizes[first:]) <= fits, "what did not fit once is not tried again"


def test_a_single_crop_that_does_not_fit() -> None:
    parts = CropParts(SmallDevice(0).logits)
    with pytest.raises(RuntimeUnavailable, match="than there is, even one crop or image at a time"):
        parts(crop_set())


def test_other_errors_stay_what_they_are() -> None:
    def broken(_: CropSet) -> NDArray[np.float32]:
        raise RuntimeError("CUDA error: an illegal memory access was encountered")

    with pytest.raises(RuntimeError, match="illegal memory access"):
        CropParts(broken)(crop_set())
