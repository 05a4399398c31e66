"""Does a faster precision keep the scores? Tried with the weights and on the machine at hand, not assumed."""

from __future__ import annotations

import io
from functools import cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from sidscan.config import SIDE

CROPS = 4
BOUND = 0.01  # largest |difference of scores| from fp32's at which a faster precision is chosen unasked
CPU_FACTS = Path("/proc/cpuinfo")
_BF16_FLAGS = {"avx512_bf16", "amx_bf16"}


@cache
def has_fast_bf16() -> bool:
    """Whether this processor multiplies bfloat16 itself; elsewhere it would be slower than float32.

    Linux names the features of x86 processors; False on all other systems.
    """
    try:
        return not _BF16_FLAGS.isdisjoint(CPU_FACTS.read_text(encoding="utf-8").split())
    except OSError:
        return False


class Differences(NamedTuple):
    """Largest |difference| of logits, and of scores; infinite where a logit is NaN.

    A score far from one half hides a difference that the same logits would make of a score near it.
    """

    logit: float
    score: float


def largest_differences(logits: NDArray[np.float32], others: NDArray[np.float32]) -> Differences:
    """Between two arrays of logits of one shape."""
    values = [array.astype(np.float64) for array in (logits, others)]
    scores = [1 / (1 + np.exp(-array)) for array in values]
    return Differences(_largest(*values), _largest(*scores))


def _largest(one: NDArray[np.float64], other: NDArray[np.float64]) -> float:
    difference = np.abs(one - other)
    return float(np.where(np.isfinite(difference), difference, np.inf).max())


def natural_crops(count: int, seed: int = 0) -> NDArray[np.uint8]:
    """``count`` crops (224, 224, 3): noise with a photograph's spectrum, half of it JPEGs, some padded.

    One in seven is white noise, which no photograph is.
    """
    return np.stack([_crop(np.random.default_rng([seed, number]), number) for number in range(count)])


def _crop(rng: np.random.Generator, number: int) -> NDArray[np.uint8]:
    if number % 7 == 6:
        return rng.integers(0, 256, (SIDE, SIDE, 3), dtype=np.uint8)
    axes = np.meshgrid(np.fft.fftfreq(SIDE), np.fft.rfftfreq(SIDE), indexing="ij")
    frequency = np.maximum(np.hypot(*axes), 1 / SIDE)
    spectrum = np.fft.rfft2(rng.normal(size=(3, SIDE, SIDE))) * frequency ** -rng.uniform(0.8, 1.6)
    planes = np.fft.irfft2(spectrum, (SIDE, SIDE))
    planes = planes / planes.std() * rng.uniform(15, 60) + rng.uniform(60, 200)
    pixels: NDArray[np.uint8] = planes.clip(0, 255).astype(np.uint8).transpose(1, 2, 0).copy()
    if number % 2:
        data = io.BytesIO()
        Image.fromarray(pixels).save(data, "JPEG", quality=int(rng.integers(50, 96)))
        pixels = np.asarray(Image.open(data)).copy()
    if number % 5 == 4:
        pixels[: int(rng.integers(1, 80))] = 0
    return pixels
