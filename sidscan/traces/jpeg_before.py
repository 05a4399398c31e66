"""A lossless file whose pixels were a JPEG before (Fan & de Queiroz 2003; Neelamani et al. 2006)."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from sidscan.records import Trace
from sidscan.traces import TracedImage, TraceKind, trace
from sidscan.traces.double_jpeg import describe
from sidscan.traces.quantisation import FREQUENCIES, SIDE, Floats, cosines, find_earlier_steps, luma_window

JPEG_BEFORE = TraceKind(
    id="jpeg_before",
    observed=(
        "pixels of a lossless file are rounded in blocks of 8 x 8 as by a JPEG; the detail names where the "
        "blocks begin"
    ),
    place="luma of PNG, BMP, TIFF and lossless WebP, of up to 2,048 blocks in the middle",
    who=(
        "whoever saved a JPEG in a lossless format, cropped or not; screenshots that show one at its full "
        "size; some services that deliver images"
    ),
    limits=(
        "It does not say what changed between, if anything. Resizing and most editing remove it. It is not "
        "seen in flat images, where the JPEG is a small part of the image, and rarely above a quality of 95."
    ),
)
_FORMATS = ("PNG", "BMP", "TIFF", "WEBP")
_ROUNDED_PIXELS = 0.3  # standard deviation that rounding pixels gives each coefficient
_SEARCHED = (96, 512)  # rows and columns in which the grid is looked for
_SEARCH_FREQUENCIES = ((2, 2), (3, 1), (1, 3))
_ZERO = 0.75  # a coefficient that was zero, with rounded pixels


@trace(JPEG_BEFORE)
def find(image: TracedImage) -> Iterator[Trace]:
    """Lossless files; of the grid that most coefficients near zero point to, and of the file's own."""
    source = image.image.source
    is_deep = "reduced_to_8_bit" in image.facts.flags
    if not image.facts.lossless or is_deep or source.image.format not in _FORMATS:
        return
    luma = luma_window(source)
    if luma is None:
        return
    window = luma[: _SEARCHED[0], : _SEARCHED[1]]
    for row, column in dict.fromkeys([_likely_grid(window), (0, 0)]):
        found = find_earlier_steps(luma, [1] * len(FREQUENCIES), (row, column), _ROUNDED_PIXELS)
        if found and found.is_sure:
            detail = (
                f"pixels as of a JPEG {describe(found)}, in blocks that begin at column {column}, row {row}"
            )
            yield JPEG_BEFORE.found(detail, "pixels", 0)
            return


def _likely_grid(luma: Floats) -> tuple[int, int]:
    """Row and column, 0 to 7, of the grid of blocks with most coefficients near zero."""
    zeros = np.zeros((SIDE, SIDE))
    for row, column in _SEARCH_FREQUENCIES:
        near = np.abs(_everywhere(luma, row, column)) < _ZERO
        rows, columns = near.shape[0] // SIDE, near.shape[1] // SIDE
        cells = near[: rows * SIDE, : columns * SIDE].reshape(rows, SIDE, columns, SIDE)
        zeros += cells.mean((0, 2))
    best = int(zeros.argmax())
    return best // SIDE, best % SIDE


def _everywhere(luma: Floats, row: int, column: int) -> Floats:
    """A DCT coefficient of the blocks that begin at each pixel."""
    table = cosines().astype(np.float32)
    height, width = luma.shape[0] - SIDE + 1, luma.shape[1] - SIDE + 1
    across = np.zeros((len(luma), width), np.float32)
    for shift in range(SIDE):
        across += table[column, shift] * luma[:, shift : shift + width]
    down = np.zeros((height, width), np.float32)
    for shift in range(SIDE):
        down += table[row, shift] * across[shift : shift + height]
    return down
