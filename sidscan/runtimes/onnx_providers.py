"""ONNX Runtime's execution providers; nodes that the chosen one leaves to others are errors, or reported."""

from __future__ import annotations

import io
import os
from collections import Counter
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from sidscan.config import SIDE, Device
from sidscan.errors import ModelError, RuntimeUnavailable
from sidscan.models.onnx_graph import BATCH_DIMENSION, INPUT_NAME

# What `sidscan/__init__.py` sets is not read on Windows, nor where a program loaded onnxruntime before.
ort.disable_telemetry_events()

FIXED_BATCH = 40  # crops; accelerators plan anew for every other number
NVIDIA = ("cuda", "tensorrt")  # they know every kind of node that is exported
_ENGINE_CACHE = "tensorrt-engines"
_CPU = "CPUExecutionProvider"
_NAMES = {
    "cpu": _CPU,
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
_COUNTS = "get_provider_graph_assignment_info"  # of a session, from onnxruntime 1.24 on
_SAME = 1e-3  # largest difference of logits between a recorded run and a plain one


class FixedBatchSession:
    """A session that always computes `FIXED_BATCH` crops, with input and outputs at fixed addresses.

    Args:
        memory: ``cuda``, or ``cpu`` for providers that copy by themselves.
    """

    def __init__(self, session: Any, outputs: list[str], memory: str) -> None:
        self._session = session
        self._batch = np.zeros((FIXED_BATCH, SIDE, SIDE, 3), np.uint8)
        self._input = ort.OrtValue.ortvalue_from_numpy(self._batch, memory, 0)
        self._outputs = [
            ort.OrtValue.ortvalue_from_shape_and_type((FIXED_BATCH,), np.float32, memory, 0) for _ in outputs
        ]
        self._binding = session.io_binding()
        self._binding.bind_ortvalue_input(INPUT_NAME, self._input)
        for name, value in zip(outputs, self._outputs, strict=True):
            self._binding.bind_ortvalue_output(name, value)

    def logits(self, crops: NDArray[np.uint8]) -> NDArray[np.float32]:
        """At most `FIXED_BATCH` crops (b, 224, 224, 3) -> (b, outputs)."""
        self._batch[: len(crops)] = crops
        self._batch[len(crops) :] = 0
        self._input.update_inplace(self._batch)
        self._session.run_with_iobinding(self._binding)
        return np.stack([value.numpy()[: len(crops)] for value in self._outputs], axis=1)

    def repeats(self) -> bool:
        """Whether later runs, which may replay a recording of an earlier one, compute what the first did."""
        batches = np.random.default_rng(0).integers(0, 256, (2, *self._batch.shape), dtype=np.uint8)
        first = [self.logits(batch) for batch in batches]
        later = [self.logits(batch) for batch in batches]
        return np.allclose(first, later, rtol=0, atol=_SAME)


def choose_provider(asked: Device) -> str:
    """A device by name; ``auto`` tries no more than CUDA, and only where a driver can be seen."""
    if asked != "auto":
        return asked
    there = Path("/dev/nvidia0").exists() and _NAMES["cuda"] in ort.get_available_providers()
    return "cuda" if there else "cpu"


def open_session(path: Path, device: str, sha256: str, half: bool = False, recorded: bool = False) -> Any:
    """Open a session on the provider that was asked for.

    Args:
        sha256: the file's.
        half: TensorRT may compute in fp16.
        recorded: CUDA replays its kernels as one graph.

    Raises:
        RuntimeUnavailable: the provider does not start.
        ModelError: onnxruntime can't load the file.
    """
    wanted = _NAMES[device]
    if wanted not in ort.get_available_providers():
        raise RuntimeUnavailable(f"this build of onnxruntime has no {wanted}", _REMEDIES[device])
    ort.set_default_logger_severity(4)  # the errors below say what failed
    if device == "tensorrt":
        # TensorRT's provider has no option for it; its engines are built after this.
        os.environ["NVIDIA_TF32_OVERRIDE"] = "0"
    try:
        with redirect_stdout(io.StringIO()):  # it prints of its troubles where the report goes
            if device in NVIDIA and hasattr(ort, "preload_dlls"):
                # The libraries that pip installed; without them the CPU would stand in.
                ort.preload_dlls(directory="")
            session = ort.InferenceSession(
                str(path),
                _options(device),
                providers=_providers(device, path, sha256, half, recorded),
                enable_fallback=0,  # nor is another provider tried where this one fails
            )
    except Exception as error:  # onnxruntime's errors share no base class
        if device == "cpu":
            raise ModelError(
                f"onnxruntime can't load {path}: {_first_line(error)}", "Export it again."
            ) from error
        if isinstance(error, RuntimeError):  # so it reports a provider; a graph, by other classes
            raise _does_not_start(device) from error
        raise _does_not_run(path, device, error) from error
    if session.get_providers()[0] != wanted:
        raise _does_not_start(device)
    return session


def open_fixed_batch(
    path: Path, device: str, sha256: str, outputs: list[str], session: Any, half: bool = False
) -> FixedBatchSession:
    """A session of an accelerator, tried with a batch; on CUDA with its kernels recorded, where that works.

    Args:
        session: from `open_session`.

    Raises:
        RuntimeUnavailable: it does not compute.
    """
    memory = "cuda" if device in NVIDIA else "cpu"
    if device == "cuda":
        try:  # launching thousands of kernels one by one takes longer than most of them run
            quick = FixedBatchSession(
                open_session(path, device, sha256, half, recorded=True), outputs, memory
            )
            if quick.repeats():
                return quick
        except Exception:  # noqa: S110  (it is a matter of speed alone; the plain session tells what is wrong)
            pass
    try:
        plain = FixedBatchSession(session, outputs, memory)
        plain.logits(np.zeros((1, SIDE, SIDE, 3), np.uint8))
    except Exception as error:
        raise _does_not_run(path, device, error) from error
    return plain


def device_name(session: Any, path: Path, device: str) -> str:
    """The device as reports name it, with the number of nodes that its provider leaves to others.

    Raises:
        RuntimeUnavailable: CUDA or TensorRT leave a node to the CPU, or the provider takes none.
    """
    if device == "cpu":
        return device
    if not hasattr(session, _COUNTS):  # of those, `_options` refuses what CUDA leaves
        return device if device in NVIDIA else f"{device} (this onnxruntime can't tell which nodes)"
    nodes = Counter(
        (part.ep_name, node.op_type) for part in getattr(session, _COUNTS)() for node in part.get_nodes()
    )
    per_provider: Counter[str] = Counter()
    for (provider, _), count in nodes.items():
        per_provider[provider] += count
    taken = per_provider.pop(_NAMES[device], 0)
    if taken == 0 or (device in NVIDIA and per_provider[_CPU]):
        left = ", ".join(f"{count} {op}" for (provider, op), count in nodes.most_common() if provider == _CPU)
        raise RuntimeUnavailable(
            f"{device} was asked for, but takes {taken} of {nodes.total()} nodes of {path}"
            + (f"; left to the CPU: {left}" if left else ""),
            "Export the graph again, update onnxruntime, or choose another --device.",
        )
    elsewhere = ", ".join(
        f"{count} by {provider}" for provider, count in sorted(per_provider.items()) if count
    )
    return f"{device} (of {nodes.total()} nodes {elsewhere})" if elsewhere else device


def _does_not_start(device: str) -> RuntimeUnavailable:
    return RuntimeUnavailable(
        f"{device} was asked for, but onnxruntime can't start its {_NAMES[device]}", _REMEDIES[device]
    )


def _does_not_run(path: Path, device: str, error: Exception) -> RuntimeUnavailable:
    return RuntimeUnavailable(
        f"onnxruntime can't run {path} on {device}: {_first_line(error)}", _REMEDIES[device]
    )


def _options(device: str) -> Any:
    options = ort.SessionOptions()
    options.log_severity_level = 4
    if device == "cpu":
        options.intra_op_num_threads = options.inter_op_num_threads = 1  # one thread per part
        return options
    # With the batch known, what computes shapes is folded away; ONNX Runtime would leave it to the CPU.
    options.add_free_dimension_override_by_name(BATCH_DIMENSION, FIXED_BATCH)
    options.add_session_config_entry("session.record_ep_graph_assignment_info", "1")
    if device in NVIDIA and not hasattr(ort.InferenceSession, _COUNTS):
        options.add_session_config_entry("session.disable_cpu_ep_fallback", "1")
    return options


def _providers(
    device: str, path: Path, sha256: str, half: bool, recorded: bool
) -> list[tuple[str, dict[str, str]]]:
    """With options. What is called fp32 is fp32: TF32 would keep 10 bits of the mantissa."""
    cuda = (_NAMES["cuda"], {"use_tf32": "0", "enable_cuda_graph": str(int(recorded))})
    if device == "cuda":
        return [cuda]
    if device == "tensorrt":
        # TensorRT knows its engines by a graph's name and shape, not by its weights.
        cache = path.parent / _ENGINE_CACHE / sha256
        options = {
            "trt_fp16_enable": str(int(half)),
            "trt_layer_norm_fp32_fallback": "1",
            "trt_engine_cache_enable": "1",
            "trt_engine_cache_path": str(cache),
            "trt_cuda_graph_enable": "0",  # it would forbid that CUDA takes what TensorRT does not
        }
        return [(_NAMES[device], options), cuda]
    return [(_NAMES[device], {})]


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
