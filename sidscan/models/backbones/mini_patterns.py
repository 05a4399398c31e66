"""Patterns of quantised differences: how neighbours follow one another, counted.

Differences of three neighbours in luma (Pevny et al., SPAM, 2010), or of the three colours at one place,
rounded to few steps, make a pattern; its share among all patterns is a statistic. The bundled encoder
(`sidscan.models.backbones.mini`) spends two fifths of its time here: hence few operations, many in place.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

STEPS = 5  # quantised differences: -2 .. 2
WAYS = (((1, 0), (0, 1)), ((2, 0), (0, 2)), ((2, 2),))  # orders of differences, down and to the right
NEAR = 7  # px, side of the square over which local contrast is the mean size of a difference
NEAR_FLOOR = 0.3  # grey levels, added to it

PATTERNS = STEPS**3
TEXTURES = 39  # patterns that stay different when reversed and negated
COLOURS = 63  # patterns that stay different when negated


def first_of(places: int, stride: int) -> int:
    """The first of every ``stride``-th of some places, such that the mirror image takes the same ones."""
    rest = (places - 1) % stride
    return rest // 2 if rest % 2 == 0 else (rest + stride) // 2


def windows_inside(span: Tensor, size: int, stride: int) -> Tensor:
    """(..., length) 0/1, all ones side by side -> (..., windows): 1 where ``size`` places are ones."""
    places = span.shape[-1] - size + 1
    return span[..., :places:stride] * span[..., size - 1 :: stride]


def merged_patterns(reversible: bool) -> Tensor:
    """(PATTERNS, classes): ones where a pattern of three steps belongs to a class of equivalent ones.

    A pattern means the same negated (a dark line for a bright one) and, if ``reversible``, read backwards.
    """
    classes: dict[tuple[int, ...], int] = {}
    members = []
    for pattern in itertools.product(range(-(STEPS // 2), STEPS // 2 + 1), repeat=3):
        turned = (pattern, pattern[::-1]) if reversible else (pattern,)
        name = min(min(way, tuple(-step for step in way)) for way in turned)
        members.append(classes.setdefault(name, len(classes)))
    return functional.one_hot(torch.tensor(members), len(classes)).float()


def differences(planes: Tensor, dim: int, order: int = 1) -> Tensor:
    """First or second differences of neighbours along a dimension, which gets shorter by ``order``."""
    for _ in range(order):
        length = planes.shape[dim] - 1
        planes = planes.narrow(dim, 1, length) - planes.narrow(dim, 0, length)
    return planes


def steps(values: Tensor, size: Tensor | float) -> Tensor:
    """Values in whole sizes, rounded: -2 .. 2.

    Counts of patterns jump where a value crosses a boundary, so every runtime must see it on the same side.
    Values are sums of few pixels in fractions of two (`mini.YCBCR`): exact in float32, in whatever order they
    are added. Compared instead of divided, they leave little to rounding. (Compared in place, they stay
    numbers: truth values would have to be converted, which takes torch three times as long.)
    """
    return values.abs().gt_(0.5 * size).add_(values.abs().ge_(1.5 * size)).mul_(values.sign())


def taken(planes: Tensor, dim: int, first: int, stride: int) -> Tensor:
    """Every ``stride``-th place along a dimension."""
    index = [slice(None)] * planes.dim()
    index[dim] = slice(first, None, stride)
    return planes[tuple(index)]


def pattern_shares(first: Tensor, second: Tensor, third: Tensor, inside: Tensor) -> Tensor:
    """Share of each pattern of three steps (b, h, w) where ``inside`` (b, h, w) is 1: (b, PATTERNS)."""
    code = torch.add(third + PATTERNS // 2, torch.add(second, first, alpha=STEPS), alpha=STEPS)
    counts = code.new_zeros(code.shape[0], PATTERNS)
    counts = counts.scatter_add(1, code.flatten(1).long(), inside.flatten(1))
    return counts / counts.sum(dim=1, keepdim=True).clamp_min(1.0)


def near_sums(sizes: Tensor, dim: int) -> Tensor:
    """Sums over NEAR neighbours along a dimension, which gets shorter by NEAR - 1."""
    length = sizes.shape[dim]
    pairs = sizes.narrow(dim, 0, length - 1) + sizes.narrow(dim, 1, length - 1)
    fours = pairs.narrow(dim, 0, length - 3) + pairs.narrow(dim, 2, length - 3)
    sixes = fours.narrow(dim, 0, length - 6) + pairs.narrow(dim, 4, length - 6)
    return sixes + sizes.narrow(dim, 6, length - 6)


class Frames(NamedTuple):
    """Differences of several orders, laid out so that `runs` reads all of them in one go.

    Of every ``lines``-th row the first (`first_of`) depends on their number, and so on the order of a
    difference. Here it has the same place, `before`, in all of them.

    Attributes:
        values: (b, ways, H, W), zero where they are not of content.
        rows: (b, ways, H), 1 where they are; columns: (b, ways, W).
        lines: every how many-th row, or column, will be read.
    """

    values: Tensor
    rows: Tensor
    columns: Tensor
    lines: int

    def turned(self) -> Frames:
        """Rows for columns."""
        return Frames(self.values.transpose(2, 3).contiguous(), self.columns, self.rows, self.lines)


def before(lines: int) -> int:
    """Rows of a frame before the first one that is read: what it may be moved by, and its neighbours."""
    return lines - 1 + NEAR // 2


def framed(
    luma: Tensor, rows: Tensor, columns: Tensor, ways: Sequence[tuple[int, int]], lines: int
) -> Frames:
    """Differences of luma (b, h, w), of content in rows (b, h) and columns (b, w).

    Args:
        ways: orders of differences, down and to the right.
        lines: every how many-th row or column `runs` will read.
    """
    size = [side + before(lines) + NEAR // 2 for side in luma.shape[1:]]
    margin = (before(lines), before(lines) + 2)
    padded = functional.pad(luma, margin * 2)
    spans = functional.pad(rows, margin), functional.pad(columns, margin)
    frames: list[Tensor] = []
    inside: tuple[list[Tensor], list[Tensor]] = [], []
    for orders in ways:
        frame = padded
        for axis, order in enumerate(orders):
            first, length = first_of(luma.shape[1 + axis] - order, lines), size[axis] + order
            frame = differences(frame.narrow(1 + axis, first, length), 1 + axis, order)
            inside[axis].append(windows_inside(spans[axis].narrow(1, first, length), order + 1, 1))
        frames.append(frame / 4 if min(orders) else frame)
    rows, columns = (torch.stack(some, dim=1) for some in inside)
    values = torch.stack(frames, dim=1).mul_(rows[..., None]).mul_(columns[:, :, None])
    return Frames(values, rows, columns, lines)


def runs(frames: Frames) -> Tensor:
    """Shares of patterns of three neighbours in the rows that are read: (b, ways, PATTERNS).

    A value's unit is the mean size of the values in the square around it, zero beyond the border.
    """
    values, rows, columns, lines = frames
    first, reach = before(lines), NEAR // 2

    def read(spans: Tensor) -> Tensor:
        return spans[:, :, first:-reach:lines]

    near = near_sums(values.abs()[:, :, first - reach :].unfold(2, NEAR, lines).sum(dim=4), 3)
    quantised = steps(read(values)[..., reach:-reach], near.mul_(1 / NEAR**2).add_(NEAR_FLOOR))
    length = quantised.shape[3] - 2
    one, two, three = (quantised.narrow(3, start, length) for start in range(3))
    whole = read(rows)[..., None] * windows_inside(columns[..., reach:-reach], 3, 1)[:, :, None]
    shares = pattern_shares(*(some.flatten(0, 1) for some in (one, two, three, whole)))
    return shares.reshape(*values.shape[:2], PATTERNS)
