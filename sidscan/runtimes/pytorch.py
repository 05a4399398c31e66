"""The PyTorch runtime: every encoder runs once per batch, whatever the number of heads that read it."""

from __future__ import annotations

import copy
import math
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray

from sidscan.config import Device, Precision
from sidscan.errors import RuntimeUnavailable
from sidscan.models.backbones import Reading
from sidscan.models.detectors import Detector
from sidscan.runtimes import RuntimeInfo, trial

_CPU_BATCH = 10  # crops in a part, those of one picture
DTYPES = {"fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}


class PyTorchRuntime:
    """Detectors on one device.

    On a CPU a batch is scored in parts, one core each; torch's own threads are switched off process-wide.
    Where the processor multiplies bfloat16 itself and nobody asked for a precision, an encoder that keeps its
    meaning in half precision computes in it, if the scores of some trial crops stay within `trial.BOUND`.

    Args:
        detectors: those that share an encoder hold the same encoder object (`models.detectors.load`).

    Raises:
        RuntimeUnavailable: the device or precision asked for is not to be had.
    """

    def __init__(
        self, detectors: Sequence[Detector], device: Device = "auto", precision: Precision = "auto"
    ) -> None:
        self._device = open_device(device)
        self.detectors = tuple(detector.info for detector in detectors)
        used = {detector.info.name: _precision(precision, self._device, detector) for detector in detectors}
        for detector in detectors:
            detector.encoder.to(self._device, DTYPES[used[detector.info.name]])
            detector.head.to(self._device)  # heads stay in float32, as published
        choice = ""
        if precision == "auto" and self._device.type == "cpu" and trial.has_fast_bf16():
            detectors, chosen, choice = _tried_in_bf16(detectors)
            used |= chosen
        self._detectors = tuple(detectors)
        self._cores = os.cpu_count() or 1
        self._pool: ThreadPoolExecutor | None = None
        if self._device.type == "cpu":
            # Threads that meet at the end of every operation wait for the slowest, which costs most where
            # readers or other programs share the cores. So: one thread per part.
            torch.set_num_threads(1)
            self._pool = ThreadPoolExecutor(self._cores, thread_name_prefix="sidscan-scorer")
        self.info = RuntimeInfo(
            f"pytorch {torch.__version__}", _device_name(self._device), _in_words(used), choice
        )

    def logits(self, crops: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Crops (b, 224, 224, 3) RGB -> logits (b, number of detectors)."""
        if self._pool is None:
            return self._score(crops)
        parts = max(self._cores, math.ceil(len(crops) / _CPU_BATCH))
        return np.concatenate(
            list(self._pool.map(self._score, np.array_split(crops, min(parts, len(crops)))))
        )

    def _score(self, crops: NDArray[np.uint8]) -> NDArray[np.float32]:
        return _score(self._detectors, crops, self._device)


@torch.inference_mode()
def _score(
    detectors: Sequence[Detector], crops: NDArray[np.uint8], device: torch.device
) -> NDArray[np.float32]:
    """Crops (b, 224, 224, 3) -> logits (b, detectors); every encoder runs once, for what its heads read."""
    batch = torch.from_numpy(crops).to(device).permute(0, 3, 1, 2)
    asked: dict[int, set[Reading]] = {}
    for detector in detectors:
        asked.setdefault(id(detector.encoder), set()).add(detector.head.reads)
    read: dict[int, dict[Reading, torch.Tensor]] = {}
    columns = []
    for detector in detectors:
        key = id(detector.encoder)
        if key not in read:
            read[key] = detector.encoder.read(batch, asked[key])
        columns.append(detector.head(read[key][detector.head.reads]))
    result: NDArray[np.float32] = torch.stack(columns, dim=1).cpu().numpy()
    return result


def _tried_in_bf16(
    detectors: Sequence[Detector],
) -> tuple[Sequence[Detector], dict[str, str], str]:
    """Detectors on the CPU with encoders in bfloat16 where scores stay: these, what changed, and in words."""
    cpu, crops = torch.device("cpu"), trial.natural_crops(trial.CROPS)
    copies = {
        id(d.encoder): copy.deepcopy(d.encoder).to(torch.bfloat16) for d in detectors if d.half
    }  # one per encoder, whatever the number of heads
    if not copies:
        return detectors, {}, ""
    halved = [replace(d, encoder=copies[id(d.encoder)]) if d.half else d for d in detectors]
    difference = trial.largest_score_difference(_score(detectors, crops, cpu), _score(halved, crops, cpu))
    found = f"scores of {trial.CROPS} trial crops differ from fp32's by up to {difference:.2g}"
    if difference > trial.BOUND:
        return detectors, {}, f"fp32: in bf16 {found}, more than {trial.BOUND}"
    return halved, {d.info.name: "bf16" for d in detectors if d.half}, f"bf16: {found}"


def open_device(asked: Device) -> torch.device:
    """The device asked for, with products of full precision.

    Raises:
        RuntimeUnavailable: it is not to be had.
    """
    if asked not in ("auto", "cpu", "cuda"):
        raise RuntimeUnavailable(
            f"{asked} runs exported graphs only",
            "Export with `sidscan export-onnx`, and scan --runtime onnx.",
        )
    available = torch.cuda.is_available()
    if asked == "cuda" and not available:
        raise RuntimeUnavailable(
            "CUDA was asked for, but torch finds no usable CUDA device",
            "Check the driver with nvidia-smi, or scan with --device cpu.",
        )
    # What is called fp32 is fp32: TF32 would keep 10 bits of the mantissa.
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
    return torch.device("cuda" if available and asked != "cpu" else "cpu")


def _precision(asked: Precision, device: torch.device, detector: Detector) -> str:
    """Of a detector's encoder: as asked; else fp16 on CUDA, where it keeps its meaning, or fp32."""
    if asked == "auto":
        return "fp16" if device.type == "cuda" and detector.half else "fp32"
    if asked != "fp32" and not detector.half:
        raise RuntimeUnavailable(
            f"{detector.info.name} works in fp32 only", "Leave --precision out, or choose fp32."
        )
    if asked == "fp16" and device.type == "cpu":
        raise RuntimeUnavailable("fp16 is not offered on a CPU", "Choose --precision fp32 or bf16.")
    return asked


def _in_words(used: dict[str, str]) -> str:
    """One precision, or one per detector where they differ."""
    if len(set(used.values())) == 1:
        return next(iter(used.values()))
    return ", ".join(f"{name} {precision}" for name, precision in used.items())


def _device_name(device: torch.device) -> str:
    return f"cuda ({torch.cuda.get_device_name(device)})" if device.type == "cuda" else "cpu"
