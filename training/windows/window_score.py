"""What a scan would measure in a window: the ten crops, and what their logits come to."""

from __future__ import annotations

from typing import NamedTuple

import torch
from PIL import Image
from torch import Tensor

from sidscan.images.crops import crop
from sidscan.images.decode import SourceImage
from sidscan.models.abstention import detail
from sidscan.records import CropSet
from sidscan.runtimes import unique_crops
from sidscan.runtimes.forward import select_crops
from sidscan.training.common.pixels import Pixels


class WindowScore(NamedTuple):
    """What a scan would measure in an image of these pixels.

    Attributes:
        logit: mean over the ten crops; its sigmoid is the image's score.
        spread: their standard deviation.
        detail: `sidscan.models.abstention.detail` of the crops.
        side: pixels, the lesser of width and height.
    """

    logit: float
    spread: float
    detail: float
    side: int


LOGIT, SMALLER_SIDE = (WindowScore._fields.index(name) for name in ("logit", "side"))  # columns of arrays


def ten_crops(pixels: Pixels, mirror_invariant: bool) -> tuple[CropSet, Tensor, list[int]]:
    """The ten crops that a scan takes of an image with these pixels.

    Args:
        mirror_invariant: as the encoder's: a mirror image need not be read.

    Returns:
        the crops; the different ones that the encoder has to read, (b, 3, 224, 224); and for each of the ten
        its index among these.
    """
    crop_set = crop(SourceImage(Image.fromarray(pixels), "window", ()), "ten")
    needed, indices = unique_crops(crop_set.order, mirror_invariant)
    return crop_set, select_crops(torch.from_numpy(crop_set.crops), needed), indices


def window_score(logits: Tensor, crop_set: CropSet, pixels: Pixels) -> WindowScore:
    """From the logits of an image's ten crops, (10,)."""
    height, width, _ = pixels.shape
    return WindowScore(
        logit=float(logits.mean()),
        spread=float(logits.std(correction=0)),
        detail=detail(crop_set.crops, width, height),
        side=min(width, height),
    )
