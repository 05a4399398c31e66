"""Draw score maps: the image in grey beside its windows' scores, in colours of one scale for every image.

Each cell of a map is one window's score: nothing is interpolated, and no map is stretched to its own range.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from functools import cache
from itertools import pairwise, product

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont
from PIL.PngImagePlugin import PngInfo

from sidscan.images.thumbnails import TURNS
from sidscan.records.score_map import ScoreMap
from sidscan.util.own_maps import SOFTWARE
from sidscan.util.terminal import safe_line

# Nine colours from score 0 to score 1, after cividis: its lightness only rises, and people with colour
# blindness read it as others do (Nunez, Anderton and Renslow, PLOS ONE 13(7), 2018).
_COLOURS = (
    *((0, 32, 81), (17, 54, 108), (60, 77, 110), (98, 100, 111), (127, 124, 117)),
    *((154, 148, 120), (187, 175, 113), (226, 203, 92), (253, 234, 69)),
)
_FLAT, _HATCH = (150, 150, 150), (215, 215, 215)
_INK, _DIM, _PAPER = (20, 24, 28), (84, 91, 99), (255, 255, 255)
_PANEL = 420  # pixels of the longer side of an image in the drawing
_LEAST = 12  # pixels of its shorter side
_MARGIN, _GAP, _LINE = 16, 20, 19  # pixels
_FONT_SIZE = 13

_Box = tuple[float, float, float, float]


def draw_score_maps(maps: Sequence[ScoreMap], sha256: str, pixels: NDArray[np.uint8] | None) -> bytes:
    """A PNG of the score maps of one image, one row each, with a legend.

    Args:
        sha256: of the image's bytes, hex.
        pixels: (height, width, 3), RGB, shown in grey beside the maps; None leaves it out.
    """
    grey = None if pixels is None else Image.fromarray(pixels).convert("L")
    rows = [_panels(each, grey) for each in maps]
    wide, high = rows[0][0].size
    width = 2 * _MARGIN + max(len(rows[0]) * (wide + _GAP) - _GAP, 2 * _PANEL + _GAP)
    legend = _legend_lines(maps, sha256, grey is not None)
    row_height = 3 * _LINE + high + _GAP
    labels = min(len(_thresholds(maps)), 2)  # lines above the scale
    height = 2 * _MARGIN + len(rows) * row_height + (len(legend) + 3 + labels) * _LINE - 8
    canvas = Image.new("RGB", (width, height), _PAPER)
    draw = ImageDraw.Draw(canvas)
    for number, (score_map, panels) in enumerate(zip(maps, rows, strict=True)):
        top = _MARGIN + number * row_height
        for line, words in enumerate(_title(score_map)):
            _write(draw, (_MARGIN, top + line * _LINE), words, _DIM if line else _INK)
        for place, panel in enumerate(panels):
            canvas.paste(panel, (_MARGIN + place * (wide + _GAP), top + 3 * _LINE - 8))
    _draw_legend(draw, _MARGIN + len(rows) * row_height + labels * _LINE, maps, legend)
    texts = PngInfo()
    texts.add_text("Software", SOFTWARE)
    file = io.BytesIO()
    canvas.save(file, "PNG", optimize=True, pnginfo=texts)
    return file.getvalue()


def colour(score: float) -> tuple[int, int, int]:
    """The colour of a score from 0 to 1; the same in every map."""
    place = min(max(score, 0.0), 1.0) * (len(_COLOURS) - 1)
    below = min(int(place), len(_COLOURS) - 2)
    first, second = _COLOURS[below], _COLOURS[below + 1]
    red, green, blue = (round(a + (place - below) * (b - a)) for a, b in zip(first, second, strict=True))
    return red, green, blue


def _thresholds(maps: Sequence[ScoreMap]) -> list[float]:
    return sorted({each.threshold for each in maps})


def _title(score_map: ScoreMap) -> list[str]:
    return [f"{safe_line(score_map.model)}: {score_map.grid_in_words()}", score_map.in_words()]


def _legend_lines(maps: Sequence[ScoreMap], sha256: str, with_image: bool) -> list[str]:
    turned = any(each.orientation in TURNS for each in maps)
    has_flat = any(any(row) for each in maps for row in each.flat)
    return [
        *(["Grey stripes: too flat to judge; such windows count nowhere."] if has_flat else []),
        "One cell is one window's score, at the middle of the window. White lines run where scores cross the",
        "threshold; the frame is the highest window. A window's score is not the image's score, and this map",
        "does not show where an image was edited: the detector was trained on whole images.",
        f"Image: sha256 {sha256[:16]}..., {maps[0].width} x {maps[0].height} pixels"
        + ("" if with_image else "; its pixels are left out")
        + ("; turned as EXIF states, x and y are those of the file" if turned else ""),
    ]


def _panels(score_map: ScoreMap, grey: Image.Image | None) -> list[Image.Image]:
    """The image in grey, if any, and the map, each with the contour and the highest window."""
    scale = _PANEL / max(score_map.width, score_map.height)
    size = max(round(score_map.width * scale), _LEAST), max(round(score_map.height * scale), _LEAST)
    columns = _edges(score_map.lefts, score_map.side, score_map.width, size[0])
    rows = _edges(score_map.tops, score_map.side, score_map.height, size[1])
    coloured = Image.new("RGB", size, _PAPER)
    draw = ImageDraw.Draw(coloured)
    for (row, (top, bottom)), (column, (left, right)) in product(
        enumerate(pairwise(rows)), enumerate(pairwise(columns))
    ):
        box = (left, top, right - 1, bottom - 1)
        if score_map.flat[row][column]:
            _hatch(coloured, box)
        else:
            draw.rectangle(box, fill=colour(score_map.scores[row][column]))
    panels = [coloured]
    if grey is not None:
        panels.insert(0, grey.resize(size, Image.Resampling.BOX, reducing_gap=2).convert("RGB"))
    turn = TURNS.get(score_map.orientation or 1)
    marked = [_mark(panel, score_map, columns, rows, size) for panel in panels]
    return [panel if turn is None else panel.transpose(turn) for panel in marked]


def _edges(starts: Sequence[int], side: int, length: int, drawn: int) -> list[int]:
    """Where cells begin and the last ends, in pixels of the drawing: halfway between the windows' centres."""
    between = [(first + second + side) / 2 for first, second in pairwise(starts)]
    return [0, *(round(edge * drawn / length) for edge in between), drawn]


def _hatch(panel: Image.Image, box: tuple[int, int, int, int]) -> None:
    left, top, right, bottom = box
    cell = Image.new("RGB", (max(right - left + 1, 1), max(bottom - top + 1, 1)), _FLAT)
    draw = ImageDraw.Draw(cell)
    for offset in range(-cell.height, cell.width, 6):
        draw.line((offset, cell.height, offset + cell.height, 0), fill=_HATCH)
    panel.paste(cell, (left, top))


def _mark(
    panel: Image.Image,
    score_map: ScoreMap,
    columns: Sequence[int],
    rows: Sequence[int],
    size: tuple[int, int],
) -> Image.Image:
    """Draw the contour at the threshold, and a frame around the highest window."""
    draw = ImageDraw.Draw(panel)
    lines = _contour(score_map, columns, rows)
    for fill, width in (((0, 0, 0), 3), ((255, 255, 255), 1)):
        for line in lines:
            draw.line(line, fill=fill, width=width)
    if score_map.highest is not None:
        _, left, top = score_map.highest
        box = _scaled((left, top, left + score_map.side, top + score_map.side), score_map, size)
        draw.rectangle(box, outline=(0, 0, 0), width=4)
        draw.rectangle(tuple(np.add(box, (1, 1, -1, -1))), outline=(255, 255, 255), width=2)
    return panel


def _scaled(box: _Box, score_map: ScoreMap, size: tuple[int, int]) -> _Box:
    """A box of the image in pixels of the drawing, within it."""
    across, down = size[0] / score_map.width, size[1] / score_map.height
    left, top, right, bottom = box
    return (
        max(round(left * across), 0),
        max(round(top * down), 0),
        min(round(right * across), size[0]) - 1,
        min(round(bottom * down), size[1]) - 1,
    )


def _contour(score_map: ScoreMap, columns: Sequence[int], rows: Sequence[int]) -> list[_Box]:
    """Lines between cells of which one reaches the threshold and the other does not."""
    above = (np.array(score_map.scores) >= score_map.threshold) & ~np.array(score_map.flat, bool)
    upright = [
        (columns[column + 1], rows[row], columns[column + 1], rows[row + 1])
        for row, column in np.argwhere(above[:, 1:] != above[:, :-1]).tolist()
    ]
    level = [
        (columns[column], rows[row + 1], columns[column + 1], rows[row + 1])
        for row, column in np.argwhere(above[1:] != above[:-1]).tolist()
    ]
    return [*upright, *level]


def _draw_legend(draw: ImageDraw.ImageDraw, top: int, maps: Sequence[ScoreMap], lines: Sequence[str]) -> None:
    """The scale from 0 to 1 with each threshold, and what else needs words."""
    left, width, height = _MARGIN, 2 * _PANEL - 120, 14
    for x in range(width):
        draw.line((left + x, top, left + x, top + height), fill=colour(x / (width - 1)))
    draw.rectangle((left - 1, top - 1, left + width, top + height), outline=_DIM)
    for tick in (0.0, 0.25, 0.5, 0.75, 1.0):
        x = left + round(tick * (width - 1))
        draw.line((x, top + height, x, top + height + 4), fill=_DIM)
        _write(draw, (x, top + height + 5), f"{tick:g}", _DIM, "ma" if tick else "la")
    for number, threshold in enumerate(_thresholds(maps)):
        x = left + round(threshold * (width - 1))
        anchor = "la" if threshold < 0.1 else "ra" if threshold > 0.9 else "ma"
        line = 1 + number % 2  # two thresholds may be too close for words on one line
        _write(draw, (x, top - line * _LINE - 4), f"threshold {threshold:.3f}", _INK, anchor)
        draw.line((x, top - 5, x, top + height + 4), fill=(0, 0, 0), width=5)
        draw.line((x, top - 4, x, top + height + 3), fill=(255, 255, 255), width=1)
    _write(draw, (left + width + 12, top), "score of a window", _INK)
    below = top + height + _LINE + 8
    for number, words in enumerate(lines):
        _write(draw, (left, below + number * _LINE), words, _DIM)


def _write(
    draw: ImageDraw.ImageDraw,
    place: tuple[float, float],
    words: str,
    fill: tuple[int, int, int],
    anchor: str = "la",
) -> None:
    draw.text(place, words, fill=fill, font=_font(), anchor=anchor)


@cache
def _font() -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(_FONT_SIZE)
