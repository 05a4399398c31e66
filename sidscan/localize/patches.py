"""The patches of a detector of whole images become a map: what each of them adds to the image's logit."""

from __future__ import annotations

import numpy as np
from PIL import Image

from sidscan.errors import ImageError
from sidscan.images.views import resize
from sidscan.localize.tiles import Done, Map, MapsOf, Pixels, SmallMap
from sidscan.models.catalog import PatchSpec
from sidscan.records import Status


def map_of_patches(pixels: Pixels, maps_of: MapsOf, patches: PatchSpec, done: Done) -> SmallMap:
    """The map of the picture that the detector reads, interpolated between the middles of its patches.

    Args:
        pixels: (height, width, 3), RGB.

    Raises:
        ImageError: the image is so long that the picture would not show all of it.
    """
    height, width, _ = pixels.shape
    if patches.view.part(width, height) != (width, height):
        raise ImageError(
            "the image is so long and narrow that the detector sees a part of it alone; no map is made",
            "PartOfImage",
            Status.FAILED.value,
        )
    picture = np.array(resize(Image.fromarray(pixels), patches.view))
    values = maps_of(picture[None])[0]
    done(1)
    for length in picture.shape[:2]:  # down, then across: each turns the map
        values = _between_middles(values, length, patches).T
    return SmallMap(np.clip(values, 0.0, 1.0), picture.shape[1], picture.shape[0])


def _between_middles(values: Map, length: int, patches: PatchSpec) -> Map:
    """Values of patches (patches, n) -> of pixels (length, n); beyond the outer middles as there."""
    places = np.clip((np.arange(length) - patches.first) / patches.stride, 0, len(values) - 1)
    below = places.astype(np.int64)
    above = np.minimum(below + 1, len(values) - 1)
    share = (places - below).astype(np.float32)[:, None]
    result: Map = values[below] * (1 - share) + values[above] * share
    return result
