"""The bundled encoder: fixed filters at several resolutions and learned linear projections.

A network learned from scratch needs far more images than we have, so the filters here are fixed. They are an
overlapping 8x8 DCT of luma and chroma, and differences of neighbouring pixels, at ``LEVELS`` resolutions.
What separates synthetic images from photographs is how the coefficients are *distributed* over the crop:

- energy per frequency (Frank et al., ICML 2020) and the shape of the distribution (Giudice et al., 2021);
- periodic traces of upsampling (Gallagher, 2005);
- patterns of coarsely quantised differences: of three neighbours in luma (Pevny et al., SPAM, 2010), and of
  red, green and blue at one pixel.

One more group of statistics holds what compression and resizing leave alone: tones, saturation and gradients
at a quarter of the resolution, and the responses of fixed random filters at an eighth.

Each (resolution, kind of statistic) is one feature group. A learned linear map takes each group to the common
width that RINE's head expects, as if it were one block of a transformer.

All filters and strides lie symmetrically, so a crop and its mirror image have the same statistics. Statistics
of fewer pixels scatter more, so features of an image smaller than the crop are made smaller. Black borders
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
    CONTRAST_SIDE,
    DIFFERENCE_ORDERS,
    NUM_COLOUR_CLASSES,
    NUM_TEXTURE_CLASSES,
    box_sums,
    cooccurrence,
    differences,
    first_index,
    pad_frames,
    pattern_classes,
    pattern_shares,
    quantise,
    strided,
    windows_inside,
)

DCT_SIDE = 8  # px, side of a DCT block
LEVELS = 3  # full, half and quarter resolution
DCT_STRIDES = (7, 5, 3)  # px between DCT blocks at each level; prime to 8, so that all JPEG grid phases mix
LINE_STRIDES = (5, 3, 1)  # patterns read every n-th line of pixels at each level; prime to 8 as well
PERIOD = 64  # px; periodicity is measured at 1/64 .. 32/64 cycles per pixel
STATISTIC_KINDS = ("luma", "chroma", "periodicity", "texture", "colour")
TONE_AND_FILTERS = "tone and random filters"  # the kind of the group below the lowest level
MAGNITUDE_LIMITS = (0.5, 2.0)  # grey levels, rising; closeness to zero is the mean of min(size, limit)
LOG_FLOOR = 1e-2  # grey levels (or their square), added before logarithms so that flat areas stay finite
ROOT_FLOOR = 0.25  # grey levels, added below square roots: near zero they would amplify rounding of sums
MAX_SECOND_DIFFERENCE = 32.0  # grey levels; larger second differences are contours, not traces
LUMA_BINS = tuple(255 / 12 * number for number in range(13))  # grey levels that luma is compared with
CHROMA_BINS = tuple(160 / 12 * number - 80 for number in range(13))  # the same for both chroma planes
SATURATION_BINS = (1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 100.0)  # the same for the length of (Cb, Cr)
GRADIENT_BINS = (0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0)  # the same for differences between neighbours
RANDOM_FILTERS = 20  # number of random filters; their mirror images come on top
FILTER_SIDE = 5  # px, side of a random filter
RESPONSE_FLOOR = 0.25  # grey levels, added to the mean size of all responses near a pixel
RESPONSE_LIMIT = 32.0  # grey levels; stronger responses count as this
RESPONSE_BINS = (0.25, 1.0, 2.5)  # mean sizes that a response is compared with
MAX_DEVIATIONS = 5.0  # standard deviations; statistics are clipped there, since more says nothing new
CONTENT_POWER = 0.25  # features are multiplied by the share of the crop that is image, to this power

AC_COEFFICIENTS = DCT_SIDE * DCT_SIDE - 1
MOMENTS = 3 + len(MAGNITUDE_LIMITS)
TONES = len(LUMA_BINS) + 2 * len(CHROMA_BINS) + len(SATURATION_BINS) + 3 * len(GRADIENT_BINS)
GROUP_SIZES = {
    "luma": MOMENTS * AC_COEFFICIENTS,
    "chroma": 2 * MOMENTS * AC_COEFFICIENTS,
    "periodicity": PERIOD,
    "texture": 5 * NUM_TEXTURE_CLASSES,
    "colour": NUM_COLOUR_CLASSES,
    TONE_AND_FILTERS: TONES + RANDOM_FILTERS * (1 + 2 * len(RESPONSE_BINS)),
}

# JFIF's without the chroma offset, in 1/256: exact in float32, and grey has exactly zero chroma
RGB_TO_YCBCR = (
    (77 / 256, 150 / 256, 29 / 256),
    (-43 / 256, -85 / 256, 128 / 256),
    (128 / 256, -107 / 256, -21 / 256),
)


def dct_filters() -> Tensor:
    """The 2-D orthonormal DCT-II basis as filters, (64, 1, 8, 8); the first is the block's mean times 8."""
    index = torch.arange(DCT_SIDE, dtype=torch.float64)
    angles = math.pi * (2 * index[None] + 1) * index[:, None] / (2 * DCT_SIDE)
    basis = torch.cos(angles) * math.sqrt(2 / DCT_SIDE)
    basis[0] /= math.sqrt(2)
    return torch.einsum("iy,jx->ijyx", basis, basis).reshape(-1, 1, DCT_SIDE, DCT_SIDE).float()


def random_filters() -> Tensor:
    """Random filters, (2 * RANDOM_FILTERS, 3, 5, 5); the second half are mirror images of the first.

    They respond alike to detail at all scales of natural images. Each is white noise without its mean,
    weighted by frequency (natural images weigh by its inverse) and by colour plane, mostly one plane a
    filter, and has unit norm.
    """
    generator = torch.Generator().manual_seed(0)
    noise = torch.randn(RANDOM_FILTERS, 3, FILTER_SIDE, FILTER_SIDE, generator=generator)
    frequency = torch.fft.fftfreq(FILTER_SIDE)
    radius = (frequency[:, None] ** 2 + frequency**2).sqrt()
    noise = torch.fft.ifft2(torch.fft.fft2(noise) * radius).real
    planes = torch.softmax(2 * torch.randn(RANDOM_FILTERS, 3, generator=generator), dim=1)
    planes = planes * torch.tensor([1.0, 2.0, 2.0])  # chroma is fainter
    noise = noise * planes[:, :, None, None]
    filters: Tensor = noise / torch.linalg.vector_norm(noise, dim=(1, 2, 3), keepdim=True)
    return torch.cat([filters, filters.flip(3)])


def content_span(lit: Tensor) -> Tensor:
    """(b, length) 0/1 -> 0/1 with every zero between the first and the last one filled in."""
    before = lit.cumsum(dim=1)
    after = lit.sum(dim=1, keepdim=True) - before + lit
    return ((before > 0) & (after > 0)).to(lit.dtype)


def content_rows_and_columns(pixels: Tensor) -> tuple[Tensor, Tensor]:
    """Pixels (b, 3, h, w) -> rows (b, h), columns (b, w): 1 where the image is, 0 where its padding is."""
    brightest = pixels.amax(dim=1)
    rows, columns = ((brightest.amax(dim=dim) > 0).to(pixels.dtype) for dim in (2, 1))
    return content_span(rows), content_span(columns)


def halve(planes: Tensor) -> Tensor:
    """Means of 2x2 pixels, (b, c, h, w) -> (b, c, h // 2, w // 2); several times faster than avg_pool2d."""
    height, width = planes.shape[2] // 2 * 2, planes.shape[3] // 2 * 2
    rows = planes[:, :, 0:height:2] + planes[:, :, 1:height:2]
    return (rows[..., 0:width:2] + rows[..., 1:width:2]) / 4


def masked_mean(values: Tensor, inside: Tensor) -> Tensor:
    """Means of (b, c, h, w) where ``inside`` (b, 1, h, w) is 1: (b, c)."""
    return (values * inside).sum(dim=(2, 3)) / inside.sum(dim=(2, 3)).clamp_min(1.0)


def shares_above(plane: Tensor, inside: Tensor, bins: Sequence[float], softness: Sequence[float]) -> Tensor:
    """Shares of a plane (b, 1, h, w) above each bound; values nearer to it than its softness count in part.

    Returns:
        (b, bins).
    """
    bounds, widths = (plane.new_tensor(values)[:, None, None] for values in (bins, softness))
    return masked_mean((plane - bounds).div_(2 * widths).add_(0.5).clamp_(0, 1), inside)


class MiniEncoder(Encoder):
    """Crops (b, 3, h, w) uint8 RGB -> features (b, num_blocks, embed_dim) float32.

    Rows and columns at the border that are exactly zero (the padding of small images) are left out of all
    statistics. A crop's features do not depend on its neighbours in the batch. Sides are 40 px or more.

    The weights file has its own names for some tensors: ``strokes`` (the random filters),
    ``certainty_power`` (`CONTENT_POWER`), ``centre`` and ``spread`` (mean and standard deviation of the
    statistics over the training windows) and ``project``. The attributes here keep them.

    Args:
        embed_dim: d, linear features of every group: one per source of synthetic images, see
            training/mini/train.py.

    Attributes:
        feature_groups: (level, kind) of each group; one group is one block for the head.
        group_sizes: statistics in each group.
    """

    mirror_invariant = True
    dct: Tensor
    to_ycbcr: Tensor
    texture_classes: Tensor
    colour_classes: Tensor
    strokes: Tensor
    certainty_power: Tensor

    def __init__(self, embed_dim: int = 16) -> None:
        super().__init__()
        self.embed_dim = embed_dim
        self.feature_groups = [(level, kind) for level in range(LEVELS) for kind in STATISTIC_KINDS]
        self.feature_groups.append((LEVELS, TONE_AND_FILTERS))
        self.num_blocks = len(self.feature_groups)
        self.group_sizes = sizes = [GROUP_SIZES[kind] for _, kind in self.feature_groups]
        self.centre = nn.ParameterList(nn.Parameter(torch.zeros(n), requires_grad=False) for n in sizes)
        self.spread = nn.ParameterList(nn.Parameter(torch.ones(n), requires_grad=False) for n in sizes)
        self.project = nn.ModuleList(nn.Linear(n, embed_dim) for n in sizes)
        self.register_buffer("dct", dct_filters()[1:], persistent=False)
        self.register_buffer("strokes", random_filters())  # in the file, since random numbers may change
        # in the file too: weights that were fitted without it must not load as if fitted with it
        self.register_buffer("certainty_power", torch.tensor(CONTENT_POWER))
        self.register_buffer("to_ycbcr", torch.tensor(RGB_TO_YCBCR), persistent=False)
        self.register_buffer("texture_classes", pattern_classes(reversible=True), persistent=False)
        self.register_buffer("colour_classes", pattern_classes(reversible=False), persistent=False)

    def forward(self, crops: Tensor) -> Tensor:
        """Crops (b, 3, h, w) uint8 RGB -> (b, num_blocks, embed_dim)."""
        statistics, content_weight = self.compute_statistics(crops)
        return self.embed(statistics) * content_weight[:, None, None]

    def read(self, crops: Tensor, features: Set[Feature]) -> dict[Feature, Tensor]:
        """``blocks`` alone: every feature group counts as one."""
        assert features <= {"blocks"}, features
        return {"blocks": self(crops)}

    def embed(self, statistics: list[Tensor]) -> Tensor:
        """Statistics of every group, each (b, its size) -> (b, num_blocks, embed_dim)."""
        layers = zip(self.project, self.normalise(statistics), strict=True)
        return torch.stack([project(values) for project, values in layers], dim=1)

    def normalise(self, statistics: list[Tensor]) -> list[Tensor]:
        """Statistics in standard deviations from their training mean, clipped."""
        moments = zip(statistics, self.centre, self.spread, strict=True)
        return [
            ((values - centre) / spread).clamp(-MAX_DEVIATIONS, MAX_DEVIATIONS)
            for values, centre, spread in moments
        ]

    def compute_statistics(self, crops: Tensor) -> tuple[list[Tensor], Tensor]:
        """The fixed part of the encoder.

        Returns:
            statistics of every group in the order of ``feature_groups``, each (b, its size); and content
            weight (b,), a power of the share of the crop that is image, neither padding nor a black border.
        """
        # Contiguous, since everything below reads plane by plane; as numbers, since not every runtime
        # compares bytes.
        pixels = crops.contiguous().to(self.dct.dtype)
        rows, columns = content_rows_and_columns(pixels)
        content_weight = (rows.mean(dim=1) * columns.mean(dim=1)) ** self.certainty_power
        statistics = []
        for level in range(LEVELS):
            if level:
                pixels = halve(pixels)
                rows, columns = windows_inside(rows, 2, 2), windows_inside(columns, 2, 2)
            statistics += self._level(pixels, rows, columns, level)
        statistics.append(self._tone_and_filters(pixels, rows, columns))
        return statistics, content_weight

    def _ycbcr(self, pixels: Tensor) -> Tensor:
        """RGB (b, 3, h, w) -> luma and chroma of the same shape."""
        return (self.to_ycbcr @ pixels.flatten(2)).reshape(pixels.shape)

    def _level(self, pixels: Tensor, rows: Tensor, columns: Tensor, level: int) -> list[Tensor]:
        """Statistics of one resolution, in the order of ``STATISTIC_KINDS``; rows, columns: 1 in content."""
        stride, line_stride = DCT_STRIDES[level], LINE_STRIDES[level]
        planes = self._ycbcr(pixels)
        b, c, h, w = planes.shape
        top, left = (first_index(side - DCT_SIDE + 1, stride) for side in (h, w))
        flat = planes.reshape(b * c, 1, h, w)[:, :, top:, left:]
        coefficients = functional.conv2d(flat, self.dct, stride=stride).reshape(b, c, AC_COEFFICIENTS, -1)
        inside_rows = windows_inside(rows[:, top:], DCT_SIDE, stride)
        inside_columns = windows_inside(columns[:, left:], DCT_SIDE, stride)
        inside = (inside_rows[:, :, None] * inside_columns[:, None]).reshape(b, 1, -1)
        count = inside.sum(dim=2).clamp_min(1.0)
        moments = self._moments(coefficients.mul_(inside[:, None]), count[:, None])
        return [
            moments[:, 0].flatten(1),
            moments[:, 1:].flatten(1),
            self._periodicity(planes[:, 0], rows, columns),
            self._texture(planes[:, 0], rows, columns, line_stride),
            self._colour(pixels, rows, columns, line_stride),
        ]

    @staticmethod
    def _moments(coefficients: Tensor, count: Tensor) -> Tensor:
        """Size and shape of every coefficient's distribution: (b, 3, MOMENTS, 63)."""
        size = coefficients.abs()
        rms = ((coefficients * coefficients).sum(dim=3) / count + LOG_FLOOR).log() / 2
        mean = (size.sum(dim=3) / count + LOG_FLOOR).log()
        roots = (size + ROOT_FLOOR).sqrt_().sum(dim=3) - size.shape[3] * math.sqrt(ROOT_FLOOR)  # 0 outside
        root = 2 * (roots.clamp_min(0) / count + LOG_FLOOR).log()
        # in place, from the largest limit down: memory traffic is what they cost
        small = [size.clamp_(max=limit).sum(dim=3) / (count * limit) for limit in reversed(MAGNITUDE_LIMITS)]
        return torch.stack([rms, mean - rms, root - mean, *reversed(small)], dim=2)

    @staticmethod
    def _periodicity(luma: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
        """Strength of periodic traces along each axis: (b, 2 * 32)."""
        frequencies = torch.arange(1, PERIOD // 2 + 1, dtype=luma.dtype, device=luma.device)[None] / PERIOD
        positions = torch.arange(max(luma.shape[1:]), dtype=luma.dtype, device=luma.device)[:, None]
        angle = 2 * math.pi * frequencies * positions
        waves = torch.stack([angle.cos(), angle.sin()], dim=1).flatten(1)
        strengths = []
        for axis, along, across in ((2, columns, rows), (1, rows, columns)):
            second = differences(luma, axis, 2).abs_().clamp_(max=MAX_SECOND_DIFFERENCE)
            sums = across[:, None] @ second if axis == 2 else second @ across[:, :, None]
            profile = sums.flatten(1) / across.sum(dim=1, keepdim=True).clamp_min(1.0)
            inside = windows_inside(along, 3, 1)
            count = inside.sum(dim=1, keepdim=True).clamp_min(1.0)
            profile = (profile + 0.1).log()
            profile = (profile - (profile * inside).sum(dim=1, keepdim=True) / count) * inside
            parts = (profile @ waves[: profile.shape[1]]).reshape(-1, 2, PERIOD // 2)
            strengths.append(((parts * parts).sum(dim=1) / count + 1e-4).log())
        return torch.cat(strengths, dim=1)

    def _texture(self, luma: Tensor, rows: Tensor, columns: Tensor, line_stride: int) -> Tensor:
        """How differences of neighbours follow one another, in units of the contrast near them: (b, 5 * 39).

        First and second differences, each along and across their own direction, and differences of both
        directions at once. Horizontal and vertical patterns count together.
        """
        shares = []
        for orders in DIFFERENCE_ORDERS:
            frames = pad_frames(luma, rows, columns, orders, line_stride)
            right, down = cooccurrence(frames), cooccurrence(frames.transposed())
            # flipped, so that a difference to the right is averaged with the same difference downwards
            shares.append((right.flip(1) + down) / 2)
        return (torch.cat(shares, dim=1) @ self.texture_classes).flatten(1).sqrt()

    def _colour(self, pixels: Tensor, rows: Tensor, columns: Tensor, line_stride: int) -> Tensor:
        """How differences of red, green and blue go together, in grey levels: (b, 63)."""
        width = pixels.shape[3] - 2
        first = first_index(width, line_stride)
        left, centre, right = (
            strided(pixels.narrow(3, start, width), 3, first, line_stride) for start in range(3)
        )
        mixed = differences((right - centre).sub_(centre - left), 2, 2).div_(4)
        inside_columns = strided(windows_inside(columns, 3, 1), 1, first, line_stride)
        inside = windows_inside(rows, 3, 1)[:, :, None] * inside_columns[:, None]
        red, green, blue = quantise(mixed).unbind(dim=1)
        return (pattern_shares(red, green, blue, inside) @ self.colour_classes).sqrt()

    def _tone_and_filters(self, pixels: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
        """Tones of the lowest level and random-filter responses at half of it: (b, 211)."""
        planes = self._ycbcr(pixels)
        tones = self._tones(planes, rows, columns)
        rows, columns = windows_inside(rows, 2, 2), windows_inside(columns, 2, 2)
        return torch.cat([tones, self._filter_responses(halve(planes), rows, columns)], dim=1)

    @staticmethod
    def _tones(planes: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
        """Distributions of luma, chroma, saturation and gradients: (b, 71)."""
        inside = (rows[:, :, None] * columns[:, None])[:, None]
        shares = []
        plane_bins = (LUMA_BINS, CHROMA_BINS, CHROMA_BINS)
        for plane, bins in zip(torch.split(planes, 1, dim=1), plane_bins, strict=True):
            shares.append(shares_above(plane, inside, bins, [bins[1] - bins[0]] * len(bins)))
        saturation = (planes[:, 1:2] * planes[:, 1:2] + planes[:, 2:] * planes[:, 2:]).sqrt()
        softness = [0.3 * bound + 2 for bound in SATURATION_BINS]
        shares.append(shares_above(saturation, inside, SATURATION_BINS, softness))
        down, right = differences(planes, 2).abs(), differences(planes, 3).abs()
        above = (windows_inside(rows, 2, 1)[:, :, None] * columns[:, None])[:, None]
        beside = (rows[:, :, None] * windows_inside(columns, 2, 1)[:, None])[:, None]
        bounds = planes.new_tensor(GRADIENT_BINS)[:, None, None, None]
        steep_down, steep_right = (
            masked_mean(sizes[:, None].repeat(1, len(GRADIENT_BINS), 1, 1, 1).gt_(bounds).flatten(1, 2), mask)
            for sizes, mask in ((down, above), (right, beside))
        )
        shares.append((steep_down + steep_right) / 2)
        return torch.cat(shares, dim=1)

    def _filter_responses(self, planes: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
        """Size and shape of the random filters' responses: (b, 140).

        The shape is in units of the mean size of all responses near a pixel.
        """
        rows, columns = windows_inside(rows, FILTER_SIDE, 1), windows_inside(columns, FILTER_SIDE, 1)
        inside = (rows[:, :, None] * columns[:, None])[:, None]
        responses = functional.conv2d(planes, self.strokes) * inside
        size = responses.abs()
        near = functional.pad(size.mean(dim=1), (CONTRAST_SIDE // 2,) * 4)
        contrast = box_sums(box_sums(near, 1), 2) * (1 / CONTRAST_SIDE**2) + RESPONSE_FLOOR
        relative = responses / contrast[:, None]
        means = [masked_mean(size.clamp(max=RESPONSE_LIMIT), inside)]
        for bound in RESPONSE_BINS:
            means += [masked_mean((sign * relative - bound).relu(), inside) for sign in (1, -1)]
        merged = [(mean[:, :RANDOM_FILTERS] + mean[:, RANDOM_FILTERS:]) / 2 for mean in means]
        return torch.cat([(merged[0] + 0.02).log(), *merged[1:]], dim=1)
