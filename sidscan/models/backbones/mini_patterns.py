"""Patterns of quantised differences: how neighbouring pixels follow one another, counted.

Three differences make a pattern: of neighbours in luma (Pevny et al., SPAM, 2010), or of red, green and blue
at one pixel. Each difference is rounded to one of five values. The share of a pattern among all patterns is a
statistic. The bundled encoder (`sidscan.models.backbones.mini`) spends two fifths of its time here, so the
code uses few operations and does many of them in place.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

QUANTISED_VALUES = 5  # of a difference: -2 .. 2
DIFFERENCE_ORDERS = (((1, 0), (0, 1)), ((2, 0), (0, 2)), ((2, 2),))  # down and to the right
CONTRAST_SIDE = 7  # px, side of the square over which local contrast is the mean size of a difference
CONTRAST_FLOOR = 0.3  # grey levels, added to local contrast

NUM_PATTERNS = QUANTISED_VALUES**3
NUM_TEXTURE_CLASSES = 39  # patterns that stay different when reversed and negated
NUM_COLOUR_CLASSES = 63  # patterns that stay different when negated


def first_index(length: int, stride: int) -> int:
    """The index to start at, so that every ``stride``-th index is the same set in the mirror image."""
    rest = (length - 1) % stride
    return rest // 2 if rest % 2 == 0 else (rest + stride) // 2


def windows_inside(span: Tensor, size: int, stride: int) -> Tensor:
    """Which windows of ``size`` positions lie in the content.

    Args:
        span: (..., length) 0/1, all ones side by side.

    Returns:
        (..., windows): 1 where all ``size`` positions are ones.
    """
    length = span.shape[-1] - size + 1
    return span[..., :length:stride] * span[..., size - 1 :: stride]


def pattern_classes(reversible: bool) -> Tensor:
    """(NUM_PATTERNS, classes): one-hot class of each pattern of three quantised differences.

    A pattern means the same when negated (a dark line for a bright one). If ``reversible``, it also means the
    same when read backwards.
    """
    classes: dict[tuple[int, ...], int] = {}
    members = []
    largest = QUANTISED_VALUES // 2
    for pattern in itertools.product(range(-largest, largest + 1), repeat=3):
        directions = (pattern, pattern[::-1]) if reversible else (pattern,)
        key = min(min(values, tuple(-value for value in values)) for values in directions)
        members.append(classes.setdefault(key, len(classes)))
    return functional.one_hot(torch.tensor(members), len(classes)).float()


def differences(planes: Tensor, dim: int, order: int = 1) -> Tensor:
    """First or second differences of neighbours along a dimension, which gets shorter by ``order``."""
    for _ in range(order):
        length = planes.shape[dim] - 1
        planes = planes.narrow(dim, 1, length) - planes.narrow(dim, 0, length)
    return planes


def quantise(values: Tensor) -> Tensor:
    """Values rounded, halves to even, and limited to -2 .. 2; new values, so callers divide in place.

    Counts of patterns jump where a value crosses a boundary, so every runtime must see it on the same side.
    Values are quotients of sums of few pixels in binary fractions (`mini.RGB_TO_YCBCR`): float32 holds the
    sums exactly in any order of addition, and division is correctly rounded everywhere.
    """
    return values.round().clamp_(-(QUANTISED_VALUES // 2), QUANTISED_VALUES // 2)


def strided(planes: Tensor, dim: int, first: int, stride: int) -> Tensor:
    """Every ``stride``-th slice along a dimension, from ``first`` on."""
    index = [slice(None)] * planes.dim()
    index[dim] = slice(first, None, stride)
    return planes[tuple(index)]


def pattern_shares(first: Tensor, second: Tensor, third: Tensor, inside: Tensor) -> Tensor:
    """Share of each pattern of three quantised values where ``inside`` is 1.

    Args:
        first, second, third: (b, h, w), the values of every pattern.
        inside: (b, h, w) 0/1.

    Returns:
        (b, NUM_PATTERNS).
    """
    code = torch.add(
        third + NUM_PATTERNS // 2,
        torch.add(second, first, alpha=QUANTISED_VALUES),
        alpha=QUANTISED_VALUES,
    )
    counts = code.new_zeros(code.shape[0], NUM_PATTERNS)
    counts = counts.scatter_add(1, code.flatten(1).long(), inside.flatten(1))
    return counts / counts.sum(dim=1, keepdim=True).clamp_min(1.0)


def box_sums(values: Tensor, dim: int) -> Tensor:
    """Sums over CONTRAST_SIDE neighbours along a dimension, which gets shorter by CONTRAST_SIDE - 1."""
    length = values.shape[dim]
    pairs = values.narrow(dim, 0, length - 1) + values.narrow(dim, 1, length - 1)
    fours = pairs.narrow(dim, 0, length - 3) + pairs.narrow(dim, 2, length - 3)
    sixes = fours.narrow(dim, 0, length - 6) + pairs.narrow(dim, 4, length - 6)
    return sixes + values.narrow(dim, 6, length - 6)


class Frames(NamedTuple):
    """Differences of several orders, padded so that `cooccurrence` reads all of them in one go.

    `cooccurrence` reads every ``line_stride``-th row. The first of these (`first_index`) depends on the
    number of rows, and so on the order of a difference. The padding puts it at one index, `rows_before`, in
    all frames.

    Attributes:
        values: (b, orders, H, W), zero outside the content.
        rows: (b, orders, H), 1 inside the content.
        columns: (b, orders, W), 1 inside the content.
        line_stride: `cooccurrence` reads every ``line_stride``-th row, or column.
    """

    values: Tensor
    rows: Tensor
    columns: Tensor
    line_stride: int

    def transposed(self) -> Frames:
        """Rows for columns."""
        return Frames(self.values.transpose(2, 3).contiguous(), self.columns, self.rows, self.line_stride)


def rows_before(line_stride: int) -> int:
    """Rows of a frame before the first one that is read: room to shift the frame, and its neighbours."""
    return line_stride - 1 + CONTRAST_SIDE // 2


def pad_frames(
    luma: Tensor, rows: Tensor, columns: Tensor, orders: Sequence[tuple[int, int]], line_stride: int
) -> Frames:
    """Differences of luma (b, h, w), where rows (b, h) and columns (b, w) are content.

    Args:
        orders: of the differences, down and to the right.
        line_stride: `cooccurrence` will read every ``line_stride``-th row or column.
    """
    before = rows_before(line_stride)
    size = [side + before + CONTRAST_SIDE // 2 for side in luma.shape[1:]]
    padding = (before, before + 2)
    padded_luma = functional.pad(luma, padding * 2)
    spans = functional.pad(rows, padding), functional.pad(columns, padding)
    frames: list[Tensor] = []
    inside: tuple[list[Tensor], list[Tensor]] = [], []
    for axis_orders in orders:
        frame = padded_luma
        for axis, order in enumerate(axis_orders):
            first = first_index(luma.shape[1 + axis] - order, line_stride)
            length = size[axis] + order
            frame = differences(frame.narrow(1 + axis, first, length), 1 + axis, order)
            inside[axis].append(windows_inside(spans[axis].narrow(1, first, length), order + 1, 1))
        frames.append(frame / 4 if min(axis_orders) else frame)
    rows, columns = (torch.stack(spans_of_axis, dim=1) for spans_of_axis in inside)
    values = torch.stack(frames, dim=1).mul_(rows[..., None]).mul_(columns[:, :, None])
    return Frames(values, rows, columns, line_stride)


def cooccurrence(frames: Frames) -> Tensor:
    """Shares of patterns of three neighbours in the rows that are read: (b, orders, NUM_PATTERNS).

    A value's unit is the mean size of the values in the square around it, zero beyond the border.
    """
    values, rows, columns, line_stride = frames
    first, reach = rows_before(line_stride), CONTRAST_SIDE // 2
    read_rows = slice(first, -reach, line_stride)
    sizes, last = values.abs(), values.shape[2] - CONTRAST_SIDE + 1
    near_rows = sizes[:, :, first - reach : last : line_stride].clone()
    for offset in range(1, CONTRAST_SIDE):  # not unfold: not every runtime has views, and copies would cost
        near_rows += sizes[:, :, first - reach + offset : last + offset : line_stride]
    contrast = box_sums(near_rows, 3).mul_(1 / CONTRAST_SIDE**2).add_(CONTRAST_FLOOR)
    quantised = quantise(values[:, :, read_rows][..., reach:-reach] / contrast)
    length = quantised.shape[3] - 2
    inside_columns = windows_inside(columns[..., reach:-reach], 3, 1)
    inside = rows[:, :, read_rows][..., None] * inside_columns[:, :, None]
    neighbours = [quantised.narrow(3, start, length).flatten(0, 1) for start in range(3)]
    shares = pattern_shares(neighbours[0], neighbours[1], neighbours[2], inside.flatten(0, 1))
    return shares.reshape(*values.shape[:2], NUM_PATTERNS)
