"""Pixels as CLIP's encoders take them."""

from __future__ import annotations

from sidscan.models.backbones.pixels import NormalisedPixels
from sidscan.models.families.clip import CLIP_MEAN, CLIP_STD


class ClipPixels(NormalisedPixels):
    """An encoder of pixels that are normalised by CLIP's mean and standard deviation."""

    mean = CLIP_MEAN
    std = CLIP_STD
