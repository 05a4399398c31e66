"""What decoders and everything that people have without them find in composites, image by image."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypedDict

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from sidscan.localize.contrast import contrast
from sidscan.localize.tiles import SmallMap
from sidscan.models.backbones.clip import ClipEncoder
from sidscan.models.heads.rine_ensemble import RineEnsemble
from sidscan.models.heads.token_decoder import TokenDecoder
from sidscan.training.common.pixels import Pixels
from sidscan.training.rine_b16.features import open_encoder

from .agreement import MapAgreement, agreement
from .baselines import error_level_map, inspected_map, mini_scores
from .material import Material
from .measure import (
    MOST_TILES,
    SIDE,
    Job,
    at_full_size,
    blended,
    decoded_maps,
    grid_of,
    measured_image,
    overlapping_maps,
    tiles_of,
)
from .regions import Mask
from .tokens import TokenScale, read_tiles

OURS, OVERLAPPING, INSPECTED, MINI, ERRORS = (
    "localizer-b16",
    "rine-b16, overlapping windows",
    "rine-b16, inspect",
    "mini, inspect",
    "error-level analysis",
)
METHODS = (OURS, OVERLAPPING, INSPECTED, MINI, ERRORS)


class Result(TypedDict):
    """One image."""

    kind: str
    area: float | None
    number: int
    condition: str
    fold: int
    repos: list[str]
    side: int  # px
    synthetic: float  # share of pixels
    contrast: float | None  # of localizer-b16's map; None where it was not measured
    maps: dict[str, MapAgreement]


@dataclass
class CompositeResults:
    """(index, job) -> `Result`, by what was not fitted on the repositories that the image is made of.

    Args:
        materials: of each fold, for composites of a side.
        decoders, heads: one per fold.
        mini: file of mini's weights, which were fitted on all repositories.
        overlapping: also make a map of rine-b16's scores of the localizer's own tiles.
    """

    materials: Mapping[int, Sequence[Material]]
    decoders: Sequence[TokenDecoder]
    heads: Sequence[RineEnsemble]
    blocks: tuple[int, ...]
    scale: TokenScale
    mini: Path
    overlapping: bool = True

    def __post_init__(self) -> None:
        self._encoder: ClipEncoder | None = None  # opened in each process: it is large

    def __call__(self, numbered: tuple[int, Job]) -> Result:
        job = numbered[1]
        pixels, synthetic, repos = measured_image(self.materials, job)
        ours, maps = self._tile_maps(pixels, job)
        if job.side == SIDE:
            maps[ERRORS] = error_level_map(pixels)
        if job.inspected:
            maps[INSPECTED] = inspected_map(pixels, lambda windows: self._scores(windows, job.fold))
            maps[MINI] = inspected_map(pixels, mini_scores(self.mini))
        return {
            "kind": job.kind,
            "area": job.area,
            "number": job.number,
            "condition": job.condition,
            "fold": job.fold,
            "repos": list(repos),
            "side": job.side,
            "synthetic": float(synthetic.mean()),
            "contrast": round(contrast(ours), 4),
            "maps": {name: agreement(values, synthetic) for name, values in maps.items()},
        }

    def _tile_maps(self, pixels: Pixels, job: Job) -> tuple[SmallMap, dict[str, Mask]]:
        """Our map as it is made, and all that are made of the same tiles, at the image's size."""
        grid = grid_of(pixels, MOST_TILES)
        tiles, ours, scores, with_cls = tiles_of(pixels, grid), [], [], self.overlapping and job.side == SIDE
        for start in range(0, len(tiles), 8):
            tokens, cls = read_tiles(self.encoder, tiles[start : start + 8], self.blocks, with_cls)
            ours.append(decoded_maps(self.decoders[job.fold], self.scale.packed(tokens)))
            if with_cls:
                scores.append(overlapping_maps(self.heads[job.fold], cls))
        small = blended(np.concatenate(ours), grid)
        maps = {OURS: at_full_size(small, grid, pixels)}
        if scores:
            maps[OVERLAPPING] = blended(np.concatenate(scores), grid).values
        return small, maps

    @property
    def encoder(self) -> ClipEncoder:
        """Opened when it is first needed."""
        if self._encoder is None:
            cv2.setNumThreads(1)  # the processes share the cores
            self._encoder = open_encoder()
        return self._encoder

    def _scores(self, windows: Pixels, fold: int) -> NDArray[np.float32]:
        """Scores of rine-b16's head, (n,)."""
        parts = []
        for start in range(0, len(windows), 8):
            _, cls = read_tiles(
                self.encoder, list(windows[start : start + 8]), self.blocks[:1], with_cls=True
            )
            with torch.inference_mode():
                parts.append(self.heads[fold](torch.from_numpy(cls).float()).sigmoid())
        return torch.cat(parts).numpy()
