"""The tiles that decoders are fitted to: composites, their tokens, and what is synthetic in them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from sidscan.training.common.files import make_folder, write_json, writing_result
from sidscan.training.common.pixels import Pixels
from sidscan.training.rine_b16.features import open_encoder
from sidscan.training.windows.corpus import FOLDS

from .composites import Composite, random_composite
from .fit import CELLS, TileTokens
from .material import Material
from .regions import Mask
from .tokens import TILE, TileEncoder, TokenScale, encode, measured_scale, read_tiles

SERIES = "g1"  # a name for the random numbers of composites
SCALED = 96  # tiles that means and deviations of tokens are measured on


@dataclass(frozen=True)
class FittedTiles:
    """Number -> one tile; its fold is the number % FOLDS."""

    materials: Sequence[Material]

    def composite(self, number: int) -> Composite:
        """The tile, and what it is."""
        return random_composite(self.materials[number % FOLDS], (SERIES, number), TILE)

    def __call__(self, number: int) -> list[Pixels]:
        return [self.composite(number).pixels]


def fitted_tiles(
    materials: Sequence[Material], blocks: tuple[int, ...], count: int, workers: int, cache: Path
) -> tuple[TileTokens, TokenScale]:
    """Tokens and targets of ``count`` composites: read from the cache, or made and kept there.

    They take ``count`` * 0.15 MB and 0.15 s of a core for every block that is read.
    """
    folder = cache / f"tiles-{count}-of-{'-'.join(map(str, blocks))}"
    if not (folder / "made.json").is_file():
        _make(FittedTiles(materials), blocks, count, workers, folder)
    made = json.loads((folder / "made.json").read_text(encoding="utf-8"))
    with np.load(folder / "scale.npz") as stored:
        scale = TokenScale(stored["mean"], stored["deviation"])
    tokens = np.load(folder / "tokens.npy", mmap_mode="r")
    folds = np.arange(count) % FOLDS
    return TileTokens(tokens, np.load(folder / "targets.npy"), folds, tuple(made["kinds"])), scale


def _make(source: FittedTiles, blocks: tuple[int, ...], count: int, workers: int, folder: Path) -> None:
    make_folder(folder)
    scale = _scale(source, blocks, min(SCALED, count))
    with writing_result(folder / "scale.npz") as partial, partial.open("wb") as file:
        np.savez(file, mean=scale.mean, deviation=scale.deviation)
    task, kinds, targets = TileEncoder(source, blocks, scale), [], []
    tokens: NDArray[np.int8] | None = None
    for number, encoded in enumerate(encode(task, range(count), workers, "tiles")):
        if tokens is None:
            shape = (count, *encoded.tokens.shape[1:])
            tokens = np.lib.format.open_memmap(folder / "tokens.npy", "w+", np.int8, shape)
        tokens[number] = encoded.tokens[0]
        made = source.composite(number)
        kinds.append(made.kind)
        targets.append(target_of(made.synthetic))
    with writing_result(folder / "targets.npy") as partial, partial.open("wb") as file:
        np.save(file, np.stack(targets))
    write_json(folder / "made.json", {"kinds": kinds})


def _scale(source: FittedTiles, blocks: tuple[int, ...], count: int) -> TokenScale:
    encoder = open_encoder()
    tiles = [source(number)[0] for number in range(count)]
    parts = [read_tiles(encoder, tiles[start : start + 8], blocks)[0] for start in range(0, count, 8)]
    return measured_scale(np.concatenate(parts))


def target_of(synthetic: Mask) -> NDArray[np.uint8]:
    """The share of synthetic content in each of the decoder's cells, of 255."""
    return np.rint(cv2.resize(synthetic, (CELLS, CELLS), interpolation=cv2.INTER_AREA) * 255).astype(np.uint8)
