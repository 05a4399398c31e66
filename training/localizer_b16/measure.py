"""Images of several tiles to measure on, their tiles, and the maps of these as one."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional

from sidscan.localize.tiles import SmallMap, TileGrid, map_of_tiles, tile_grid
from sidscan.models.heads.rine_ensemble import RineEnsemble
from sidscan.models.heads.token_decoder import TokenDecoder
from sidscan.training.common.pixels import Pixels, recoded
from sidscan.training.windows.conditions import resized
from sidscan.training.windows.corpus import FOLDS

from .composites import measured_composite
from .fit import standardised
from .material import Material
from .regions import Mask
from .tokens import TILE

SIDE = 560  # px a side of a composite: 16 tiles
LARGER = (896, 1792)  # px: 49 tiles, the latter at half its size
STRIDE = 112
MOST_TILES = 120  # as `sidscan localize` takes on a CPU
COMPOSITES: tuple[tuple[str, float | None], ...] = (
    *(("inserted", area) for area in (0.01, 0.05, 0.2)),
    ("pasted back", 0.2),
    ("spliced", 0.05),
    ("spliced", 0.2),
    ("copy-move", 0.05),
    ("classical inpainting", 0.03),
    ("retouched", 0.1),
    ("synthetic", None),
)
"""Kind, and share of the image that the region covers."""
CONDITIONS: Mapping[str, Callable[[Pixels], Pixels]] = {
    "JPEG 95": partial(recoded, container="JPEG", quality=95),
    "lossless": np.asarray,
    "JPEG 75": partial(recoded, container="JPEG", quality=75),
    "resized to 0.75": lambda pixels: recoded(resized(pixels, 0.75), "JPEG", quality=90),
}


@dataclass(frozen=True)
class Job:
    """One image to measure."""

    kind: str
    area: float | None
    number: int  # the fold is number % FOLDS
    condition: str
    inspected: bool = False  # also by the grid of `sidscan inspect`
    side: int = SIDE  # px

    @property
    def fold(self) -> int:
        """Of the repositories that it is made of."""
        return self.number % FOLDS


def jobs(each: int, inspected: int, fewer: int, larger: int) -> list[Job]:
    """``each`` composites of every kind as JPEG 95; ``fewer`` of those with synthetic regions otherwise.

    Args:
        inspected: of each kind, by the grid of `sidscan inspect`, too.
        larger: composites of each of LARGER.
    """
    listed = [
        Job(kind, area, number, "JPEG 95", number < inspected and kind in WITH_REGIONS)
        for kind, area in COMPOSITES
        for number in range(each)
    ]
    listed += [
        Job("inserted", area, number, "JPEG 95", side=side)
        for side in LARGER
        for area in (0.01, 0.05, 0.2)
        for number in range(larger)
    ]
    return listed + [
        Job(kind, area, number, condition)
        for condition in list(CONDITIONS)[1:]
        for kind, area in COMPOSITES
        if kind in WITH_REGIONS
        for number in range(fewer)
    ]


WITH_REGIONS = ("inserted", "pasted back")


def measured_image(
    materials: Mapping[int, Sequence[Material]], job: Job
) -> tuple[Pixels, NDArray[np.bool_], tuple[str, ...]]:
    """The image, where it is synthetic, and the repositories that it is made of.

    Larger ones of a number have the same host and donor, whatever the region's size.

    Args:
        materials: of each fold, for composites of a side.
    """
    name = f"measured {job.kind} {job.area}" if job.side == SIDE else f"measured {job.side}"
    made = measured_composite(materials[job.side][job.fold], (name, job.number), job.side, job.kind, job.area)
    pixels = np.ascontiguousarray(CONDITIONS[job.condition](np.ascontiguousarray(made.pixels)))
    mask = made.synthetic
    if mask.shape != pixels.shape[:2]:
        mask = np.asarray(cv2.resize(mask, pixels.shape[1::-1], interpolation=cv2.INTER_AREA), np.float32)
    return pixels, mask > 0.5, made.repos


def grid_of(pixels: Pixels, most: int, stride: int = STRIDE) -> TileGrid:
    """As `sidscan localize` lays tiles."""
    height, width = pixels.shape[:2]
    return tile_grid(width, height, TILE, stride, most)


def tiles_of(pixels: Pixels, grid: TileGrid) -> list[Pixels]:
    """The tiles of an image, row by row."""
    tiles: list[Pixels] = []

    def collect(batch: Pixels) -> Mask:
        tiles.extend(batch)
        return np.zeros(batch.shape[:3], np.float32)

    map_of_tiles(pixels, grid, collect, 8, _nothing)
    return tiles


def blended(maps: NDArray[np.float32], grid: TileGrid) -> SmallMap:
    """The maps of all tiles, (tiles, 224, 224), as one, at the size at which they were read."""
    following = iter(maps)
    blank = np.zeros((grid.height, grid.width, 3), np.uint8)
    of_batch = lambda batch: np.stack([next(following) for _ in batch])  # noqa: E731
    return map_of_tiles(blank, replace(grid, scale=1), of_batch, 8, _nothing)


def at_full_size(small: SmallMap, grid: TileGrid, pixels: Pixels) -> Mask:
    """The map at the image's size."""
    height, width = pixels.shape[:2]
    return replace(small, width=width / grid.scale, height=height / grid.scale).rows(0, height, width, height)


def _nothing(_: int) -> None:
    """Nobody waits for progress."""


def photograph_grid(pixels: Pixels, stride: int) -> TileGrid:
    """The scale that `sidscan localize` reads an image at, with tiles ``stride`` apart."""
    scale = grid_of(pixels, MOST_TILES).scale
    height, width = (-(-length // scale) for length in pixels.shape[:2])
    return replace(tile_grid(width, height, TILE, stride, 10**9), scale=scale)


def decoded_maps(decoder: TokenDecoder, tokens: NDArray[np.int8]) -> NDArray[np.float32]:
    """Tokens as they are kept, (tiles, g, g, channels) -> probabilities (tiles, 224, 224)."""
    with torch.inference_mode():
        logits = decoder.coarse_logits(standardised(tokens))
        enlarged = functional.interpolate(logits, size=(TILE, TILE), mode="bilinear", align_corners=False)
    return enlarged[:, 0].sigmoid().numpy()


def overlapping_maps(head: RineEnsemble, cls: NDArray[np.float16]) -> NDArray[np.float32]:
    """The score of each tile, all over it, (tiles, 224, 224): blended, a grid of overlapping windows."""
    with torch.inference_mode():
        scores = head(torch.from_numpy(cls).float()).sigmoid().numpy()
    return np.broadcast_to(scores[:, None, None], (len(scores), TILE, TILE)).astype(np.float32)
