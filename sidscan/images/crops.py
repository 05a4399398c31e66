"""Cut the crops that a model sees out of an image, without any resizing."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from sidscan.config import SIDE, Crops
from sidscan.images.decode import SourceImage
from sidscan.records import CropRef, CropSet

CENTRE = 4  # position of the centre crop among the ten
UNMIRRORED = 5  # crops: the first five of the ten are not mirrored

_PLACES = ("top left", "top right", "bottom left", "bottom right", "centre")
_MIRRORED_PLACES = ("top right", "top left", "bottom right", "bottom left", "centre")  # left is right there
VIEW_NAMES = (*_PLACES, *(f"{place}, mirrored" for place in _MIRRORED_PLACES))
"""Where each of the ten views lies in the image."""

CropPosition = tuple[int, int]  # left and top, pixels; negative where there is padding


def crop(source: SourceImage, crops: Crops) -> CropSet:
    """The crops of an image; crops that show the same pixels are stored once.

    Ten-crop is torchvision's TenCrop (paper, section 5.8): top-left, top-right, bottom-left, bottom-right
    and centre of the image, then the same five of its mirror image. torchvision's TenCrop refuses images
    below 224 pixels in a direction; these, and their mirror images, are padded with black as CenterCrop does.
    """
    positions = crop_positions(source.width, source.height, crops)
    windows = {position: source.window(*position, SIDE) for position, _ in positions}
    return _deduplicate([(windows[position], mirrored) for position, mirrored in positions])


def crop_positions(width: int, height: int, crops: Crops) -> list[tuple[CropPosition, bool]]:
    """The position of each crop in an image of ``width`` x ``height`` pixels, and whether it is mirrored.

    The mirrored five lie where the others do, except the centre: where width - 224 is odd, torchvision's
    rounding shifts the centre of the mirrored image by one pixel.
    """
    columns, rows = _offsets(width), _offsets(height)
    positions = [(position, False) for position in _corners_and_center(columns, rows, crops)]
    if crops == "ten":
        mirrored = [width - SIDE - column for column in columns]
        positions += [(position, True) for position in _corners_and_center(mirrored, rows, crops)]
    return positions


def view_names(count: int) -> tuple[str, ...]:
    """What the views of an image are called, of which 1, 5 or 10 were scored."""
    return VIEW_NAMES[:count] if count > 1 else (VIEW_NAMES[CENTRE],)


@lru_cache(maxsize=1024)
def share_covered(width: int, height: int, count: int) -> float:
    """The share of an image's pixels that lie in one of its 1, 5 or 10 first views; above 0, at most 1."""
    positions = (
        crop_positions(width, height, "ten")[:count] if count > 1 else crop_positions(width, height, "center")
    )
    boxes = [
        (max(left, 0), max(top, 0), min(left + SIDE, width), min(top + SIDE, height))
        for (left, top), _ in positions
    ]
    columns, rows = (sorted({edge for box in boxes for edge in box[axis::2]}) for axis in (0, 1))
    covered = sum(
        (right - left) * (bottom - top)
        for left, right in pairwise(columns)
        for top, bottom in pairwise(rows)
        if any(x0 <= left and y0 <= top and right <= x1 and bottom <= y1 for x0, y0, x1, y1 in boxes)
    )
    return round(covered / (width * height), 6)


def padding_flags(source: SourceImage) -> tuple[str, ...]:
    """``padded`` where a crop is larger than the image."""
    return ("padded",) if min(source.width, source.height) < SIDE else ()


def needed_rows(height: int, crops: Crops) -> list[range]:
    """The rows of an image of that height that `crop` uses."""
    top, bottom, middle = _offsets(height)
    starts = (middle,) if crops == "center" else (top, middle, bottom)
    return [range(max(start, 0), min(start + SIDE, height)) for start in starts]


def _corners_and_center(columns: Sequence[int], rows: Sequence[int], crops: Crops) -> list[CropPosition]:
    """The positions of the crops, in coordinates of the image that is not mirrored."""
    (left, right, middle_x), (top, bottom, middle_y) = columns, rows
    center = (middle_x, middle_y)
    if crops == "center":
        return [center]
    return [(left, top), (right, top), (left, bottom), (right, bottom), center]


def _offsets(length: int) -> tuple[int, int, int]:
    """Where the first, the last and the centred crop begin along a side of that length."""
    if length < SIDE:
        start = -((SIDE - length) // 2)  # an odd pixel of padding goes to the end, as in CenterCrop
        return start, start, start
    return 0, length - SIDE, round((length - SIDE) / 2.0)


def _deduplicate(windows: Sequence[tuple[NDArray[np.uint8], bool]]) -> CropSet:
    """The crop set of windows, each given with whether it is mirrored."""
    crops: list[NDArray[np.uint8]] = []
    order: list[CropRef] = []
    for window, mirrored in windows:
        index, flipped = _find_crop(window, crops)
        if index == len(crops):
            crops.append(window)
        symmetric = mirrored != flipped and _equal_pixels(crops[index], crops[index][:, ::-1])
        order.append((index, mirrored != flipped and not symmetric))
    return CropSet(np.stack(crops), tuple(order))


def _find_crop(window: NDArray[np.uint8], crops: Sequence[NDArray[np.uint8]]) -> CropRef:
    """The crop that equals the window or its mirror image; the number of crops if none does."""
    for index, candidate in enumerate(crops):
        if _equal_pixels(candidate, window):
            return index, False
        if _equal_pixels(candidate[:, ::-1], window):
            return index, True
    return len(crops), False


def _equal_pixels(first: NDArray[np.uint8], second: NDArray[np.uint8]) -> bool:
    """Whether all pixels are equal; the first row mostly decides, and is quick to compare."""
    return np.array_equal(first[0], second[0]) and np.array_equal(first, second)
