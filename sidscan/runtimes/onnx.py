"""The ONNX runtime: an exported graph on a chosen execution provider, without torch and open_clip."""

from __future__ import annotations

import io
import math
import os
from concurrent.futures import ThreadPoolExecutor
from contextlib import redirect_stdout
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from sidscan.config import Device, Precision
from sidscan.errors import ModelError, RuntimeUnavailable
from sidscan.models.detectors import SIDE, DetectorInfo
from sidscan.models.graphs import INPUT, KEY, GraphInfo, check_seal
from sidscan.runtimes import RuntimeInfo

_CPU_BATCH = 10  # crops in a part, those of one picture
_FIXED_BATCH = 40  # crops; accelerators plan anew for every other number
_ENGINE_CACHE = "tensorrt-engines"
_PROVIDERS = {
    "cpu": "CPUExecutionProvider",
    "cuda": "CUDAExecutionProvider",
    "tensorrt": "TensorrtExecutionProvider",
    "coreml": "CoreMLExecutionProvider",
    "directml": "DmlExecutionProvider",
}
_REMEDIES = {
    "cuda": "Check the driver with nvidia-smi, install CUDA and cuDNN with pip install "
    "'onnxruntime-gpu[cuda,cudnn]', or scan with --device cpu.",
    "tensorrt": "Install TensorRT's libraries (pip install tensorrt), or choose --device cuda or cpu.",
    "coreml": "CoreML is there on macOS alone; choose --device cpu.",
    "directml": "DirectML needs Windows and pip install onnxruntime-directml; or choose --device cpu.",
}


class OnnxRuntime:
    """One exported graph, which may hold several detectors.

    Args:
        path: of the file.
        device: execution provider; ``auto`` is CUDA where an NVIDIA device is seen, else the CPU.
        precision: must be the file's where it is stated.

    Raises:
        ModelError: the file is not, or no longer, what `sidscan export-onnx` wrote.
        RuntimeUnavailable: the provider asked for does not start, or the precision is another.
    """

    def __init__(self, path: Path, device: Device = "auto", precision: Precision = "auto") -> None:
        self.sha256 = check_seal(path)
        self._device = _choose(device)
        if precision == "bf16":
            raise RuntimeUnavailable("exported graphs are fp32 or fp16", "Leave --precision out.")
        self._session = _session(path, self._device, self.sha256)
        self.graph = _info(path, self._session)
        if precision not in ("auto", self.graph.precision):
            raise RuntimeUnavailable(
                f"{path.name} was exported in {self.graph.precision}, not {precision}",
                f"Leave --precision out, or export with --precision {precision}.",
            )
        self.detectors = tuple(_vouched(detector, path) for detector in self.graph.detectors)
        self._outputs = [detector.name for detector in self.detectors]
        runtime = f"onnxruntime {ort.__version__}, {path.name} {self.sha256[:16]}"
        self.info = RuntimeInfo(runtime, self._device, self.graph.computes)
        self._cores = os.cpu_count() or 1
        self._pool: ThreadPoolExecutor | None = None
        if self._device == "cpu":
            self._pool = ThreadPoolExecutor(self._cores, thread_name_prefix="sidscan-scorer")

    def logits(self, crops: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Crops (b, 224, 224, 3) RGB -> logits (b, number of detectors)."""
        if self._pool is None:
            starts = range(0, len(crops), _FIXED_BATCH)
            return np.concatenate([self._fixed(crops[start : start + _FIXED_BATCH]) for start in starts])
        parts = min(max(self._cores, math.ceil(len(crops) / _CPU_BATCH)), len(crops))
        return np.concatenate(list(self._pool.map(self._run, np.array_split(crops, parts))))

    def _run(self, crops: NDArray[np.uint8]) -> NDArray[np.float32]:
        outputs = self._session.run(self._outputs, {INPUT: np.ascontiguousarray(crops)})
        return np.stack([np.asarray(output, dtype=np.float32) for output in outputs], axis=1)

    def _fixed(self, crops: NDArray[np.uint8]) -> NDArray[np.float32]:
        """On an accelerator: always the same number of crops, bound to its memory."""
        batch = np.zeros((_FIXED_BATCH, *crops.shape[1:]), dtype=np.uint8)
        batch[: len(crops)] = crops
        binding = self._session.io_binding()
        binding.bind_cpu_input(INPUT, batch)
        for name in self._outputs:
            binding.bind_output(name)
        self._session.run_with_iobinding(binding)
        outputs = binding.copy_outputs_to_cpu()
        return np.stack([np.asarray(output, np.float32)[: len(crops)] for output in outputs], axis=1)


def _choose(asked: Device) -> str:
    """A device by name; ``auto`` tries no more than CUDA, and only where a driver can be seen."""
    if asked != "auto":
        return asked
    there = Path("/dev/nvidia0").exists() and _PROVIDERS["cuda"] in ort.get_available_providers()
    return "cuda" if there else "cpu"


def _session(path: Path, device: str, sha256: str) -> Any:
    """A session whose first provider is the one that was asked for."""
    wanted = _PROVIDERS[device]
    if wanted not in ort.get_available_providers():
        raise RuntimeUnavailable(f"this build of onnxruntime has no {wanted}", _REMEDIES[device])
    ort.set_default_logger_severity(4)  # what fails is told below, in our words
    options = ort.SessionOptions()
    options.log_severity_level = 4
    if device == "cpu":
        options.intra_op_num_threads = options.inter_op_num_threads = 1  # one thread per part
    try:
        with redirect_stdout(io.StringIO()):  # it prints of its troubles where the report goes
            if device in ("cuda", "tensorrt") and hasattr(ort, "preload_dlls"):
                # The libraries that pip installed; without them the CPU would stand in.
                ort.preload_dlls(directory="")
            providers = [(wanted, _settings(device, path, sha256))]
            session = ort.InferenceSession(str(path), options, providers=providers)
    except Exception as error:  # onnxruntime's errors share no base of their own
        if device != "cpu":
            raise RuntimeUnavailable(
                f"onnxruntime can't run {path} on {device}: {_first_line(error)}", _REMEDIES[device]
            ) from error
        raise ModelError(
            f"onnxruntime can't load {path}: {_first_line(error)}", "Export it again."
        ) from error
    if session.get_providers()[0] != wanted:
        raise RuntimeUnavailable(
            f"{device} was asked for, but onnxruntime can't start its {wanted}", _REMEDIES[device]
        )
    return session


def _settings(device: str, path: Path, sha256: str) -> dict[str, str]:
    """Options of a provider. What is called fp32 is fp32: TF32 would keep 10 bits of the mantissa."""
    if device == "cuda":
        return {"use_tf32": "0"}
    if device == "tensorrt":
        # TensorRT knows its engines by a graph's name and shape, not by its weights.
        cache = path.parent / _ENGINE_CACHE / sha256
        return {
            "trt_fp16_enable": "0",  # the file's own precision, no other
            "trt_engine_cache_enable": "1",
            "trt_engine_cache_path": str(cache),
        }
    return {}


def _info(path: Path, session: Any) -> GraphInfo:
    try:
        info = GraphInfo.from_json(session.get_modelmeta().custom_metadata_map[KEY])
        _check_ends(session, [one.name for one in info.detectors])
    except (AttributeError, KeyError, RecursionError, TypeError, ValueError) as error:
        raise ModelError(
            f"{path} does not say which detectors it holds, or holds something else",
            "`sidscan export-onnx` makes such files.",
        ) from error
    return info


def _check_ends(session: Any, names: list[str]) -> None:
    """What goes in and comes out is what `sidscan export-onnx` writes; ValueError where it is not."""
    (taken,), given = session.get_inputs(), session.get_outputs()
    if (taken.name, taken.type, taken.shape[1:]) != (INPUT, "tensor(uint8)", [SIDE, SIDE, 3]):
        raise ValueError("input")
    if [(one.name, one.type) for one in given] != [(name, "tensor(float)") for name in names]:
        raise ValueError("outputs")


def _vouched(detector: DetectorInfo, path: Path) -> DetectorInfo:
    """A graph's own words on where its weights come from are no more than that."""
    said = {name: f"stated by {path.name}: {how}" for name, how in detector.provenance.items()}
    return replace(detector, provenance=said)


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
