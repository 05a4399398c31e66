"""A localizer that is given as many tiles at once as memory holds."""

from __future__ import annotations

import numpy as np

from sidscan.errors import ImageError
from sidscan.localize.tiles import Map, Pixels
from sidscan.models.localizers import LocalizerInfo
from sidscan.records import Status
from sidscan.runtimes import OpenLocalizer


class TileReader:
    """Reads tiles, and fewer of them at once where memory, of the machine or of a GPU, is short.

    Attributes:
        info: of the localizer.
        batch: tiles that are read at once, from now on.
    """

    def __init__(self, localizer: OpenLocalizer, batch: int) -> None:
        self._localizer = localizer
        self.info: LocalizerInfo = localizer.info
        self.batch = batch

    def maps(self, tiles: Pixels) -> Map:
        """RGB (b, h, w, 3) -> probabilities (b, side, side).

        Raises:
            ImageError: memory does not hold a single tile, or a value is not finite.
        """
        while True:
            size = min(self.batch, len(tiles))
            try:
                maps = self._in_parts(tiles, size)
            except MemoryError as error:
                if size == 1:
                    raise no_memory() from error
                self.batch = size // 2
            else:
                return _finite(maps)

    def _in_parts(self, tiles: Pixels, size: int) -> Map:
        parts = [self._localizer.maps(tiles[start : start + size]) for start in range(0, len(tiles), size)]
        return parts[0] if len(parts) == 1 else np.concatenate(parts)


def no_memory() -> ImageError:
    """What a row says of an image whose map memory can't hold."""
    return ImageError(
        "making its map takes more memory than there is; close other programs, or lower --max-tiles and "
        "--batch, and run the command again",
        "MemoryError",
        Status.MEMORY_LIMIT.value,
    )


def _finite(maps: Map) -> Map:
    if not np.isfinite(maps).all():
        raise ImageError(
            "the model gave a value that is not a finite number; no map is shown",
            "NonFiniteScore",
            Status.FAILED.value,
        )
    return maps
