"""The bundled encoder: fixed filters at several depths, learned projections, zero-border aware.

A network learned from scratch needs far more pictures than we have, so the filters here are fixed: an
overlapping 8x8 DCT of luma and chroma, and differences of neighbouring pixels, at ``LEVELS`` resolutions.
How the coefficients are *distributed* over the crop tells synthesis from photography well: energies per
frequency (Frank et al., ICML 2020), their shape (Giudice et al., 2021), how contrast and colour vary
together, and periodic traces of upsampling (Gallagher, 2005). So do the patterns that coarsely quantised
differences form: of three neighbours in luma (Pevny et al., SPAM, 2010), and of red, green and blue at one
place. Each (resolution, kind of statistic) is one depth, read by learned linear maps to the common width
that RINE's head expects.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Set

import torch
from torch import Tensor, nn
from torch.nn import functional

from sidscan.models.backbones import Reading

BLOCK = 8  # px, side of a DCT block
LEVELS = 3  # full, half and quarter resolution
STRIDES = (7, 5, 3)  # px between DCT blocks at each level; prime to 8, so that all JPEG grid phases mix
BANDS = 8  # groups of AC coefficients by radial frequency
PERIODS = 64  # rhythms looked for: frequencies 1/64 .. 32/64 cycles per pixel
KINDS = ("luma", "chroma", "contrast", "rhythm", "texture", "colour")
LIMITS = (0.5, 2.0)  # grey levels; how close coefficients come to zero: mean of min(size, limit)
FLOOR = 1e-2  # grey levels (or their square), added before logarithms so that flat areas stay finite
ROOT_FLOOR = 1e-2  # grey levels; below it a square root would blow up the rounding of sums
BAND_FLOOR = 0.3  # the same for a band's energy, about that of rounding to whole grey levels
EDGE = 32.0  # grey levels; second differences beyond it are contours, not traces
LINES = (5, 3, 1)  # every how many-th line of pixels is read for patterns; prime to 8 as well
STEPS = 5  # quantised differences: -2 .. 2
NEAR = 7  # px, side of the square over which local contrast is the mean size of a difference
NEAR_FLOOR = 0.3  # grey levels, added to it
CLIP = 5.0  # standard deviations; beyond them a statistic says no more

AC = BLOCK * BLOCK - 1
MOMENTS = 3 + len(LIMITS)
SERIES = 3 * (BANDS + 1)  # per colour plane: log energies of the bands and the block's mean
PATTERNS = STEPS**3
TEXTURES = 39  # patterns that stay different when reversed and negated
COLOURS = 63  # patterns that stay different when negated
KIND_WIDTHS = {
    "luma": MOMENTS * AC,
    "chroma": 2 * MOMENTS * AC,
    "contrast": 2 * SERIES + SERIES * (SERIES - 1) // 2,
    "rhythm": PERIODS,
    "texture": 5 * TEXTURES,
    "colour": COLOURS,
}

YCBCR = (  # JFIF's without the chroma offset, in 1/256: exact in float32, and grey has no chroma at all
    (77 / 256, 150 / 256, 29 / 256),
    (-43 / 256, -85 / 256, 128 / 256),
    (128 / 256, -107 / 256, -21 / 256),
)


def dct_filters() -> Tensor:
    """The 2-D orthonormal DCT-II basis as filters, (64, 1, 8, 8); the first is the block's mean times 8."""
    place = torch.arange(BLOCK, dtype=torch.float64)
    basis = torch.cos(math.pi * (2 * place[None] + 1) * place[:, None] / (2 * BLOCK)) * math.sqrt(2 / BLOCK)
    basis[0] /= math.sqrt(2)
    return torch.einsum("iy,jx->ijyx", basis, basis).reshape(-1, 1, BLOCK, BLOCK).float()


def band_sums() -> Tensor:
    """(BANDS, 63): ones where an AC coefficient belongs to the band of its radial frequency."""
    row, column = torch.meshgrid(torch.arange(BLOCK), torch.arange(BLOCK), indexing="ij")
    radius = torch.sqrt((row**2 + column**2).float()).flatten()[1:]
    band = ((radius - 1) / (radius.max() - 1 + 1e-6) * BANDS).long().clamp(0, BANDS - 1)
    return functional.one_hot(band, BANDS).T.float()


def content_span(lit: Tensor) -> Tensor:
    """(b, length) 0/1 -> 0/1 with every zero between the first and the last one filled in."""
    before = lit.cumsum(dim=1)
    after = lit.sum(dim=1, keepdim=True) - before + lit
    return ((before > 0) & (after > 0)).to(lit.dtype)


def halved(planes: Tensor) -> Tensor:
    """Means of 2x2 pixels, (b, c, h, w) -> (b, c, h // 2, w // 2); several times faster than avg_pool2d."""
    height, width = planes.shape[2] // 2 * 2, planes.shape[3] // 2 * 2
    rows = planes[:, :, 0:height:2] + planes[:, :, 1:height:2]
    return (rows[..., 0:width:2] + rows[..., 1:width:2]) / 4


def windows_inside(span: Tensor, size: int, stride: int) -> Tensor:
    """(b, length) 0/1 -> (b, windows): 1 where a whole window of ``size`` lies inside the span."""
    return -functional.max_pool1d(-span[:, None], size, stride)[:, 0]


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
    Values are sums of few pixels in fractions of two (`YCBCR`): exact in float32, in whatever order they are
    added. Compared instead of divided, they leave little to rounding.
    """
    reach = values.abs()
    return values.sign() * ((reach > 0.5 * size).to(values.dtype) + (reach >= 1.5 * size).to(values.dtype))


def patterns(first: Tensor, second: Tensor, third: Tensor, inside: Tensor) -> Tensor:
    """Share of each pattern of three steps (b, h, w) where ``inside`` (b, h, w) is 1: (b, PATTERNS)."""
    code = (first * STEPS + second) * STEPS + (third + PATTERNS // 2)
    counts = code.new_zeros(code.shape[0], PATTERNS)
    counts = counts.scatter_add(1, code.flatten(1).long(), inside.flatten(1))
    return counts / counts.sum(dim=1, keepdim=True).clamp_min(1.0)


def near_contrast(values: Tensor) -> Tensor:
    """Mean size of values (b, h, w) in the square around every pixel, zero beyond the border."""
    total = functional.pad(values.abs(), (NEAR // 2,) * 4)
    for dim in (1, 2):
        length = total.shape[dim] - NEAR + 1
        total = sum(
            (total.narrow(dim, start, length) for start in range(1, NEAR)), total.narrow(dim, 0, length)
        )
    return total * (1 / NEAR**2) + NEAR_FLOOR


class MiniEncoder(nn.Module):
    """Crops (b, 3, h, w) uint8 RGB -> features (b, blocks, width) float32.

    Rows and columns at the border that are exactly zero (the padding of small pictures) are left out of all
    statistics. A crop's features do not depend on its neighbours in the batch. Sides of 32 px and more.

    Args:
        width: d, linear readings of every depth (one per school of synthesis, see sidscan.training.mini).
    """

    mirror_invariant = False
    filters: Tensor
    bands: Tensor
    ycbcr: Tensor
    pairs: Tensor
    textures: Tensor
    colours: Tensor

    def __init__(self, width: int = 16) -> None:
        super().__init__()
        self.width = width
        self.depths = [(level, kind) for level in range(LEVELS) for kind in KINDS]
        self.blocks = len(self.depths)
        self.widths = [KIND_WIDTHS[kind] for _, kind in self.depths]
        self.centre = nn.ParameterList(nn.Parameter(torch.zeros(n), requires_grad=False) for n in self.widths)
        self.spread = nn.ParameterList(nn.Parameter(torch.ones(n), requires_grad=False) for n in self.widths)
        self.project = nn.ModuleList(nn.Linear(n, width) for n in self.widths)
        self.register_buffer("filters", dct_filters(), persistent=False)
        self.register_buffer("bands", band_sums(), persistent=False)
        self.register_buffer("ycbcr", torch.tensor(YCBCR), persistent=False)
        self.register_buffer("pairs", torch.triu_indices(SERIES, SERIES, 1), persistent=False)
        self.register_buffer("textures", merged_patterns(reversible=True), persistent=False)
        self.register_buffer("colours", merged_patterns(reversible=False), persistent=False)

    def forward(self, crops: Tensor) -> Tensor:
        """Crops (b, 3, h, w) uint8 RGB -> (b, blocks, width)."""
        return self.embed(self.describe(crops))

    def read(self, crops: Tensor, readings: Set[Reading]) -> dict[Reading, Tensor]:
        """``blocks`` alone: every depth counts as one."""
        assert readings <= {"blocks"}, readings
        return {"blocks": self(crops)}

    def embed(self, statistics: list[Tensor]) -> Tensor:
        """Statistics of every depth, each (b, its width) -> (b, blocks, width)."""
        layers = zip(self.project, self.normalise(statistics), strict=True)
        return torch.stack([project(values) for project, values in layers], dim=1)

    def normalise(self, statistics: list[Tensor]) -> list[Tensor]:
        """Statistics in standard deviations from their training mean, clipped."""
        moments = zip(statistics, self.centre, self.spread, strict=True)
        return [((values - centre) / spread).clamp(-CLIP, CLIP) for values, centre, spread in moments]

    def describe(self, crops: Tensor) -> list[Tensor]:
        """The fixed part: crops -> statistics of every depth, in the order of ``depths``."""
        pixels = crops.to(self.filters.dtype)
        brightest = pixels.amax(dim=1)
        rows = content_span((brightest.amax(dim=2) > 0).to(pixels.dtype))
        columns = content_span((brightest.amax(dim=1) > 0).to(pixels.dtype))
        statistics = []
        for level in range(LEVELS):
            if level:
                pixels = halved(pixels)
                rows, columns = windows_inside(rows, 2, 2), windows_inside(columns, 2, 2)
            statistics += self._level(pixels, rows, columns, level)
        return statistics

    def _level(self, pixels: Tensor, rows: Tensor, columns: Tensor, level: int) -> list[Tensor]:
        """Statistics of one resolution, in the order of ``KINDS``; rows, columns: 1 where content is."""
        stride, lines = STRIDES[level], LINES[level]
        planes = torch.einsum("oc,bchw->bohw", self.ycbcr, pixels)
        b, c, h, w = planes.shape
        flat = planes.reshape(b * c, 1, h, w)
        blocks = functional.conv2d(flat, self.filters, stride=stride).reshape(b, c, BLOCK * BLOCK, -1)
        inside_rows = windows_inside(rows, BLOCK, stride)
        inside_columns = windows_inside(columns, BLOCK, stride)
        inside = (inside_rows[:, :, None] * inside_columns[:, None]).reshape(b, 1, -1)
        count = inside.sum(dim=2).clamp_min(1.0)
        means, waves = blocks[:, :, 0], blocks[:, :, 1:] * inside[:, None]
        moments = self._moments(waves, count[:, None])
        return [
            moments[:, 0].flatten(1),
            moments[:, 1:].flatten(1),
            self._contrast(means, waves, inside, count),
            self._rhythm(planes[:, 0], rows, columns),
            self._texture(planes[:, 0], rows, columns, lines),
            self._colour(pixels, rows, columns, lines),
        ]

    @staticmethod
    def _moments(waves: Tensor, count: Tensor) -> Tensor:
        """Size and shape of every coefficient's distribution: (b, 3, MOMENTS, 63)."""
        size = waves.abs()
        rms = (torch.linalg.vector_norm(waves, dim=3) ** 2 / count + FLOOR).log() / 2
        mean = (size.sum(dim=3) / count + FLOOR).log()
        roots = size / size.clamp_min(ROOT_FLOOR).sqrt()
        root = 2 * (roots.sum(dim=3) / count + FLOOR).log()
        small = [size.clamp(max=limit).sum(dim=3) / (count * limit) for limit in LIMITS]
        return torch.stack([rms, mean - rms, root - mean, *small], dim=2)

    def _contrast(self, means: Tensor, waves: Tensor, inside: Tensor, count: Tensor) -> Tensor:
        """How band energies and brightness vary together over the crop: means, spreads, correlations."""
        b, _, _, positions = waves.shape
        energy = (torch.matmul(self.bands, waves * waves) + BAND_FLOOR).log()
        series = torch.cat([energy, means[:, :, None] / 256.0], dim=2).reshape(b, -1, positions) * inside
        mean = series.sum(dim=2) / count
        rest = (series - mean[:, :, None]) * inside
        covariance = torch.bmm(rest, rest.transpose(1, 2)) / count[:, :, None]
        spread = (covariance.diagonal(dim1=1, dim2=2) + 1e-3).sqrt()
        correlation = covariance / (spread[:, :, None] * spread[:, None])
        return torch.cat([mean, spread.log(), correlation[:, self.pairs[0], self.pairs[1]]], dim=1)

    @staticmethod
    def _rhythm(luma: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
        """Strength of periodic traces along each axis: (b, 2 * 32)."""
        halves = []
        for plane, along, across in ((luma, columns, rows), (luma.transpose(1, 2), rows, columns)):
            bend = (plane[:, :, :-2] - 2 * plane[:, :, 1:-1] + plane[:, :, 2:]).abs().clamp(max=EDGE)
            profile = torch.bmm(across[:, None], bend)[:, 0] / across.sum(dim=1, keepdim=True).clamp_min(1.0)
            inside = windows_inside(along, 3, 1)
            count = inside.sum(dim=1, keepdim=True).clamp_min(1.0)
            profile = (profile + 0.1).log()
            profile = (profile - (profile * inside).sum(dim=1, keepdim=True) / count) * inside
            turns = torch.arange(1, PERIODS // 2 + 1, dtype=luma.dtype, device=luma.device)[None] / PERIODS
            angle = (
                2
                * math.pi
                * turns
                * torch.arange(profile.shape[1], dtype=luma.dtype, device=luma.device)[:, None]
            )
            strength = (profile @ angle.cos()) ** 2 + (profile @ angle.sin()) ** 2
            halves.append((strength / count + 1e-4).log())
        return torch.cat(halves, dim=1)

    def _texture(self, luma: Tensor, rows: Tensor, columns: Tensor, lines: int) -> Tensor:
        """How differences of neighbours follow one another, in units of the contrast near them: (b, 5 * 39).

        First and second differences, each along and across their own direction, and differences of both
        directions at once; the horizontal and the vertical ones count together.
        """
        inside = {size: (windows_inside(rows, size, 1), windows_inside(columns, size, 1)) for size in (2, 3)}
        found = []
        for order in (1, 2):
            rows_inside, columns_inside = inside[order + 1]
            upright = self._runs(differences(luma, 1, order), rows_inside, columns, lines)
            level = self._runs(differences(luma, 2, order), rows, columns_inside, lines)
            found += [upright[0] + level[1], upright[1] + level[0]]
        both = differences(differences(luma, 1, 2), 2, 2) / 4
        down, right = self._runs(both, *inside[3], lines)
        found.append(down + right)
        return torch.cat([(counts / 2) @ self.textures for counts in found], dim=1).sqrt()

    @staticmethod
    def _runs(values: Tensor, rows: Tensor, columns: Tensor, lines: int) -> tuple[Tensor, Tensor]:
        """Patterns of three neighbours down and to the right, each (b, PATTERNS)."""
        inside = rows[:, :, None] * columns[:, None]
        values = values * inside
        taken = steps(values, near_contrast(values))
        both = []
        for dim in (1, 2):
            some, where = (
                plane[:, :, ::lines] if dim == 1 else plane[:, ::lines] for plane in (taken, inside)
            )
            length = some.shape[dim] - 2
            first, second, third = (some.narrow(dim, start, length) for start in range(3))
            both.append(
                patterns(first, second, third, where.narrow(dim, 0, length) * where.narrow(dim, 2, length))
            )
        return both[0], both[1]

    def _colour(self, pixels: Tensor, rows: Tensor, columns: Tensor, lines: int) -> Tensor:
        """How differences of red, green and blue go together, in grey levels: (b, 63)."""
        both = differences(differences(pixels, 3, 2)[:, :, :, ::lines], 2, 2) / 4
        inside = windows_inside(rows, 3, 1)[:, :, None] * windows_inside(columns, 3, 1)[:, None, ::lines]
        red, green, blue = steps(both, 1.0).unbind(dim=1)
        return (patterns(red, green, blue, inside) @ self.colours).sqrt()
