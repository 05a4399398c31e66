"""The ONNX runtime: an exported graph on a chosen execution provider, without torch and open_clip."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from sidscan.config import SIDE, Device, Precision
from sidscan.errors import ModelError, RuntimeUnavailable
from sidscan.models.detector_info import DetectorInfo
from sidscan.models.localizer_graph import states_localizer
from sidscan.models.localizers import LocalizerInfo
from sidscan.models.onnx_graph import INPUT_NAME, KEY, GraphInfo, check_seal, output_names
from sidscan.records import CropSet
from sidscan.runtimes import RuntimeInfo, cpu, crop_pixels, onnx_providers, unique_crops


class OnnxRuntime:
    """One exported graph, which may hold more than one detector.

    Args:
        path: of the file.
        device: execution provider; ``auto`` is CUDA where an NVIDIA device is seen, else the CPU.
        precision: must be the file's where it is stated.
        order: names of all its detectors in the order that is wanted; empty means the file's.

    Raises:
        ModelError: the file is not, or no longer, what `sidscan export-onnx` wrote.
        RuntimeUnavailable: the provider asked for does not start or leaves nodes to the CPU, or the precision
            is another.
    """

    def __init__(
        self,
        path: Path,
        device: Device = "auto",
        precision: Precision = "auto",
        order: Sequence[str] = (),
    ) -> None:
        self.sha256 = check_seal(path)
        check_name(path)
        used = onnx_providers.choose_provider(device)
        check_exportable(precision)
        half = used == "tensorrt" and _computes_in_half(path, self.sha256)
        session = onnx_providers.open_session(path, used, self.sha256, half)
        self.graph = _info(path, session)
        check_precision(path, self.graph.precision, precision)
        by_name = {detector.name: vouched(detector, path) for detector in self.graph.detectors}
        names = order if set(order) == set(by_name) else by_name
        self.detectors = tuple(by_name[name] for name in names)
        self._outputs = output_names(self.detectors)
        self.info = RuntimeInfo(
            f"onnxruntime {ort.__version__}, graph {self.sha256[:16]}",
            onnx_providers.device_name(session, path, used),
            f"{self.graph.computes} (or more of it, as TensorRT sees fit)" if half else self.graph.computes,
            graph=self.sha256,
        )
        self.batch, self.at_once, self.devices = cpu.CPU_BATCH, cpu.CPU_BATCHES_AT_ONCE, 1
        self._cpu_pool: cpu.CpuPool | None = None
        if used == "cpu":
            self._session = session
            self._cpu_pool = cpu.CpuPool()
        else:
            self.batch = onnx_providers.FIXED_BATCH
            self._fixed = onnx_providers.open_fixed_batch(
                path, used, self.sha256, self._outputs, session, half
            )
            self._lock = threading.Lock()  # the fixed input and outputs serve one call at a time

    def logits(self, crops: CropSet) -> NDArray[np.float32]:
        """Crops -> logits (crops, columns), as `Runtime.logits` orders them."""
        needed, positions = unique_crops(crops.order, self.graph.mirror_invariant)
        if self._cpu_pool is not None:
            logits = self._cpu_pool.compute(lambda part: self._run(crop_pixels(crops, part)), needed)
        else:
            size = onnx_providers.FIXED_BATCH
            parts = [needed[start : start + size] for start in range(0, len(needed), size)]
            batches = [crop_pixels(crops, part) for part in parts]
            with self._lock:
                logits = np.concatenate([self._fixed.logits(batch) for batch in batches])
        return logits[positions]

    def abandon(self) -> None:
        """Give up what waits for a core; a batch on an accelerator takes no time to speak of."""
        if self._cpu_pool is not None:
            self._cpu_pool.abandon()

    def _run(self, crops: NDArray[np.uint8]) -> NDArray[np.float32]:
        outputs = self._session.run(self._outputs, {INPUT_NAME: crops})
        return np.stack([np.asarray(output, dtype=np.float32) for output in outputs], axis=1)


def check_exportable(precision: Precision) -> None:
    """Refuse a precision that no exported graph has.

    Raises:
        RuntimeUnavailable: it is ``bf16``.
    """
    if precision == "bf16":
        raise RuntimeUnavailable("exported graphs are fp32 or fp16", "Leave --precision out.")


def check_precision(path: Path, exported: str, asked: Precision) -> None:
    """Refuse another precision than the file's.

    Raises:
        RuntimeUnavailable: another one was asked for.
    """
    if asked not in ("auto", exported):
        raise RuntimeUnavailable(
            f"{path.name} was exported in {exported}, not {asked}",
            f"Leave --precision out, or export with --precision {asked}.",
        )


def check_name(path: Path) -> None:
    """Refuse a file that onnxruntime could not open.

    Raises:
        ModelError: its name is not UTF-8.
    """
    try:
        str(path).encode()
    except UnicodeEncodeError as error:
        raise ModelError(
            f"onnxruntime can't open {path}, whose name is not UTF-8", "Rename the file or its folder."
        ) from error


def _computes_in_half(path: Path, sha256: str) -> bool:
    """Whether the graph computes in fp16; the file says so, and TensorRT must know it before it starts."""
    return _info(path, onnx_providers.open_session(path, "cpu", sha256)).computes == "fp16"


def _info(path: Path, session: Any) -> GraphInfo:
    stated = session.get_modelmeta().custom_metadata_map
    if states_localizer(stated.get(KEY, "")):
        raise ModelError(
            f"{path} is a localizer, which makes maps and gives no scores",
            f"`sidscan localize --model {path}` makes maps with it.",
        )
    try:
        info = GraphInfo.from_json(stated[KEY])
        _check_ends(session, output_names(info.detectors))
    except (AttributeError, KeyError, RecursionError, TypeError, ValueError) as error:
        raise ModelError(
            f"{path} does not say which detectors it holds, or holds something else",
            "`sidscan export-onnx` makes such files.",
        ) from error
    return info


def _check_ends(session: Any, names: list[str]) -> None:
    """What goes in and comes out is what `sidscan export-onnx` writes; ValueError where it is not."""
    (taken,), given = session.get_inputs(), session.get_outputs()
    if (taken.name, taken.type, taken.shape[1:]) != (INPUT_NAME, "tensor(uint8)", [SIDE, SIDE, 3]):
        raise ValueError("input")
    if [(output.name, output.type) for output in given] != [(name, "tensor(float)") for name in names]:
        raise ValueError("outputs")


_Info = TypeVar("_Info", DetectorInfo, LocalizerInfo)


def vouched(info: _Info, path: Path) -> _Info:
    """What a graph says of where its weights come from is a claim, and is recorded as one."""
    said = {name: f"stated by {path.name}: {how}" for name, how in info.provenance.items()}
    return replace(info, provenance=said)
