"""One image -> the map of a localizer, by one protocol or by both."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from sidscan.localize.contrast import contrast
from sidscan.localize.patches import map_of_patches
from sidscan.localize.regions import Measured, measure
from sidscan.localize.tile_reader import TileReader
from sidscan.localize.tiles import Done, Pixels, SmallMap, TileGrid, map_of_tiles, map_of_whole, tile_grid
from sidscan.models.catalog import PatchSpec, TileSpec
from sidscan.models.localizers import LocalizerInfo, PatchMapInfo
from sidscan.records.localization import Localization

Protocol = Literal["auto", "global", "tiles"]
LARGE = 512
"""Pixels of an image's shorter side above which a localizer that resizes its tiles reads tiles by itself."""


@dataclass(frozen=True)
class ReadPlan:
    """What is read of an image.

    Attributes:
        by_tiles: whether the map is made of tiles.
        grid: of the tiles, for the map or to compare it with; None where no tiles are read.
        whole: whether the squashed image is read, too.
        flags: what a reader of the map should know, of `records.localization.FLAGS`.
        patches: of the detector that judges patches of the whole image; None for a localizer.
    """

    by_tiles: bool
    grid: TileGrid | None
    whole: bool
    flags: tuple[str, ...] = ()
    patches: PatchSpec | None = None

    @property
    def protocol(self) -> str:
        """As `Localization` names it."""
        if self.patches is not None:
            return "patches"
        return "tiles" if self.by_tiles else "global"

    @property
    def reads(self) -> int:
        """How many squares the localizer reads."""
        return (len(self.grid) if self.grid else 0) + self.whole

    @property
    def compares(self) -> bool:
        """Whether both protocols are read."""
        return self.grid is not None and self.whole


def plan_for(info: LocalizerInfo, width: int, height: int, protocol: Protocol, most: int) -> ReadPlan:
    """What a localizer, or a detector that judges patches, reads of an image of that size."""
    if isinstance(info, PatchMapInfo):
        flags = ("patches_of_a_detector",)
        return ReadPlan(by_tiles=False, grid=None, whole=True, flags=flags, patches=info.patches)
    return plan_of(width, height, info.tile, protocol, most)


def plan_of(width: int, height: int, tile: TileSpec, protocol: Protocol, most: int) -> ReadPlan:
    """What is read of an image of that size.

    ``auto`` takes tiles where the image is large, or where the localizer reads native pixels. An image that
    is narrower than a tile is always read as a whole. The other protocol is read to compare with, except
    with ``global`` alone, and where the image is one tile.

    Args:
        most: tiles of an image.
    """
    shorter = min(width, height)
    fits = shorter >= tile.side
    grid = tile_grid(width, height, tile.side, tile.stride, most) if fits and protocol != "global" else None
    if grid is None:
        return ReadPlan(by_tiles=False, grid=None, whole=True, flags=_flags(width, height, tile))
    flags = ("more_than_max_tiles",) if len(grid) > most else ()
    if (grid.width, grid.height) == (tile.side, tile.side):
        return ReadPlan(by_tiles=True, grid=grid, whole=False, flags=flags)
    by_tiles = protocol == "tiles" or shorter > LARGE or tile.side == tile.read
    return ReadPlan(by_tiles=by_tiles, grid=grid, whole=True, flags=flags)


def _flags(width: int, height: int, tile: TileSpec) -> tuple[str, ...]:
    """Of an image that is read as a whole: whether it is too small for a tile."""
    if min(width, height) >= tile.side:
        return ()
    return ("narrower_than_tile",) if max(width, height) > tile.side else ("smaller_than_tile",)


def make_map(
    pixels: Pixels,
    tiles: TileReader,
    plan: ReadPlan,
    done: Done,
    orientation: int | None = None,
    made_by: str = "",
) -> tuple[Localization, Measured]:
    """The map of an image and its figures.

    Args:
        pixels: (height, width, 3), RGB, as stored.
        tiles: the localizer.
        done: called with the number of squares that were read since the last call.
        orientation: as EXIF states it.
        made_by: what computes, in words.

    Raises:
        ImageError: the localizer gave a value that is not finite, or memory does not hold a single tile.
    """
    height, width, _ = pixels.shape
    info = tiles.info
    tiled = map_of_tiles(pixels, plan.grid, tiles.maps, tiles.batch, done) if plan.grid else None
    if plan.patches is not None:
        whole: SmallMap | None = map_of_patches(pixels, tiles.maps, plan.patches, done)
    else:
        whole = map_of_whole(pixels, tiles.maps, done) if plan.whole else None
    main, other = (tiled, whole) if plan.by_tiles else (whole, tiled)
    assert main is not None
    measured = measure(main, width, height, info.threshold, other)
    facts = Localization(
        localizer=info.name,
        digest=info.digest,
        width=width,
        height=height,
        threshold=info.threshold,
        alarm_area=info.alarm_area,
        alarm_contrast=info.alarm_contrast,
        area=_rounded(measured.area),
        maximum=_rounded(measured.maximum),
        p99=_rounded(measured.p99),
        agreement=None if measured.agreement is None else _rounded(measured.agreement),
        contrast=_rounded(contrast(main)) if plan.by_tiles else None,
        orientation=orientation,
        made_by=made_by,
        flags=plan.flags,
    )
    if measured.region is not None:
        share = _rounded(measured.region.pixels / (width * height))
        facts = replace(facts, region=measured.region.box, region_area=share)
    return _with_protocol(facts, plan, info.tile), measured


def _with_protocol(facts: Localization, plan: ReadPlan, tile: TileSpec) -> Localization:
    if plan.patches is not None:
        side, stride = plan.patches.side, plan.patches.stride
        return replace(facts, protocol=plan.protocol, tiles=1, side=side, stride=stride)
    if not plan.by_tiles or plan.grid is None:
        return replace(facts, protocol=plan.protocol, tiles=1)
    grid = plan.grid
    return replace(
        facts, protocol=plan.protocol, scale=grid.scale, tiles=len(grid), side=tile.side, stride=tile.stride
    )


def _rounded(share: float) -> float:
    """To nine decimals: a single pixel of the largest images still counts."""
    return round(share, 9)
