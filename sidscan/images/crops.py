"""Pixels -> the crops that a model looks at, without any resizing."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from sidscan.config import SIDE, Crops
from sidscan.images.decode import SourceImage
from sidscan.records import CropRef, CropSet

Position = tuple[int, int]  # left and top, pixels; negative where there is padding


def crop(picture: SourceImage, crops: Crops) -> CropSet:
    """The views of a picture; pixels that several of them show are stored once.

    Ten-crop is torchvision's TenCrop (paper, section 5.8): top-left, top-right, bottom-left, bottom-right
    and centre of the picture, then the same five of its mirror image. A picture smaller than 224 in a
    direction is first padded with black as torchvision's CenterCrop does; torchvision's TenCrop refuses it.
    """
    places = crop_positions(picture.width, picture.height, crops)
    seen = {place: picture.window(*place, SIDE) for place, _ in places}
    return _deduplicate([(seen[place], mirrored) for place, mirrored in places])


def crop_positions(width: int, height: int, crops: Crops) -> list[tuple[Position, bool]]:
    """Where each view lies in a picture of so many pixels, and whether it is looked at in the mirror.

    The mirrored five lie where the others do, but for the centre: where width - 224 is odd, torchvision's
    rounding puts the centre of the mirrored picture one pixel beside.
    """
    columns, rows = _offsets(width), _offsets(height)
    places = [(place, False) for place in _corners_and_center(columns, rows, crops)]
    if crops == "ten":
        mirrored = [width - SIDE - column for column in columns]
        places += [(place, True) for place in _corners_and_center(mirrored, rows, crops)]
    return places


def padding_flags(picture: SourceImage) -> tuple[str, ...]:
    """``padded`` where a view is larger than the picture."""
    return ("padded",) if min(picture.width, picture.height) < SIDE else ()


def needed_rows(height: int, crops: Crops) -> list[range]:
    """Rows that `cut` looks at in a picture of that height."""
    top, bottom, middle = _offsets(height)
    looked_at = (middle,) if crops == "center" else (top, middle, bottom)
    return [range(max(first, 0), min(first + SIDE, height)) for first in looked_at]


def _corners_and_center(columns: Sequence[int], rows: Sequence[int], crops: Crops) -> list[Position]:
    """Of each window, in the picture's own coordinates."""
    (left, right, middle_x), (top, bottom, middle_y) = columns, rows
    centre = (middle_x, middle_y)
    if crops == "center":
        return [centre]
    return [(left, top), (right, top), (left, bottom), (right, bottom), centre]


def _offsets(length: int) -> tuple[int, int, int]:
    """First, last and centred window along one side of the picture."""
    if length < SIDE:
        start = -((SIDE - length) // 2)  # the odd pixel of padding goes behind, as in CenterCrop
        return start, start, start
    return 0, length - SIDE, round((length - SIDE) / 2.0)


def _deduplicate(seen: Sequence[tuple[NDArray[np.uint8], bool]]) -> CropSet:
    """Views of windows, each with whether it is mirrored."""
    crops: list[NDArray[np.uint8]] = []
    order: list[CropRef] = []
    for window, mirrored in seen:
        index, turned = _find_crop(window, crops)
        if index == len(crops):
            crops.append(window)
        symmetric = mirrored != turned and _equal_pixels(crops[index], crops[index][:, ::-1])
        order.append((index, mirrored != turned and not symmetric))
    return CropSet(np.stack(crops), tuple(order))


def _find_crop(window: NDArray[np.uint8], crops: Sequence[NDArray[np.uint8]]) -> CropRef:
    """The crop that shows the same, or its mirror image; the number of crops if there is none."""
    for index, crop in enumerate(crops):
        if _equal_pixels(crop, window):
            return index, False
        if _equal_pixels(crop[:, ::-1], window):
            return index, True
    return len(crops), False


def _equal_pixels(one: NDArray[np.uint8], other: NDArray[np.uint8]) -> bool:
    """Whether all pixels are equal; mostly the first row tells."""
    return np.array_equal(one[0], other[0]) and np.array_equal(one, other)
