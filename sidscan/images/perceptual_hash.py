"""A hash of what an image shows: copies of an image have nearly the same one.

It is a pHash (Zauner 2010) of 256 bits: the signs of the lowest frequencies of a discrete cosine transform.
They are compared with 0 instead of the coefficients' median, so the hash of a mirrored or rotated image
follows from that of the image (`sidscan.review.copies`). ImageHash, the library for this, has no such hash
and brings SciPy and PyWavelets along. This takes whole numbers only: every machine computes the same.
"""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray
from PIL import Image

SIDE = 16
"""Frequencies per axis; a hash has SIDE * SIDE bits."""
_PIXELS = 64  # per axis, of the image that is transformed
_SCALE = 1 << 10
_NOISE = 2.0  # grey levels' worth of a coefficient that re-saving may change: four times the median change
_LEAST_DETAIL = 0.75  # share of the coefficients that must exceed it
_UNIFORM = 8  # grey levels within an edge that counts as a border
_EDGE, _EDGE_SHARE = 24, 0.3  # grey levels by which a share of the first row behind a border must differ
_LONGEST_BORDER = 0.25  # of a side, at each end


def perceptual_hash(image: Image.Image) -> str:
    """The hash of a small image, e.g. a thumbnail, turned as it is shown: 64 hex digits.

    Empty where the image has too little detail to be told from others, as a white page or a gradient has. A
    border of one colour, as screenshots have, is left out.
    """
    grey = without_border(image.convert("L"))
    pixels = np.asarray(grey.resize((_PIXELS, _PIXELS), Image.Resampling.BICUBIC)).astype(np.int64)
    cosines = _cosines()
    coefficients = (cosines @ pixels @ cosines.T).ravel()[bit_order()][1:]  # without the mean brightness
    level = _NOISE * _SCALE * _SCALE * _PIXELS / 2
    if np.mean(np.abs(coefficients) > level) < _LEAST_DETAIL:
        return ""
    return np.packbits(np.append(False, coefficients > 0)).tobytes().hex()


@cache
def bit_order() -> NDArray[np.intp]:
    """The frequency, as row * SIDE + column, of each bit: squares of 1, 4, 9 ... bits, the lowest first."""
    rows, columns = np.divmod(np.arange(SIDE * SIDE), SIDE)
    return np.lexsort((columns, rows, np.maximum(rows, columns)))


@cache
def _cosines() -> NDArray[np.int64]:
    """The lowest frequencies of a DCT-II, (SIDE, _PIXELS)."""
    positions = (2 * np.arange(_PIXELS) + 1) * np.arange(SIDE)[:, np.newaxis]
    cosines: NDArray[np.float64] = np.cos(np.pi * positions / (2 * _PIXELS))
    return np.rint(_SCALE * cosines).astype(np.int64)


def without_border(grey: Image.Image) -> Image.Image:
    """What lies within a border of one colour; the image itself if it has none."""
    pixels = np.asarray(grey).astype(np.int16)
    top, bottom = _border(pixels)
    left, right = _border(pixels.T)
    if not (left or top or right or bottom):
        return grey
    return grey.crop((left, top, grey.width - right, grey.height - bottom))


def _border(pixels: NDArray[np.int16]) -> tuple[int, int]:
    """How many of the first and of the last rows have one colour."""
    longest = int(_LONGEST_BORDER * len(pixels))
    return _uniform_rows(pixels[:longest]), _uniform_rows(pixels[::-1][:longest])


def _uniform_rows(pixels: NDArray[np.int16]) -> int:
    """How many of the first rows have one colour; 0 unless a sharp edge follows.

    Without one, as in a dark sky, other copies of the image would lose other rows.
    """
    if len(pixels) < 3 or np.ptp(pixels[0]) > 2 * _UNIFORM:  # so one lies too far from any median
        return 0
    differences = np.abs(pixels - np.median(pixels[0]))
    count = int((differences > _UNIFORM).any(axis=1).argmax())
    behind = differences[count + 1 : count + 2]  # the row before it may be a blend of both
    return count if behind.size and np.mean(behind > _EDGE) > _EDGE_SHARE else 0
