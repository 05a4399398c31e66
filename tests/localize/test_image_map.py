"""The map of one image: which protocol is read, what its figures say, and where its regions lie."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
from red_localizer import RedLocalizer

from sidscan.errors import ImageError
from sidscan.localize.image_map import Protocol, make_map, plan_of
from sidscan.localize.tile_reader import TileReader
from sidscan.models.catalog import TileSpec

DECLIP, NATIVE = TileSpec(256, 224, 128), TileSpec(224, 224, 112)


@pytest.mark.parametrize(
    ("size", "tile", "protocol", "by_tiles", "reads"),
    [
        pytest.param((1024, 768), DECLIP, "auto", True, 35 + 1, id="large: tiles, compared with the whole"),
        pytest.param((512, 512), DECLIP, "auto", False, 9 + 1, id="small: the whole, compared with tiles"),
        pytest.param((512, 512), NATIVE, "auto", True, 16 + 1, id="small, read at native pixels: tiles"),
        pytest.param((512, 512), DECLIP, "tiles", True, 9 + 1, id="tiles were asked for"),
        pytest.param((1024, 768), DECLIP, "global", False, 1, id="the whole alone"),
        pytest.param((1024, 200), DECLIP, "auto", False, 1, id="narrower than a tile"),
        pytest.param((1024, 200), DECLIP, "tiles", False, 1, id="narrower than a tile, and tiles asked for"),
        pytest.param((256, 256), DECLIP, "auto", True, 1, id="the image is one tile"),
        pytest.param((1, 1), NATIVE, "auto", False, 1, id="one pixel"),
    ],
)
def test_what_is_read(
    size: tuple[int, int], tile: TileSpec, protocol: Protocol, by_tiles: bool, reads: int
) -> None:
    plan = plan_of(*size, tile, protocol, most=64)
    assert (plan.by_tiles, plan.reads) == (by_tiles, reads)


def test_progress_counts_what_the_plan_says() -> None:
    localizer, seen = RedLocalizer(), list[int]()
    plan = plan_of(700, 600, localizer.info.tile, "auto", 64)
    make_map(np.zeros((600, 700, 3), np.uint8), TileReader(localizer, 4), plan, seen.append)
    assert sum(seen) == plan.reads == localizer.tiles_read


@pytest.mark.parametrize("protocol", ["tiles", "global"])
def test_a_map_that_is_not_finite_is_an_error(protocol: Protocol) -> None:
    localizer = RedLocalizer()
    localizer.maps = lambda tiles: np.full((len(tiles), 128, 128), np.inf, np.float32)  # type: ignore[method-assign]
    plan = plan_of(300, 300, localizer.info.tile, protocol, 64)
    with pytest.raises(ImageError, match="not a finite number"):
        make_map(np.zeros((300, 300, 3), np.uint8), TileReader(localizer, 4), plan, lambda _: None)


@pytest.mark.parametrize(
    ("most", "scale", "tiles"),
    [pytest.param(2000, 1, 1426, id="native"), pytest.param(64, 8, 15, id="as on a CPU")],
)
def test_24_megapixels_keep_regions_in_their_place_and_memory_in_bounds(
    most: int, scale: int, tiles: int
) -> None:
    box = 2304, 1408, 3912, 2008  # left, top, right, bottom
    pixels = np.zeros((4000, 6000, 3), np.uint8)
    pixels[box[1] : box[3], box[0] : box[2]] = 255
    localizer = RedLocalizer(side=256, read=256, stride=128)
    plan = plan_of(6000, 4000, localizer.info.tile, "tiles", most)
    tracemalloc.start()
    try:
        facts, measured = make_map(pixels, TileReader(localizer, 8), plan, lambda _: None)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert (facts.protocol, facts.scale, facts.tiles) == ("tiles", scale, tiles)
    assert facts.region == pytest.approx(box, abs=1)
    assert facts.area == pytest.approx(1608 * 600 / 24e6, rel=1e-2)
    assert measured.levels.shape == (4000, 6000)
    assert peak < 300e6, f"{peak / 1e6:.0f} MB beside the pixels"
