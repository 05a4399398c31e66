"""Does the graph compute what PyTorch computes? Seeded crops of several kinds, at several batch sizes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from sidscan.models.onnx_graph import INPUT_NAME
from sidscan.runtimes.precision_check import natural_crops

from .network import ExportNetwork, MapNetwork, logits

BATCHES = (1, 3, 10)
BOUNDS = {"fp32": 1e-3, "fp16": 5e-2}
"""Largest |difference of logits|, times the larger of 1 and |logit|; of maps, that of probabilities."""


@dataclass(frozen=True)
class Parity:
    """How far a graph's logits, or its map, are from PyTorch's.

    Attributes:
        worst: by output of the graph, over all crops: largest |difference| / max(1, |logit|), of a map
            largest |difference of probabilities|.
        bound: what it must not exceed.
        crops: how many were compared.
    """

    worst: dict[str, float]
    bound: float
    crops: int

    @property
    def holds(self) -> bool:
        """Whether every output stays within the bound; NaN does not."""
        return all(difference <= self.bound for difference in self.worst.values())


def measure_parity(network: ExportNetwork, session: object, precision: str) -> Parity:
    """Run both on the same crops; ``session`` is an `onnxruntime.InferenceSession` on the CPU."""
    names = network.output_names
    worst = np.zeros(len(names))
    crops = natural_crops(sum(BATCHES))
    start = 0
    for size in BATCHES:
        batch = crops[start : start + size]
        start += size
        expected = logits(network, torch.from_numpy(batch)).numpy()
        measured = np.stack(session.run(names, {INPUT_NAME: batch}), axis=1)  # type: ignore[attr-defined]
        difference = np.abs(measured - expected) / np.maximum(np.abs(expected), 1)
        worst = np.maximum(worst, np.where(np.isfinite(difference), difference, np.inf).max(axis=0))
    largest = {name: float(value) for name, value in zip(names, worst, strict=True)}
    return Parity(largest, BOUNDS[precision], len(crops))


@torch.inference_mode()
def measure_map_parity(network: MapNetwork, session: object, precision: str) -> Parity:
    """As `measure_parity`, of a localizer: every pixel of every map."""
    (output,) = network.output_names
    crops, start, worst = natural_crops(sum(BATCHES)), 0, 0.0
    for size in BATCHES:
        batch = crops[start : start + size]
        start += size
        (expected,) = network(torch.from_numpy(batch))
        (measured,) = session.run([output], {INPUT_NAME: batch})  # type: ignore[attr-defined]
        difference = np.abs(measured - expected.numpy())
        worst = max(worst, float(np.where(np.isfinite(difference), difference, np.inf).max()))
    return Parity({output: worst}, BOUNDS[precision], len(crops))
