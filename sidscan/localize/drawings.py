"""Draw a map: as files at the image's size, and over the image in grey.

One scale for every image: nothing is stretched to a map's own range. Below the threshold the image shows as
it is; above it lies a colour, the stronger the higher, within a contour of black and white, so that colour is
not the only sign.
"""

from __future__ import annotations

import io
from functools import cache
from math import ceil

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter, ImageFont
from PIL.PngImagePlugin import PngInfo

from sidscan.images.thumbnails import TURNS
from sidscan.localize.regions import Measured
from sidscan.records.localization import Localization
from sidscan.util.own_maps import SOFTWARE
from sidscan.util.terminal import safe_line

OVERLAY_SIDE = 2048
"""Pixels of an overlay's longer side, at most; maps and masks have the image's own size."""
PAGE_SIDE = 640
"""Pixels of the longer side of what reports show."""
_MOST_COLOUR = 0.6  # of the colour where the map is 1
# Nine colours from 0 to 1, after inferno: its lightness only rises, and it reads alike with colour blindness
# (matplotlib's colormaps, CC0). The image is grey, so that no colour of its own looks like a part of the map.
_COLOURS = np.array(
    [
        *((0, 0, 4), (31, 12, 72), (85, 15, 109), (136, 34, 106), (186, 54, 85)),
        *((227, 89, 51), (249, 140, 10), (249, 201, 50), (252, 255, 164)),
    ],
    np.float32,
)
_INK, _DIM, _PAPER = (20, 24, 28), (84, 91, 99), (255, 255, 255)
# Pixels of the strip below an overlay of 640 pixels: its height with the scale alone and with words, and its
# least width likewise.
_BAR, _BAR_WITH_WORDS = 44, 92
_LEAST_WIDTH, _LEAST_WITH_WORDS = 280, 480
_QUALITY = 82  # of WebP

_Font = ImageFont.FreeTypeFont | ImageFont.ImageFont


def map_png(measured: Measured, facts: Localization) -> bytes:
    """The map: 8-bit grey, 0 to 255, as large as the image and turned as it is stored."""
    return _png(Image.fromarray(measured.levels), facts)


def mask_png(measured: Measured, facts: Localization) -> bytes:
    """What lies above the threshold: 255, else 0."""
    return _png(Image.fromarray(measured.mask.astype(np.uint8) * 255), facts)


def overlay_png(pixels: NDArray[np.uint8], measured: Measured, facts: Localization) -> bytes:
    """The image in grey with the map over it and a scale below; turned as the image is stored."""
    drawn, _ = _panels(pixels, measured, facts.threshold, OVERLAY_SIDE)
    return _png(_with_scale(drawn, facts, words=True), facts)


def page_drawings(pixels: NDArray[np.uint8], measured: Measured, facts: Localization) -> tuple[bytes, bytes]:
    """For reports (WebP): the map over the image in grey, and the image alone, turned as it is shown.

    Reports have the words that stand below an overlay beside it.
    """
    turn = TURNS.get(facts.orientation or 1)
    drawn, grey = _panels(pixels, measured, facts.threshold, PAGE_SIDE)
    if turn is not None:
        drawn, grey = drawn.transpose(turn), grey.transpose(turn)
    return _webp(_with_scale(drawn, facts, words=False)), _webp(grey)


def colour(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """The colours (..., 3) of probabilities; the same in every map."""
    place = np.clip(values, 0, 1) * (len(_COLOURS) - 1)
    below = np.minimum(place.astype(np.intp), len(_COLOURS) - 2)
    part = (place - below)[..., None]
    mixed: NDArray[np.float32] = _COLOURS[below] * (1 - part) + _COLOURS[below + 1] * part
    return mixed


def _panels(
    pixels: NDArray[np.uint8], measured: Measured, threshold: float, most: int
) -> tuple[Image.Image, Image.Image]:
    """The map over the image, and the image alone, both at most so large, as stored."""
    factor = ceil(max(measured.levels.shape) / most)
    grey = _reduced_grey(pixels, factor)
    reduced = Image.fromarray(measured.levels).reduce(factor)
    values: NDArray[np.float32] = np.asarray(reduced, np.float32) / np.float32(255)
    mask = _any_of_block(measured.mask, factor)
    strength = np.clip((values - threshold) / max(1 - threshold, 1e-6), 0, 1) * _MOST_COLOUR
    plain = np.repeat(grey[..., None], 3, axis=2)
    mixed = plain * (1 - strength[..., None]) + colour(values) * strength[..., None]
    drawn = np.rint(mixed).astype(np.uint8)
    _draw_contour(drawn, mask)
    return Image.fromarray(drawn), Image.fromarray(grey).convert("RGB")


def _reduced_grey(pixels: NDArray[np.uint8], factor: int) -> NDArray[np.uint8]:
    rows = 256 * factor
    bands = [pixels[top : top + rows] for top in range(0, len(pixels), rows)]
    return np.concatenate([np.asarray(Image.fromarray(band).convert("L").reduce(factor)) for band in bands])


def _any_of_block(mask: NDArray[np.bool_], factor: int) -> NDArray[np.bool_]:
    """The mask smaller by a whole number; a single pixel is not lost."""
    if factor == 1:
        return mask
    starts = [np.arange(0, length, factor) for length in mask.shape]
    rows = np.logical_or.reduceat(mask, starts[0], axis=0)
    return np.logical_or.reduceat(rows, starts[1], axis=1)


def _draw_contour(drawn: NDArray[np.uint8], mask: NDArray[np.bool_]) -> None:
    """White just outside of the mask, and black around that."""
    if not mask.any():
        return
    width = max(1, round(max(mask.shape) / 640))
    near, far = (_grown(mask, size) for size in (width, 2 * width))
    drawn[near & ~mask] = 255
    drawn[far & ~near] = 0


def _grown(mask: NDArray[np.bool_], size: int) -> NDArray[np.bool_]:
    image = Image.fromarray(mask.astype(np.uint8) * 255)
    return np.asarray(image.filter(ImageFilter.MaxFilter(2 * size + 1))) > 0


def _with_scale(drawn: Image.Image, facts: Localization, words: bool) -> Image.Image:
    """The drawing with the scale and the threshold below it; with words, also model, protocol and finding."""
    zoom = max(max(drawn.size) / PAGE_SIDE, 0.75)
    width = max(drawn.width, round((_LEAST_WITH_WORDS if words else _LEAST_WIDTH) * zoom))
    bar = round((_BAR_WITH_WORDS if words else _BAR) * zoom)
    canvas = Image.new("RGB", (width, drawn.height + bar), _PAPER)
    canvas.paste(drawn, (0, 0))
    draw, font = ImageDraw.Draw(canvas), _font(round(12 * zoom))
    left, top, high = round(8 * zoom), drawn.height + round(24 * zoom), round(12 * zoom)
    _draw_scale(canvas, (left, top, round(260 * zoom), high), facts.threshold, font)
    lines = (safe_line(f"{facts.localizer}, {facts.how_in_words()}"), facts.finding) if words else ()
    for number, line in enumerate(lines, 1):
        place = left, top + high + round((18 * number - 12) * zoom)
        shown = _shortened(line, width - 2 * left, font)
        draw.text(place, shown, fill=_DIM if number == 1 else _INK, font=font)
    return canvas


def _draw_scale(canvas: Image.Image, box: tuple[int, int, int, int], threshold: float, font: _Font) -> None:
    """The colours from 0 to 1, and where the threshold lies.

    Args:
        box: left, top, width and height, pixels.
    """
    left, top, across, high = box
    draw, above = ImageDraw.Draw(canvas), top - high // 3
    canvas.paste(_scale(across, high, threshold), (left, top))
    draw.rectangle((left - 1, top - 1, left + across, top + high), outline=_DIM)
    mark = left + round(threshold * (across - 1))
    for fill, width in ((0, 0, 0), max(3, high // 4)), ((255, 255, 255), 1):
        draw.line((mark, above, mark, top + high), fill=fill, width=width)
    for x, words, anchor in (
        (left, "0", "ls"),
        (mark, f"threshold {threshold:g}", "ms"),
        (left + across, "1", "rs"),
    ):
        draw.text((x, above - 2), words, fill=_INK if anchor == "ms" else _DIM, font=font, anchor=anchor)


def _scale(width: int, height: int, threshold: float) -> Image.Image:
    """The colours from 0 to 1 as they lie over middle grey: none up to the threshold."""
    values = np.linspace(0, 1, width, dtype=np.float32)
    strength = np.clip((values - threshold) / max(1 - threshold, 1e-6), 0, 1)[:, None] * _MOST_COLOUR
    grey = np.float32(128)
    row = np.rint(grey * (1 - strength) + colour(values) * strength).astype(np.uint8)
    return Image.fromarray(np.repeat(row[None], height, axis=0))


def _shortened(line: str, width: int, font: _Font) -> str:
    while font.getlength(line) > width and len(line) > 1:
        line = line[:-2] + "\u2026"
    return line


@cache
def _font(size: int) -> _Font:
    return ImageFont.load_default(size)


def _png(image: Image.Image, facts: Localization) -> bytes:
    """A PNG that says what made it, whatever becomes of its name."""
    texts = PngInfo()
    texts.add_text("Software", SOFTWARE)
    texts.add_text("Comment", safe_line(f"{facts.localizer} ({facts.digest}): {facts.how_in_words()}"))
    file = io.BytesIO()
    image.save(file, "PNG", compress_level=4, pnginfo=texts)
    return file.getvalue()


def _webp(image: Image.Image) -> bytes:
    file = io.BytesIO()
    image.save(file, "WEBP", quality=_QUALITY, method=2)
    return file.getvalue()
