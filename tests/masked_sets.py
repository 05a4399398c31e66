"""Generated data sets with masks: noise of one spectrum, and synthetic regions of another."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from training_sets import noise_image

SIDE = 240  # pixels, as `training_sets.noise_image` makes them


def masked_image(rng: np.random.Generator) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    """One image (SIDE, SIDE, 3), and where it is synthetic: a rectangle of a fifth to a third of it."""
    height, width = rng.integers(SIDE * 2 // 5, SIDE * 3 // 5, 2)
    top, left = (int(rng.integers(0, SIDE - length + 1)) for length in (height, width))
    region = np.zeros((SIDE, SIDE), bool)
    region[top : top + height, left : left + width] = True
    real, synthetic = noise_image(rng, synthetic=False), noise_image(rng, synthetic=True)
    return np.where(region[:, :, None], synthetic, real), region


def save_mask(region: NDArray[np.bool_], path: Path, black_is_synthetic: bool = False) -> None:
    """Write an 8-bit mask."""
    path.parent.mkdir(parents=True, exist_ok=True)
    white = ~region if black_is_synthetic else region
    Image.fromarray(white.astype(np.uint8) * 255).save(path)


def dolos_like(
    folder: Path, counts: dict[str, int], sets: tuple[str, ...] = ("ldm",), real: bool = True, seed: int = 0
) -> Path:
    """Write ``counts`` images per part and set, masks as Dolos has them, and as many real ones."""
    rng = np.random.default_rng(seed)
    for split, count in counts.items():
        for name in sets:
            for number in range(count):
                pixels, region = masked_image(rng)
                path = folder / "fake" / name / "images" / split / f"{number:03d}-0.png"
                path.parent.mkdir(parents=True, exist_ok=True)
                Image.fromarray(pixels).save(path)
                mask = folder / "fake" / name / "masks" / split / path.name
                save_mask(region, mask, black_is_synthetic=True)
        if real:
            (folder / "real" / split).mkdir(parents=True)
            for number in range(count):
                image = Image.fromarray(noise_image(rng, synthetic=False))
                image.save(folder / "real" / split / f"{number:03d}.png")
    return folder
