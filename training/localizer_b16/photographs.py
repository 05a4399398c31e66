"""What maps of whole photographs show, and the contrast above which `localize` speaks of a region to look at.

A map that marks nothing of a photograph is rare: pixels are many. So a map is worth a look only where one
part stands out more than in 99 of 100 whole photographs.

Tiles as `sidscan localize` lays them cost four times as much as tiles that do not overlap. So all photographs
are read with the latter first; then those of which a part stands out most or most is marked, and some of the
others, drawn by lot, are read as `localize` reads them. Each that was drawn stands for several.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypedDict

import numpy as np
from numpy.typing import NDArray

from sidscan.localize.contrast import contrast
from sidscan.models.backbones.clip import ClipEncoder
from sidscan.models.heads.token_decoder import TokenDecoder
from sidscan.training.rine_b16.features import open_encoder
from sidscan.training.windows.corpus import Window, decode_window
from sidscan.training.windows.parallel import map_windows
from sidscan.training.windows.sampling_weights import REPOSITORY_POWER, sampling_weights

from .agreement import AT_HALF, agreement
from .measure import STRIDE, blended, decoded_maps, photograph_grid, tiles_of
from .tokens import TILE, TokenScale, read_tiles

ALARM_RATE = 0.01  # share of whole photographs, weighted by repository, that an alarm may be wrong about
PER_REPOSITORY = 12
PHOTOGRAPHS = 520
SUSPECTS = 31  # of the first reading that are read again
DRAWN = 22  # of the others, by lot
_SEED = 8


class Reading(TypedDict):
    """What a map of one photograph shows.

    ``marked`` is the share above each of THRESHOLDS.
    """

    contrast: float
    marked: list[float]


class PhotographResult(TypedDict):
    """One photograph: with tiles side by side, and as `localize` reads it, if it was chosen for that."""

    apart: Reading
    overlapping: Reading | None


@dataclass
class PhotographReadings:
    """(index, photograph) -> `Reading`, by the decoder of its fold."""

    decoders: Sequence[TokenDecoder]
    blocks: tuple[int, ...]
    scale: TokenScale
    fold_of: Mapping[str, int]
    stride: int = TILE

    def __post_init__(self) -> None:
        self._encoder: ClipEncoder | None = None  # opened in each process: it is large

    def __call__(self, numbered: tuple[int, Window]) -> Reading:
        window = numbered[1]
        pixels = decode_window(window)
        if self._encoder is None:
            self._encoder = open_encoder()
        grid = photograph_grid(pixels, self.stride)
        tiles, decoder, maps = tiles_of(pixels, grid), self.decoders[self.fold_of[window.repo]], []
        for start in range(0, len(tiles), 8):
            tokens, _ = read_tiles(self._encoder, tiles[start : start + 8], self.blocks)
            maps.append(decoded_maps(decoder, self.scale.packed(tokens)))
        small = blended(np.concatenate(maps), grid)
        marked = agreement(small.values, None)["marked"]
        return {"contrast": round(contrast(small), 4), "marked": [round(share, 4) for share in marked]}


def photograph_results(
    task: PhotographReadings, photographs: Sequence[Window], workers: int
) -> dict[str, PhotographResult]:
    """By file; see this module."""
    apart = map_windows(task, photographs, workers, "photographs")
    chosen = sorted(set(suspects(apart)) | set(drawn(apart)))
    task.stride = STRIDE
    again = map_windows(task, [photographs[i] for i in chosen], workers, "photographs again")
    overlapping = dict(zip(chosen, again, strict=True))
    return {
        each.file: {"apart": reading, "overlapping": overlapping.get(index)}
        for index, (each, reading) in enumerate(zip(photographs, apart, strict=True))
    }


def suspects(apart: Sequence[Reading]) -> list[int]:
    """Photographs whose part stands out most or of which most is marked, by the better of both ranks."""
    return _ranked(apart)[:SUSPECTS]


def drawn(apart: Sequence[Reading]) -> list[int]:
    """Some of the others, by lot."""
    others = sorted(_ranked(apart)[SUSPECTS:])
    random.Random(_SEED).shuffle(others)
    return others[:DRAWN]


def _ranked(apart: Sequence[Reading]) -> list[int]:
    measures = np.array([[each["contrast"], each["marked"][AT_HALF]] for each in apart])
    ranks = (-measures).argsort(axis=0, kind="stable").argsort(axis=0, kind="stable")
    return [int(index) for index in np.argsort(ranks.min(axis=1), kind="stable")]


def stand_for(results: Sequence[PhotographResult]) -> NDArray[np.float64]:
    """How many photographs each stands for: suspects for themselves, others read again for the rest."""
    first = suspects([each["apart"] for each in results])
    others = [i for i, each in enumerate(results) if each["overlapping"] and i not in set(first)]
    counts = np.zeros(len(results))
    counts[first] = 1.0
    counts[others] = (len(results) - len(first)) / max(len(others), 1)
    return counts


def alarm_level(
    values: NDArray[np.float64], photographs: Sequence[Window], counts: NDArray[np.float64] | None = None
) -> float:
    """The value that ALARM_RATE of photographs exceed.

    A repository of n photographs weighs n ** REPOSITORY_POWER.

    Args:
        values: (photographs,).
        counts: how many each stands for; one each, if None.
    """
    weights = sampling_weights(
        [False] * len(photographs), [each.repo for each in photographs], REPOSITORY_POWER
    ).double().numpy() * (1.0 if counts is None else counts)
    order = np.argsort(-values, kind="stable")
    above = np.cumsum(weights[order])
    first_below = int((above <= ALARM_RATE * above[-1]).sum())
    return float(values[order[first_below]])
