"""Composites: real images with synthetic regions, the other way round, and what must not be taken for them.

Nobody's inpainting tool is used. Seams, colours, and compression histories say nothing about the label:
real pixels spliced into real images go through the same procedure, and every image is saved again afterwards.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import TypeAlias

import cv2
import numpy as np
from PIL import Image

from sidscan.training.common.pixels import Pixels, recoded
from sidscan.training.windows.corpus import Window
from sidscan.training.windows.degradation import RESIZE_FILTERS

from .blending import pasted, random_paste
from .material import Material, Pool, colour_descriptor, random_square, smaller_side
from .regions import Mask, random_area, random_region

KINDS: Mapping[str, float] = {
    "real": 0.30,
    "synthetic": 0.12,
    "inserted": 0.28,  # synthetic pixels in a real image
    "pasted back": 0.09,  # real pixels in a synthetic image
    "spliced": 0.09,  # real pixels in a real image
    "copy-move": 0.03,
    "classical inpainting": 0.03,
    "retouched": 0.04,
    "two generators": 0.02,  # synthetic pixels in a synthetic image
}
"""Share of each kind in what is fitted."""
WHOLE_KINDS = ("real", "synthetic")  # nothing in them is edited

EARLIER_JPEG = 0.35  # share of hosts and donors that is saved before
EARLIER_RESIZE = 0.3  # share resized before
EARLIER_SCALES = (0.7, 1.3)
WHOLE_IMAGES = 0.25  # share cut from the whole image, at a smaller scale
WHOLE_SCALES = (0.35, 1.0)
LATER_RESIZE = 0.3  # share resized when all is done
LATER_SCALES = (0.5, 1.0)
REDUCED = {2: 0.12, 4: 0.08}  # shares read at a half or a quarter of their size, as large images are
LATER_JPEG, LATER_WEBP = 0.65, 0.1  # shares saved afterwards; the others stay lossless
QUALITIES = (60, 98)  # inclusive
MIRRORED = 0.5
LEAST_SHARE = 0.004  # of a tile that a region covers, if it is to count as one


@dataclass(frozen=True)
class Composite:
    """An image and what each of its pixels is."""

    pixels: Pixels  # (side, side, 3)
    synthetic: Mask  # share of synthetic content, (side, side)
    edited: Mask  # share of what was pasted or changed, (side, side)
    kind: str
    repos: tuple[str, ...]  # of the host, and of the donor


def random_composite(material: Material, seed: tuple[str, int], side: int) -> Composite:
    """A composite to fit on; the same seed and material give the same one."""
    rng = _generator(seed)
    kind = str(rng.choice(list(KINDS), p=np.array(list(KINDS.values())) / sum(KINDS.values())))
    for _ in range(_TRIES):
        canvas = _canvas(side, rng)
        made = _saved_again(_MAKERS[kind](material, canvas, None, rng), side, canvas.reduced, rng)
        if kind in WHOLE_KINDS or LEAST_SHARE < made.edited.mean() < 1 - LEAST_SHARE:
            break
    return replace(made, kind=kind)


def measured_composite(
    material: Material, seed: tuple[str, int], side: int, kind: str, area: float | None = None
) -> Composite:
    """A composite to measure on, cut from whole images at their own size, and not saved again.

    Args:
        kind: one of KINDS.
        area: share of the region; drawn if None.
    """
    return replace(
        _MAKERS[kind](material, _Canvas(side, True, 1, own_size=True), area, _generator(seed)), kind=kind
    )


def _generator(seed: tuple[str, int]) -> np.random.Generator:
    return np.random.default_rng([zlib.crc32(seed[0].encode()), seed[1]])


@dataclass(frozen=True)
class _Canvas:
    """What a composite is made on: larger than the tile, if it is resized or reduced later."""

    side: int
    whole: bool  # cut from whole images
    reduced: int  # times smaller that it is read
    own_size: bool = False  # nothing is resized before


def _canvas(side: int, rng: np.random.Generator) -> _Canvas:
    reduced = int(rng.choice([1, *REDUCED], p=[1 - sum(REDUCED.values()), *REDUCED.values()]))
    whole = reduced > 1 or rng.random() < WHOLE_IMAGES
    scale = 1.0
    if reduced == 1 and rng.random() < LATER_RESIZE:
        lowest = LATER_SCALES[0] if whole else 0.8
        scale = float(rng.uniform(lowest, LATER_SCALES[1]))
    return _Canvas(int(np.ceil((side + 16) * reduced / scale)), whole, reduced)


_DRAWS = 12  # of a window that is large enough
_TRIES = 4  # until a region lies in the tile
_Maker: TypeAlias = Callable[[Material, _Canvas, "float | None", np.random.Generator], Composite]


def _whole(synthetic: bool) -> _Maker:
    def make(material: Material, canvas: _Canvas, _: float | None, rng: np.random.Generator) -> Composite:
        pool = material.synthetic if synthetic else material.real
        window = _host(pool, canvas, rng)
        pixels = _drawn_pixels(window, canvas, rng)
        return _composite(pixels, np.full(pixels.shape[:2], float(synthetic), np.float32), None, window)

    return make


def _mixed(host_synthetic: bool, donor_synthetic: bool) -> _Maker:
    """Pixels of a donor in a host, from two repositories."""

    def make(material: Material, canvas: _Canvas, area: float | None, rng: np.random.Generator) -> Composite:
        hosts, donors = (
            material.synthetic if synthetic else material.real
            for synthetic in (host_synthetic, donor_synthetic)
        )
        host = _host(hosts, canvas, rng)
        below = _drawn_pixels(host, canvas, rng)
        donor = _matching_donor(donors, below, host, canvas, rng)
        above = _fitted(_drawn_pixels(donor, canvas, rng), canvas.side, rng)
        region = random_region(canvas.side, area or random_area(rng), rng)
        pixels = random_paste(below, above, region, rng)
        synthetic = host_synthetic * (1 - region) + donor_synthetic * region
        return _composite(pixels, synthetic.astype(np.float32), region, host, donor)

    return make


def _host(pool: Pool, canvas: _Canvas, rng: np.random.Generator) -> Window:
    return _large_enough(lambda: pool.windows[pool.draw(rng)], canvas)


def _matching_donor(
    donors: Pool, below: Pixels, host: Window, canvas: _Canvas, rng: np.random.Generator
) -> Window:
    colours = colour_descriptor(below)
    return _large_enough(lambda: donors.windows[donors.draw_like(colours, host.repo, rng)], canvas)


def _large_enough(draw: Callable[[], Window], canvas: _Canvas) -> Window:
    """One of a few draws that fills the canvas; the last of them, if none does."""
    for _ in range(_DRAWS):
        window = draw()
        if not canvas.whole or smaller_side(window) >= canvas.side:
            break
    return window


def _copy_move(
    material: Material, canvas: _Canvas, area: float | None, rng: np.random.Generator
) -> Composite:
    window = _host(material.real, canvas, rng)
    pixels = _drawn_pixels(window, canvas, rng)
    shift = [int(s) for s in rng.integers(canvas.side // 5, canvas.side * 4 // 5, 2)]
    moved = np.roll(pixels, shift, axis=(0, 1))
    region = random_region(canvas.side, area or random_area(rng, (0.01, 0.2)), rng)
    return _composite(pasted(pixels, moved, region), np.zeros_like(region), region, window)


def _classical(
    material: Material, canvas: _Canvas, area: float | None, rng: np.random.Generator
) -> Composite:
    window = _host(material.real, canvas, rng)
    pixels = _drawn_pixels(window, canvas, rng)
    region = random_region(canvas.side, area or random_area(rng, (0.005, 0.06)), rng)
    method = cv2.INPAINT_TELEA if rng.random() < 0.5 else cv2.INPAINT_NS
    mask = (region > 0.5).astype(np.uint8)
    filled = np.asarray(cv2.inpaint(np.ascontiguousarray(pixels), mask, 4, method), np.uint8)
    return _composite(filled, np.zeros_like(region), region, window)


def _retouched(
    material: Material, canvas: _Canvas, area: float | None, rng: np.random.Generator
) -> Composite:
    window = _host(material.real, canvas, rng)
    pixels = _drawn_pixels(window, canvas, rng)
    region = random_region(canvas.side, area or random_area(rng), rng)
    change = _RETOUCHES[int(rng.integers(len(_RETOUCHES)))]
    return _composite(pasted(pixels, change(pixels, rng), region), np.zeros_like(region), region, window)


def _blurred(pixels: Pixels, rng: np.random.Generator) -> Pixels:
    return np.asarray(cv2.GaussianBlur(pixels, (0, 0), float(rng.uniform(0.6, 5))))


def _smoothed(pixels: Pixels, rng: np.random.Generator) -> Pixels:
    """As beauty filters do."""
    return np.asarray(cv2.bilateralFilter(np.ascontiguousarray(pixels), 9, float(rng.uniform(20, 60)), 5))


def _sharpened(pixels: Pixels, rng: np.random.Generator) -> Pixels:
    blurred = cv2.GaussianBlur(pixels, (0, 0), 1.5).astype(np.float32)
    return np.clip(pixels + rng.uniform(0.5, 2) * (pixels - blurred), 0, 255).astype(np.uint8)


def _noisy(pixels: Pixels, rng: np.random.Generator) -> Pixels:
    return np.clip(pixels + rng.normal(0, rng.uniform(2, 10), pixels.shape), 0, 255).astype(np.uint8)


def _recoloured(pixels: Pixels, rng: np.random.Generator) -> Pixels:
    gains, offset = rng.uniform(0.7, 1.4, 3), rng.uniform(-25, 25)
    return np.clip(pixels * gains + offset, 0, 255).astype(np.uint8)


def _saved_before(pixels: Pixels, rng: np.random.Generator) -> Pixels:
    return recoded(pixels, "JPEG", quality=int(rng.integers(30, 90)))


def _resampled(pixels: Pixels, rng: np.random.Generator) -> Pixels:
    """Smaller and back again."""
    image = Image.fromarray(pixels)
    factor = rng.uniform(0.4, 0.9)
    small = image.resize(
        (round(image.width * factor), round(image.height * factor)), Image.Resampling.BICUBIC
    )
    return np.asarray(small.resize(image.size, Image.Resampling.BICUBIC))


_RETOUCHES = (_blurred, _smoothed, _sharpened, _noisy, _recoloured, _saved_before, _resampled)
_MAKERS: Mapping[str, _Maker] = {
    "real": _whole(False),
    "synthetic": _whole(True),
    "inserted": _mixed(False, True),
    "pasted back": _mixed(True, False),
    "spliced": _mixed(False, False),
    "copy-move": _copy_move,
    "classical inpainting": _classical,
    "retouched": _retouched,
    "two generators": _mixed(True, True),
}


def _composite(pixels: Pixels, synthetic: Mask, region: Mask | None, *windows: Window) -> Composite:
    edited = np.zeros(pixels.shape[:2], np.float32) if region is None else region
    return Composite(pixels, synthetic, edited, "", tuple(window.repo for window in windows))


def _drawn_pixels(window: Window, canvas: _Canvas, rng: np.random.Generator) -> Pixels:
    """A square of the canvas's side, with a history of its own: resized, saved, or neither."""
    scale = 1.0
    if not canvas.own_size and rng.random() < EARLIER_RESIZE:
        scale = float(np.exp(rng.uniform(*np.log(WHOLE_SCALES if canvas.whole else EARLIER_SCALES))))
    pixels = random_square(window, int(np.ceil(canvas.side / scale)) + 8, canvas.whole, rng)
    if scale != 1:
        image = Image.fromarray(pixels)
        size = (max(round(image.width * scale), 1), max(round(image.height * scale), 1))
        pixels = np.asarray(image.resize(size, _filter(rng)))
    if rng.random() < EARLIER_JPEG:
        pixels = recoded(pixels, "JPEG", quality=int(rng.integers(QUALITIES[0], QUALITIES[1] + 1)))
    return _fitted(pixels, canvas.side, rng)


def _fitted(pixels: Pixels, side: int, rng: np.random.Generator) -> Pixels:
    """A random square; where there is less, mirrored at the edges to that size."""
    height, width = pixels.shape[:2]
    down, right = max(side - height, 0), max(side - width, 0)
    if down or right:
        pixels = np.pad(pixels, ((0, down), (0, right), (0, 0)), "symmetric")
    height, width = pixels.shape[:2]
    top, left = (int(rng.integers(0, length - side + 1)) for length in (height, width))
    return pixels[top : top + side, left : left + side]


def _filter(rng: np.random.Generator) -> Image.Resampling:
    return RESIZE_FILTERS[int(rng.integers(len(RESIZE_FILTERS)))]


def _saved_again(made: Composite, side: int, reduced: int, rng: np.random.Generator) -> Composite:
    """Resized as drawn, saved as JPEG, WebP or losslessly, then a random tile of it."""
    wanted = (side + 16) * reduced
    pixels, masks = made.pixels, [made.synthetic, made.edited]
    if wanted < len(pixels):
        pixels = np.asarray(Image.fromarray(pixels).resize((wanted, wanted), _filter(rng)))
        masks = [_shrunk(mask, wanted) for mask in masks]
    pixels = _recompressed(pixels, rng)
    if reduced > 1:
        pixels = np.asarray(Image.fromarray(pixels).reduce(reduced))
        masks = [_shrunk(mask, len(pixels)) for mask in masks]
    top, left = (int(offset) for offset in rng.integers(0, len(pixels) - side + 1, 2))
    step = -1 if rng.random() < MIRRORED else 1
    pixels = pixels[top : top + side, left : left + side][:, ::step]
    synthetic, edited = (mask[top : top + side, left : left + side][:, ::step] for mask in masks)
    return replace(
        made,
        pixels=np.ascontiguousarray(pixels),
        synthetic=np.ascontiguousarray(synthetic),
        edited=np.ascontiguousarray(edited),
    )


def _shrunk(mask: Mask, side: int) -> Mask:
    return np.asarray(cv2.resize(mask, (side, side), interpolation=cv2.INTER_AREA), np.float32)


def _recompressed(pixels: Pixels, rng: np.random.Generator) -> Pixels:
    quality = int(rng.integers(QUALITIES[0], QUALITIES[1] + 1))
    draw = rng.random()
    if draw < LATER_JPEG:
        return recoded(pixels, "JPEG", quality=quality, subsampling=int(rng.choice((0, 2))))
    return recoded(pixels, "WEBP", quality=quality) if draw < LATER_JPEG + LATER_WEBP else pixels
