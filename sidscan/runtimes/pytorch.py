"""The PyTorch runtime: every encoder runs once per batch, whatever the number of heads that read it."""

from __future__ import annotations

import copy
import threading
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray

from sidscan.config import CudaMode, Device, Precision
from sidscan.errors import RuntimeUnavailable
from sidscan.models.detectors import Detector
from sidscan.records import CropRef, CropSet
from sidscan.records.views import ImageView
from sidscan.runtimes import RuntimeInfo, check_torch_device, cpu, forward, precision_check
from sidscan.runtimes.cuda import CUDA_BATCH, CudaPool
from sidscan.runtimes.kept_trials import keep_trial, read_trial, trial_file

DTYPES = {"fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}
_MODES: dict[CudaMode, str] = {"eager": "", "graphs": ", CUDA graphs", "compiled": ", compiled"}


class PyTorchRuntime:
    """Detectors on a CPU, or on all CUDA devices that are like the first.

    On a CPU a batch is scored in parts, one core each; torch's own threads are switched off process-wide, and
    glibc keeps freed memory (`cpu.keep_memory`).
    Where the processor multiplies bfloat16 itself and nobody asked for a precision, an encoder that keeps its
    meaning in half precision computes in it, if the scores of some trial crops stay within
    `precision_check.BOUND`.

    Args:
        detectors: those that share an encoder hold the same encoder object (`models.detectors`).
        batch: crops of a pass on CUDA; None chooses. A CPU computes parts of a fixed size.
        cuda_mode: how CUDA runs the networks; a CPU does not.

    Raises:
        RuntimeUnavailable: the device or precision asked for can't be used here.
    """

    def __init__(
        self,
        detectors: Sequence[Detector],
        device: Device = "auto",
        precision: Precision = "auto",
        batch: int | None = None,
        cuda_mode: CudaMode = "eager",
    ) -> None:
        self._device = open_device(device)
        self.detectors = tuple(detector.info for detector in detectors)
        used = {
            detector.info.name: encoder_precision(
                precision, self._device, detector.fp16_safe, detector.info.name
            )
            for detector in detectors
        }
        for detector in detectors:
            detector.encoder.to(self._device, DTYPES[used[detector.info.name]])
            detector.head.to(self._device)  # heads stay in float32, as published
        choice = ""
        if precision == "auto" and self._device.type == "cpu" and precision_check.has_fast_bf16():
            chosen, choice = _to_bf16_if_close(detectors)
            used |= chosen
        on_cuda = self._device.type == "cuda"
        name = f"pytorch {torch.__version__}" + (_MODES[cuda_mode] if on_cuda else "")
        self.info = RuntimeInfo(name, device_name(self._device), _in_words(used), choice)
        of_crops = [detector for detector in detectors if detector.info.view is None]
        self._groups = forward.group_by_mirroring(of_crops)
        self._of_views = [detector for detector in detectors if detector.info.view is not None]
        self._cpu_pool: cpu.CpuPool | None = None
        self._cuda_pool: CudaPool | None = None
        self._one_at_a_time = threading.Lock()  # pictures of whole images may fill a GPU's memory
        if not on_cuda:
            torch.set_num_threads(1)
            self._cpu_pool = cpu.CpuPool()
            self.batch, self.at_once, self.devices = batch or cpu.CPU_BATCH, cpu.CPU_BATCHES_AT_ONCE, 1
        else:
            devices = devices_like(self._device)
            self._cuda_pool = CudaPool(of_crops, devices, batch or CUDA_BATCH, cuda_mode)
            self.batch, self.devices = batch or CUDA_BATCH, len(devices)
            self.at_once = self._cuda_pool.count + 1  # one batch waits, so that no stream does

    def logits(self, crops: CropSet) -> NDArray[np.float32]:
        """Crops -> logits (crops, columns), as `Runtime.logits` orders them."""
        if self._cuda_pool is not None:
            return self._cuda_pool.logits(crops)
        assert self._cpu_pool is not None
        spread, pixels = self._cpu_pool.compute, torch.from_numpy(crops.crops)
        return forward.gather(
            self._groups,
            crops.order,
            lambda group, needed: spread(lambda part: _on_cpu(group.detectors, pixels, part), needed),
        )

    def view_logits(self, view: ImageView, pictures: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Pictures (b, rows, columns, 3) -> logits (b, detectors that read this view, in order)."""
        detectors = [detector for detector in self._of_views if detector.info.view == view]
        pixels, every = torch.from_numpy(pictures), [(index, False) for index in range(len(pictures))]
        if self._cpu_pool is not None:
            return self._cpu_pool.compute(lambda part: _on_cpu(detectors, pixels, part), every)
        with self._one_at_a_time:
            logits = forward.compute_logits(detectors, pixels.to(self._device), every)
            result: NDArray[np.float32] = logits.cpu().numpy()
            return result

    def abandon(self) -> None:
        """Give up what waits for a core; a batch on an accelerator takes no time to speak of."""
        if self._cpu_pool is not None:
            self._cpu_pool.abandon()


def _on_cpu(detectors: Sequence[Detector], crops: torch.Tensor, refs: Sequence[CropRef]) -> forward.Logits:
    result: forward.Logits = forward.compute_logits(detectors, crops, refs).numpy()
    return result


def _to_bf16_if_close(detectors: Sequence[Detector]) -> tuple[dict[str, str], str]:
    """Convert the encoders of detectors on the CPU to bfloat16 where that keeps the scores.

    Returns:
        the precision of those that changed, by name; why, in words.
    """
    safe = [detector for detector in detectors if detector.fp16_safe]
    if not safe:
        return {}, ""
    file = trial_file([d.info.digest for d in detectors], [f"torch {torch.__version__}"])
    kept = read_trial(file)
    differences = kept.differences if kept else _bf16_differences(detectors)
    if kept is None:
        keep_trial(file, differences)
    measured = (
        f"logits of {precision_check.CROPS} trial crops differ from fp32's by up to {differences.logit:.2g}, "
        f"scores by up to {differences.score:.2g}" + (f" (tried on {kept.tried})" if kept else "")
    )
    if differences.score > precision_check.BOUND:
        return {}, f"fp32: in bf16 {measured}, more than {precision_check.BOUND}"
    for detector in safe:
        detector.encoder.to(torch.bfloat16)
    return {detector.info.name: "bf16" for detector in safe}, f"bf16: {measured}"


def _bf16_differences(detectors: Sequence[Detector]) -> precision_check.Differences:
    """How far off the scores of trial crops are with encoders in bfloat16."""
    trial = CropSet.plain(precision_check.natural_crops(precision_check.CROPS))
    crops = torch.from_numpy(trial.crops)
    copies = {
        id(d.encoder): copy.deepcopy(d.encoder).to(torch.bfloat16) for d in detectors if d.fp16_safe
    }  # one per encoder, whatever the number of heads
    halved = [replace(d, encoder=copies[id(d.encoder)]) if d.fp16_safe else d for d in detectors]
    scores = slice(len(detectors))  # what probes of cautions say has no part in the choice
    logits = [_on_cpu(variant, crops, trial.order)[:, scores] for variant in (detectors, halved)]
    return precision_check.largest_differences(*logits)


def open_device(asked: Device) -> torch.device:
    """The device asked for, with products of full precision.

    Raises:
        RuntimeUnavailable: it can't be used here.
    """
    check_torch_device(asked)
    available = torch.cuda.is_available()
    if asked == "cuda" and not available:
        raise RuntimeUnavailable(
            "CUDA was asked for, but torch finds no usable CUDA device",
            "Check the driver with nvidia-smi, or scan with --device cpu.",
        )
    # What is called fp32 is fp32: TF32 would keep 10 bits of the mantissa.
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
    return torch.device("cuda" if available and asked != "cpu" else "cpu")


def devices_like(first: torch.device) -> list[torch.device]:
    """All CUDA devices of the first one's kind. Devices of another kind would differ in the last digits."""
    names = [torch.cuda.get_device_name(number) for number in range(torch.cuda.device_count())]
    kind = torch.cuda.get_device_name(first)
    others = [number for number, name in enumerate(names) if name == kind]
    return [torch.device("cuda", number) for number in others]


def encoder_precision(asked: Precision, device: torch.device, fp16_safe: bool, name: str) -> str:
    """The precision of an encoder: the one asked for; by default fp16 on CUDA if that is safe, else fp32.

    Args:
        name: of the detector or encoder, for messages.

    Raises:
        RuntimeUnavailable: it works in fp32 only, or the device does not compute in what was asked for.
    """
    if asked == "auto":
        return "fp16" if device.type == "cuda" and fp16_safe else "fp32"
    if asked != "fp32" and not fp16_safe:
        raise RuntimeUnavailable(f"{name} works in fp32 only", "Leave --precision out, or choose fp32.")
    if asked == "fp16" and device.type == "cpu":
        raise RuntimeUnavailable("fp16 is not offered on a CPU", "Choose --precision fp32 or bf16.")
    return asked


def _in_words(used: dict[str, str]) -> str:
    """One precision, or one per detector where they differ."""
    if len(set(used.values())) == 1:
        return next(iter(used.values()))
    return ", ".join(f"{name} {precision}" for name, precision in used.items())


def device_name(device: torch.device) -> str:
    return f"cuda ({torch.cuda.get_device_name(device)})" if device.type == "cuda" else "cpu"
