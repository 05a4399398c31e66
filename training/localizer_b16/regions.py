"""Random regions of an image, as people's masks look: soft or hard edges, many shapes, many sizes."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

Mask: TypeAlias = NDArray[np.float32]
"""(height, width), 0..1."""

AREAS = (0.01, 0.5)  # share of an image that a region covers, drawn log-uniformly between these
HARD_EDGES = 0.35  # share of regions with an edge of one pixel
FEATHERS = (0.7, 7.0)  # px, sigma of the others' edges, drawn log-uniformly


def random_region(side: int, area: float, rng: np.random.Generator) -> Mask:
    """A region of about ``area`` * side ** 2 px anywhere in a square, its edge hard or feathered."""
    shape = _SHAPES[int(rng.integers(len(_SHAPES)))]
    inside = shape(side, area, rng)
    if rng.random() < HARD_EDGES:
        return inside
    sigma = float(np.exp(rng.uniform(*np.log(FEATHERS))))
    return np.minimum(cv2.GaussianBlur(inside, (0, 0), sigma), 1.0).astype(np.float32)


def random_area(rng: np.random.Generator, areas: tuple[float, float] = AREAS) -> float:
    """A share of an image, log-uniform."""
    return float(np.exp(rng.uniform(*np.log(areas))))


def _ellipse(side: int, area: float, rng: np.random.Generator) -> Mask:
    aspect = float(np.exp(rng.uniform(-0.7, 0.7)))
    radius = side * (area / np.pi) ** 0.5
    axes = (max(round(radius * aspect**0.5), 2), max(round(radius / aspect**0.5), 2))
    return _drawn(
        side,
        lambda canvas: cv2.ellipse(
            canvas, _centre(side, area, rng), axes, rng.uniform(0, 180), 0, 360, 1.0, -1
        ),
    )


def _rectangle(side: int, area: float, rng: np.random.Generator) -> Mask:
    aspect = float(np.exp(rng.uniform(-0.7, 0.7)))
    width, height = side * (area * aspect) ** 0.5, side * (area / aspect) ** 0.5
    box = (_centre(side, area, rng), (width, height), float(rng.choice([0.0, rng.uniform(-30, 30)])))
    return _drawn(side, lambda canvas: cv2.fillPoly(canvas, [cv2.boxPoints(box).astype(np.int32)], 1.0))


def _polygon(side: int, area: float, rng: np.random.Generator) -> Mask:
    corners = int(rng.integers(5, 12))
    angles = np.sort(rng.uniform(0, 2 * np.pi, corners))
    radii = side * (area / np.pi) ** 0.5 * rng.uniform(0.7, 1.5, corners)
    x, y = _centre(side, area, rng)
    points = np.stack([x + radii * np.cos(angles), y + radii * np.sin(angles)], axis=1)
    return _drawn(side, lambda canvas: cv2.fillPoly(canvas, [points.round().astype(np.int32)], 1.0))


def _strokes(side: int, area: float, rng: np.random.Generator) -> Mask:
    """A brush drawn to and fro, as in inpainting tools."""
    width = max(round(side * area**0.5 * rng.uniform(0.35, 0.6)), 4)
    spread = side * area**0.5
    points = np.array(_centre(side, area, rng)) + rng.normal(0, spread * 0.5, (int(rng.integers(3, 7)), 2))
    return _drawn(
        side, lambda canvas: cv2.polylines(canvas, [points.round().astype(np.int32)], False, 1.0, width)
    )


def _blob(side: int, area: float, rng: np.random.Generator) -> Mask:
    """What smooth noise, raised towards a centre, leaves above a level: winding outlines."""
    blurred = cv2.GaussianBlur(
        rng.normal(size=(side, side)), (0, 0), side * area**0.5 * rng.uniform(0.15, 0.4)
    )
    noise = np.asarray(blurred, np.float32) / (float(blurred.std()) + 1e-6)
    x, y = _centre(side, area, rng)
    rows, columns = np.ogrid[:side, :side]
    distance = np.hypot(rows - y, columns - x) / (side * (area / np.pi) ** 0.5)
    field = noise * 0.7 - 1.5 * distance
    return np.asarray(field >= np.quantile(field, 1 - area), np.float32)


_Shape: TypeAlias = Callable[[int, float, np.random.Generator], Mask]
_SHAPES: tuple[_Shape, ...] = (_ellipse, _rectangle, _polygon, _strokes, _blob, _blob)


def _centre(side: int, area: float, rng: np.random.Generator) -> tuple[int, int]:
    """Where a region lies: most of it inside."""
    margin = min(0.45, area**0.5 * 0.4)
    x, y = rng.uniform(margin, 1 - margin, 2) * side
    return int(x), int(y)


def _drawn(side: int, draw: Callable[[Mask], object]) -> Mask:
    canvas = np.zeros((side, side), np.float32)
    draw(canvas)
    return canvas
