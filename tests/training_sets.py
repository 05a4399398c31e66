"""Generated training sets in CNNDetection's layout, and a small random CLIP to encode them.

Real and synthetic images are noise of different spectra: power falls more steeply in the synthetic ones, as
if they had been upsampled.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from safetensors.torch import save_file
from tiny_networks import random_clip
from torch.nn import functional

SIDE = 240  # pixels, a little more than a crop
CLIP = {"width": 64, "blocks": 3, "patch": 28, "side": 224, "embedding": 16}
SLOPES = {False: 0.6, True: 2.5}  # of log amplitude over log frequency; by label
_FREQUENCY = np.maximum(
    np.hypot(*np.meshgrid(np.fft.fftfreq(SIDE), np.fft.rfftfreq(SIDE), indexing="ij")), 1 / SIDE
)


def noise_image(rng: np.random.Generator, synthetic: bool) -> NDArray[np.uint8]:
    """One image (SIDE, SIDE, 3)."""
    spectrum = np.fft.rfft2(rng.normal(size=(3, SIDE, SIDE))) * _FREQUENCY ** -SLOPES[synthetic]
    planes = np.fft.irfft2(spectrum, (SIDE, SIDE))
    planes /= planes.std(axis=(1, 2), keepdims=True)
    pixels: NDArray[np.uint8] = (planes * 45 + 128).clip(0, 255).astype(np.uint8).transpose(1, 2, 0)
    return pixels


def progan_like(
    folder: Path,
    classes: tuple[str, ...] = ("cat", "horse"),
    count: int = 8,
    part: str = "train",
    seed: int = 0,
) -> Path:
    """Write ``count`` images per class and label below ``folder/part``; return ``folder``."""
    rng = np.random.default_rng(seed)
    for name in classes:
        for label, synthetic in (("0_real", False), ("1_fake", True)):
            target = folder / part / name / label
            target.mkdir(parents=True)
            for number in range(count):
                Image.fromarray(noise_image(rng, synthetic)).save(target / f"{number:03d}.bmp")
    return folder


def small_clip(path: Path) -> Path:
    """Seeded random weights in open_clip's layout: high-pass patch filters, equal position embeddings.

    So the CLS token reflects how much fine detail an image has, which plain random filters hardly do.
    """
    state = random_clip(**CLIP)
    kernel = state["conv1.weight"]
    state["conv1.weight"] = 8 * (kernel - functional.avg_pool2d(kernel, 3, 1, 1))
    state["positional_embedding"][:] = state["positional_embedding"][1].clone()
    save_file({f"visual.{name}": tensor for name, tensor in state.items()}, path)
    return path
