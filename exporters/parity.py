"""Does the graph compute what PyTorch computes? Seeded crops of several kinds, at several batch sizes."""

from __future__ import annotations

import io
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from sidscan.models.detectors import SIDE

from .network import Network, logits

BATCHES = (1, 3, 10)
BOUNDS = {"fp32": 1e-3, "fp16": 5e-2}  # largest |difference of logits|, times the larger of 1 and |logit|


@dataclass(frozen=True)
class Parity:
    """How far a graph's logits are from PyTorch's.

    Attributes:
        worst: largest |difference| / max(1, |logit|) over all crops, by detector.
        bound: what it must not exceed.
        crops: how many were compared.
    """

    worst: dict[str, float]
    bound: float
    crops: int

    @property
    def holds(self) -> bool:
        """Whether every detector stays within the bound; NaN does not."""
        return all(difference <= self.bound for difference in self.worst.values())


def compare(network: Network, session: object, names: list[str], precision: str) -> Parity:
    """Run both on the same crops; ``session`` is an `onnxruntime.InferenceSession` on the CPU."""
    worst = np.zeros(len(names))
    crops = natural_crops(sum(BATCHES))
    place = 0
    for size in BATCHES:
        batch = crops[place : place + size]
        place += size
        expected = logits(network, torch.from_numpy(batch)).numpy()
        found = np.stack(session.run(names, {"crops": batch}), axis=1)  # type: ignore[attr-defined]
        difference = np.abs(found - expected) / np.maximum(np.abs(expected), 1)
        worst = np.maximum(worst, np.where(np.isfinite(difference), difference, np.inf).max(axis=0))
    measured = {name: float(value) for name, value in zip(names, worst, strict=True)}
    return Parity(measured, BOUNDS[precision], len(crops))


def natural_crops(count: int, seed: int = 0) -> NDArray[np.uint8]:
    """``count`` crops (224, 224, 3): noise with a photograph's spectrum, half of them JPEGs, some padded."""
    return np.stack([_crop(np.random.default_rng([seed, number]), number) for number in range(count)])


def _crop(rng: np.random.Generator, number: int) -> NDArray[np.uint8]:
    if number % 7 == 6:
        return rng.integers(0, 256, (SIDE, SIDE, 3), dtype=np.uint8)  # what no photograph is
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
