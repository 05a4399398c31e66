"""The bundled encoder: fixed filters at several depths, learned projections, zero-border aware.

A network learned from scratch needs far more pictures than we have, so the filters here are fixed: an
overlapping 8x8 DCT of luma and chroma, and differences of neighbouring pixels, at ``LEVELS`` resolutions.
How the coefficients are *distributed* over the crop tells synthesis from photography well: energies per
frequency (Frank et al., ICML 2020), their shape (Giudice et al., 2021), and periodic traces of upsampling
(Gallagher, 2005). So do the patterns that coarsely quantised differences form: of three neighbours in luma
(Pevny et al., SPAM, 2010), and of red, green and blue at one place. One depth more holds looks, where
compression and resizing leave them alone: tones, saturation and slopes at a quarter of the resolution, and
what fixed random filters answer at an eighth. Each (resolution, kind of statistic) is one depth, read by
learned linear maps to the common width that RINE's head expects.

Blocks and lines lie symmetrically, so that a crop and its mirror image have the same statistics. Statistics
of fewer pixels scatter more, so features of a picture smaller than the crop are made smaller; black borders
count as padding.
"""

from __future__ import annotations

import math
from collections.abc import Sequence, Set

import torch
from torch import Tensor, nn
from torch.nn import functional

from sidscan.models.backbones import Feature
from sidscan.models.backbones.base import Encoder
from sidscan.models.backbones.mini_patterns import (
    COLOURS,
    NEAR,
    TEXTURES,
    WAYS,
    differences,
    first_of,
    framed,
    merged_patterns,
    near_sums,
    pattern_shares,
    runs,
    steps,
    taken,
    windows_inside,
)

BLOCK = 8  # px, side of a DCT block
LEVELS = 3  # full, half and quarter resolution
STRIDES = (7, 5, 3)  # px between DCT blocks at each level; prime to 8, so that all JPEG grid phases mix
PERIODS = 64  # rhythms looked for: frequencies 1/64 .. 32/64 cycles per pixel
KINDS = ("luma", "chroma", "rhythm", "texture", "colour")
LOOKS = "looks"  # the depth below the lowest level
LIMITS = (0.5, 2.0)  # grey levels, rising; how close coefficients come to zero: mean of min(size, limit)
FLOOR = 1e-2  # grey levels (or their square), added before logarithms so that flat areas stay finite
ROOT_FLOOR = 0.25  # grey levels; added below square roots, which would blow up the rounding of sums near zero
EDGE = 32.0  # grey levels; second differences beyond it are contours, not traces
LINES = (5, 3, 1)  # every how many-th line of pixels is read for patterns; prime to 8 as well
LIGHTS = tuple(255 / 12 * step for step in range(13))  # grey levels of luma that pixels are compared with
TINTS = tuple(160 / 12 * step - 80 for step in range(13))  # the same of both chroma planes
SATURATIONS = (1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 100.0)  # the same of their length
SLOPES = (0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0)  # the same of differences between neighbours
STROKES = 20  # random filters, and their mirror images
STROKE = 5  # px, their side
STROKE_FLOOR = 0.25  # grey levels, added to the mean size of all answers near a pixel
STROKE_LIMIT = 32.0  # grey levels; stronger answers count as this
BEYOND = (0.25, 1.0, 2.5)  # mean sizes that an answer is compared with
CLIP = 5.0  # standard deviations; beyond them a statistic says no more
CERTAINTY_POWER = 0.25  # of the share of a crop that is picture, by which features are multiplied

AC = BLOCK * BLOCK - 1
MOMENTS = 3 + len(LIMITS)
TONES = len(LIGHTS) + 2 * len(TINTS) + len(SATURATIONS) + 3 * len(SLOPES)
KIND_WIDTHS = {
    "luma": MOMENTS * AC,
    "chroma": 2 * MOMENTS * AC,
    "rhythm": PERIODS,
    "texture": 5 * TEXTURES,
    "colour": COLOURS,
    LOOKS: TONES + STROKES * (1 + 2 * len(BEYOND)),
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


def stroke_filters() -> Tensor:
    """Random filters that answer to detail at all scales of natural pictures alike, (2 * STROKES, 3, 5, 5).

    White noise without its mean, weighed by frequency (pictures weigh by its inverse) and by colour plane,
    mostly one plane a filter; of unit norm. The second half are the mirror images of the first.
    """
    generator = torch.Generator().manual_seed(0)
    noise = torch.randn(STROKES, 3, STROKE, STROKE, generator=generator)
    line = torch.fft.fftfreq(STROKE)
    radius = (line[:, None] ** 2 + line**2).sqrt()
    noise = torch.fft.ifft2(torch.fft.fft2(noise) * radius).real
    planes = torch.softmax(2 * torch.randn(STROKES, 3, generator=generator), dim=1)
    planes = planes * torch.tensor([1.0, 2.0, 2.0])  # chroma is fainter
    noise = noise * planes[:, :, None, None]
    filters: Tensor = noise / torch.linalg.vector_norm(noise, dim=(1, 2, 3), keepdim=True)
    return torch.cat([filters, filters.flip(3)])


def content_span(lit: Tensor) -> Tensor:
    """(b, length) 0/1 -> 0/1 with every zero between the first and the last one filled in."""
    before = lit.cumsum(dim=1)
    after = lit.sum(dim=1, keepdim=True) - before + lit
    return ((before > 0) & (after > 0)).to(lit.dtype)


def content(pixels: Tensor) -> tuple[Tensor, Tensor]:
    """Pixels (b, 3, h, w) -> rows (b, h), columns (b, w): 1 where the picture is, 0 where its padding is."""
    brightest = pixels.amax(dim=1)
    rows, columns = ((brightest.amax(dim=dim) > 0).to(pixels.dtype) for dim in (2, 1))
    return content_span(rows), content_span(columns)


def halved(planes: Tensor) -> Tensor:
    """Means of 2x2 pixels, (b, c, h, w) -> (b, c, h // 2, w // 2); several times faster than avg_pool2d."""
    height, width = planes.shape[2] // 2 * 2, planes.shape[3] // 2 * 2
    rows = planes[:, :, 0:height:2] + planes[:, :, 1:height:2]
    return (rows[..., 0:width:2] + rows[..., 1:width:2]) / 4


def mean_inside(values: Tensor, inside: Tensor) -> Tensor:
    """Means of (b, c, h, w) where ``inside`` (b, 1, h, w) is 1: (b, c)."""
    return (values * inside).sum(dim=(2, 3)) / inside.sum(dim=(2, 3)).clamp_min(1.0)


def shares_above(plane: Tensor, inside: Tensor, limits: Sequence[float], softness: Sequence[float]) -> Tensor:
    """Shares of a plane (b, 1, h, w) above each limit, values nearer to it than its softness in part.

    Returns:
        (b, limits).
    """
    bounds, widths = (plane.new_tensor(values)[:, None, None] for values in (limits, softness))
    return mean_inside((plane - bounds).div_(2 * widths).add_(0.5).clamp_(0, 1), inside)


class MiniEncoder(Encoder):
    """Crops (b, 3, h, w) uint8 RGB -> features (b, blocks, width) float32.

    Rows and columns at the border that are exactly zero (the padding of small pictures) are left out of all
    statistics. A crop's features do not depend on its neighbours in the batch. Sides of 40 px and more.

    Args:
        width: d, linear readings of every depth (one per school of synthesis, see training/mini/train.py).
    """

    mirror_invariant = True
    filters: Tensor
    ycbcr: Tensor
    textures: Tensor
    colours: Tensor
    strokes: Tensor
    certainty_power: Tensor

    def __init__(self, width: int = 16) -> None:
        super().__init__()
        self.width = width
        self.depths = [(level, kind) for level in range(LEVELS) for kind in KINDS]
        self.depths.append((LEVELS, LOOKS))
        self.blocks = len(self.depths)
        self.widths = [KIND_WIDTHS[kind] for _, kind in self.depths]
        self.centre = nn.ParameterList(nn.Parameter(torch.zeros(n), requires_grad=False) for n in self.widths)
        self.spread = nn.ParameterList(nn.Parameter(torch.ones(n), requires_grad=False) for n in self.widths)
        self.project = nn.ModuleList(nn.Linear(n, width) for n in self.widths)
        self.register_buffer("filters", dct_filters()[1:], persistent=False)
        self.register_buffer("strokes", stroke_filters())  # kept in the file: random numbers may change
        # in the file too, so that one that was fitted without it can't be read as if it were with it
        self.register_buffer("certainty_power", torch.tensor(CERTAINTY_POWER))
        self.register_buffer("ycbcr", torch.tensor(YCBCR), persistent=False)
        self.register_buffer("textures", merged_patterns(reversible=True), persistent=False)
        self.register_buffer("colours", merged_patterns(reversible=False), persistent=False)

    def forward(self, crops: Tensor) -> Tensor:
        """Crops (b, 3, h, w) uint8 RGB -> (b, blocks, width)."""
        statistics, certainty = self.describe(crops)
        return self.embed(statistics) * certainty[:, None, None]

    def read(self, crops: Tensor, readings: Set[Feature]) -> dict[Feature, Tensor]:
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

    def describe(self, crops: Tensor) -> tuple[list[Tensor], Tensor]:
        """The fixed part of a crop.

        Returns:
            statistics of every depth in the order of ``depths``, each (b, its width); and certainty (b,), a
            power of the share of the crop that is picture, neither padding nor a black border.
        """
        # Plane by plane, as everything below reads them; and as numbers: not every runtime compares bytes.
        pixels = crops.contiguous().to(self.filters.dtype)
        rows, columns = content(pixels)
        certainty = (rows.mean(dim=1) * columns.mean(dim=1)) ** self.certainty_power
        statistics = []
        for level in range(LEVELS):
            if level:
                pixels = halved(pixels)
                rows, columns = windows_inside(rows, 2, 2), windows_inside(columns, 2, 2)
            statistics += self._level(pixels, rows, columns, level)
        statistics.append(self._looks(pixels, rows, columns))
        return statistics, certainty

    def _ycbcr(self, pixels: Tensor) -> Tensor:
        """RGB (b, 3, h, w) -> luma and chroma of the same shape."""
        return (self.ycbcr @ pixels.flatten(2)).reshape(pixels.shape)

    def _level(self, pixels: Tensor, rows: Tensor, columns: Tensor, level: int) -> list[Tensor]:
        """Statistics of one resolution, in the order of ``KINDS``; rows, columns: 1 where content is."""
        stride, lines = STRIDES[level], LINES[level]
        planes = self._ycbcr(pixels)
        b, c, h, w = planes.shape
        top, left = (first_of(side - BLOCK + 1, stride) for side in (h, w))
        flat = planes.reshape(b * c, 1, h, w)[:, :, top:, left:]
        waves = functional.conv2d(flat, self.filters, stride=stride).reshape(b, c, AC, -1)
        inside_rows = windows_inside(rows[:, top:], BLOCK, stride)
        inside_columns = windows_inside(columns[:, left:], BLOCK, stride)
        inside = (inside_rows[:, :, None] * inside_columns[:, None]).reshape(b, 1, -1)
        count = inside.sum(dim=2).clamp_min(1.0)
        moments = self._moments(waves.mul_(inside[:, None]), count[:, None])
        return [
            moments[:, 0].flatten(1),
            moments[:, 1:].flatten(1),
            self._rhythm(planes[:, 0], rows, columns),
            self._texture(planes[:, 0], rows, columns, lines),
            self._colour(pixels, rows, columns, lines),
        ]

    @staticmethod
    def _moments(waves: Tensor, count: Tensor) -> Tensor:
        """Size and shape of every coefficient's distribution: (b, 3, MOMENTS, 63)."""
        size = waves.abs()
        rms = ((waves * waves).sum(dim=3) / count + FLOOR).log() / 2
        mean = (size.sum(dim=3) / count + FLOOR).log()
        roots = (size + ROOT_FLOOR).sqrt_().sum(dim=3) - size.shape[3] * math.sqrt(ROOT_FLOOR)  # 0 outside
        root = 2 * (roots.clamp_min(0) / count + FLOOR).log()
        # in place, from the greatest down: they cost what memory has to carry
        small = [size.clamp_(max=limit).sum(dim=3) / (count * limit) for limit in reversed(LIMITS)]
        return torch.stack([rms, mean - rms, root - mean, *reversed(small)], dim=2)

    @staticmethod
    def _rhythm(luma: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
        """Strength of periodic traces along each axis: (b, 2 * 32)."""
        turns = torch.arange(1, PERIODS // 2 + 1, dtype=luma.dtype, device=luma.device)[None] / PERIODS
        places = torch.arange(max(luma.shape[1:]), dtype=luma.dtype, device=luma.device)[:, None]
        angle = 2 * math.pi * turns * places
        waves = torch.stack([angle.cos(), angle.sin()], dim=1).flatten(1)
        halves = []
        for axis, along, across in ((2, columns, rows), (1, rows, columns)):
            bend = differences(luma, axis, 2).abs_().clamp_(max=EDGE)
            sums = across[:, None] @ bend if axis == 2 else bend @ across[:, :, None]
            profile = sums.flatten(1) / across.sum(dim=1, keepdim=True).clamp_min(1.0)
            inside = windows_inside(along, 3, 1)
            count = inside.sum(dim=1, keepdim=True).clamp_min(1.0)
            profile = (profile + 0.1).log()
            profile = (profile - (profile * inside).sum(dim=1, keepdim=True) / count) * inside
            parts = (profile @ waves[: profile.shape[1]]).reshape(-1, 2, PERIODS // 2)
            halves.append(((parts * parts).sum(dim=1) / count + 1e-4).log())
        return torch.cat(halves, dim=1)

    def _texture(self, luma: Tensor, rows: Tensor, columns: Tensor, lines: int) -> Tensor:
        """How differences of neighbours follow one another, in units of the contrast near them: (b, 5 * 39).

        First and second differences, each along and across their own direction, and differences of both
        directions at once; the horizontal and the vertical ones count together.
        """
        found = []
        for ways in WAYS:
            frames = framed(luma, rows, columns, ways, lines)
            right, down = runs(frames), runs(frames.turned())
            found.append((right.flip(1) + down) / 2)  # a way to the right belongs to its like downwards
        return (torch.cat(found, dim=1) @ self.textures).flatten(1).sqrt()

    def _colour(self, pixels: Tensor, rows: Tensor, columns: Tensor, lines: int) -> Tensor:
        """How differences of red, green and blue go together, in grey levels: (b, 63)."""
        width = pixels.shape[3] - 2
        first = first_of(width, lines)
        one, two, three = (taken(pixels.narrow(3, start, width), 3, first, lines) for start in range(3))
        both = differences((three - two).sub_(two - one), 2, 2).div_(4)
        across = taken(windows_inside(columns, 3, 1), 1, first, lines)
        inside = windows_inside(rows, 3, 1)[:, :, None] * across[:, None]
        red, green, blue = steps(both, 1.0).unbind(dim=1)
        return (pattern_shares(red, green, blue, inside) @ self.colours).sqrt()

    def _looks(self, pixels: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
        """Tones of the lowest level and strokes of the next: (b, 211)."""
        planes = self._ycbcr(pixels)
        tones = self._tones(planes, rows, columns)
        rows, columns = windows_inside(rows, 2, 2), windows_inside(columns, 2, 2)
        return torch.cat([tones, self._strokes(halved(planes), rows, columns)], dim=1)

    @staticmethod
    def _tones(planes: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
        """Distributions of light, colour, saturation and gradients: (b, 71)."""
        inside = (rows[:, :, None] * columns[:, None])[:, None]
        found = []
        for plane, limits in zip(torch.split(planes, 1, dim=1), (LIGHTS, TINTS, TINTS), strict=True):
            apart = limits[1] - limits[0]
            found.append(shares_above(plane, inside, limits, [apart] * len(limits)))
        saturation = (planes[:, 1:2] * planes[:, 1:2] + planes[:, 2:] * planes[:, 2:]).sqrt()
        found.append(shares_above(saturation, inside, SATURATIONS, [0.3 * s + 2 for s in SATURATIONS]))
        down, right = differences(planes, 2).abs(), differences(planes, 3).abs()
        above = (windows_inside(rows, 2, 1)[:, :, None] * columns[:, None])[:, None]
        beside = (rows[:, :, None] * windows_inside(columns, 2, 1)[:, None])[:, None]
        slopes = planes.new_tensor(SLOPES)[:, None, None, None]
        steep_down, steep_right = (
            mean_inside(sizes[:, None].repeat(1, len(SLOPES), 1, 1, 1).gt_(slopes).flatten(1, 2), inside)
            for sizes, inside in ((down, above), (right, beside))
        )
        found.append((steep_down + steep_right) / 2)
        return torch.cat(found, dim=1)

    def _strokes(self, planes: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
        """Size and shape of the random filters' answers, the shape in units of all answers near: (b, 140)."""
        rows, columns = windows_inside(rows, STROKE, 1), windows_inside(columns, STROKE, 1)
        inside = (rows[:, :, None] * columns[:, None])[:, None]
        answers = functional.conv2d(planes, self.strokes) * inside
        size = answers.abs()
        near = functional.pad(size.mean(dim=1), (NEAR // 2,) * 4)
        relative = answers / (near_sums(near_sums(near, 1), 2) * (1 / NEAR**2) + STROKE_FLOOR)[:, None]
        found = [mean_inside(size.clamp(max=STROKE_LIMIT), inside)]
        for limit in BEYOND:
            found += [mean_inside((sign * relative - limit).relu(), inside) for sign in (1, -1)]
        both = [(some[:, :STROKES] + some[:, STROKES:]) / 2 for some in found]
        return torch.cat([(both[0] + 0.02).log(), *both[1:]], dim=1)
