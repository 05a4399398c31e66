"""Pixels -> the crops that a model looks at, without any resizing."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from sidscan.config import Crops
from sidscan.models.detectors import SIDE
from sidscan.readers.decode import Picture
from sidscan.records import Views


def cut(picture: Picture, crops: Crops) -> Views:
    """The views of a picture, equal ones stored once.

    Ten-crop is torchvision's TenCrop (paper, section 5.8): top-left, top-right, bottom-left, bottom-right
    and centre of the picture, then the same five of its mirror image. A picture smaller than 224 in a
    direction is first padded with black as torchvision's CenterCrop does; torchvision's TenCrop refuses it.
    """
    columns, rows = _offsets(picture.width), _offsets(picture.height)
    windows = [picture.window(left, top, SIDE) for left, top in _places(columns, rows, crops)]
    if crops == "ten":
        mirrored = [picture.width - SIDE - column for column in columns]
        windows += [picture.window(left, top, SIDE)[:, ::-1] for left, top in _places(mirrored, rows, crops)]
    return _unique(windows)


def flags(picture: Picture) -> tuple[str, ...]:
    """``padded`` where a view is larger than the picture."""
    return ("padded",) if min(picture.width, picture.height) < SIDE else ()


def rows(height: int, crops: Crops) -> list[range]:
    """Rows that `cut` looks at in a picture of that height."""
    top, bottom, middle = _offsets(height)
    looked_at = (middle,) if crops == "center" else (top, middle, bottom)
    return [range(max(first, 0), min(first + SIDE, height)) for first in looked_at]


def _places(columns: Sequence[int], rows: Sequence[int], crops: Crops) -> list[tuple[int, int]]:
    """Left and top of each window in the picture's own coordinates; negative where there is padding."""
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


def _unique(windows: list[NDArray[np.uint8]]) -> Views:
    index: dict[bytes, int] = {}
    order: list[int] = []
    crops: list[NDArray[np.uint8]] = []
    for window in windows:
        position = index.setdefault(window.tobytes(), len(index))
        if position == len(crops):
            crops.append(window)
        order.append(position)
    return Views(np.stack(crops), tuple(order))
