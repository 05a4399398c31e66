"""A decoder learns what tokens show, and maps of tiles become one map."""

from __future__ import annotations

import numpy as np
import pytest
import torch

pytest.importorskip("cv2")

from sidscan.localize.tiles import tile_grid
from sidscan.models.heads.token_decoder import TokenDecoder
from sidscan.training.localizer_b16 import fit
from sidscan.training.localizer_b16.fit import CELLS, TileTokens, coarse_maps, fit_decoder
from sidscan.training.localizer_b16.measure import blended, decoded_maps, tiles_of
from sidscan.training.localizer_b16.tokens import STEPS, measured_scale
from sidscan.training.localizer_b16.train import with_scale

BLOCKS, EMBED_DIM, GRID = (1, 2), 6, 14


def toy_tiles(count: int) -> TileTokens:
    """Tiles of which one side is synthetic: one channel of the tokens says which."""
    rng = np.random.default_rng(0)
    tokens = rng.normal(0, 1, (count, GRID, GRID, len(BLOCKS) * EMBED_DIM))
    targets = np.zeros((count, CELLS, CELLS), np.uint8)
    for number in range(count):
        if number % 3:
            edge = int(rng.integers(3, 12))
            tokens[number, :, :edge, 4] += 4
            targets[number, :, : 2 * edge] = 255
    packed = np.clip(np.rint(tokens * STEPS), -127, 127).astype(np.int8)
    return TileTokens(packed, targets, np.arange(count) % 5, ("inserted",) * count)


def test_a_decoder_learns_a_toy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fit, "EPOCHS", 10)
    tiles = toy_tiles(320)
    held_out = np.flatnonzero(tiles.folds == 0)
    decoder = fit_decoder(tiles, BLOCKS, np.flatnonzero(tiles.folds != 0), "toy")
    maps, targets = coarse_maps(decoder, tiles, held_out), tiles.targets[held_out] > 127
    assert ((maps > 0.5) == targets).mean() > 0.95


def test_a_decoder_standardises_tokens_itself() -> None:
    """Fitted to standardised tokens, it takes the encoder's own once it knows their scale."""
    rng = np.random.default_rng(0)
    tokens = rng.normal(3, 5, (4, len(BLOCKS), EMBED_DIM, GRID, GRID)).astype(np.float32)
    scale = measured_scale(tokens)
    decoder = TokenDecoder(BLOCKS, EMBED_DIM, 8).eval()
    kept = decoded_maps(decoder, scale.packed(tokens))
    with torch.inference_mode():
        direct = with_scale(decoder, scale)(*torch.from_numpy(tokens).unbind(dim=1)).sigmoid().numpy()
    assert direct.shape == (4, 224, 224)
    assert np.abs(kept - direct).max() < 0.02  # steps of 1/16 of a deviation


def test_maps_of_tiles_become_one() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (400, 500, 3)).astype(np.uint8)
    grid = tile_grid(500, 400, 224, 112, 64)
    tiles = tiles_of(pixels, grid)
    assert len(tiles) == len(grid)
    assert np.array_equal(tiles[0], pixels[:224, :224])
    whole = blended(np.stack([tile[:, :, 0].astype(np.float32) / 255 for tile in tiles]), grid)
    assert np.allclose(whole.values, pixels[:, :, 0] / 255, atol=1e-5)
