"""Bundled detectors on a CPU: their graphs and weights, by onnxruntime, without torch."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from sidscan.errors import ModelError
from sidscan.models.detector_info import DetectorInfo, probe_columns
from sidscan.models.graph_templates import MIRROR_KEY, GraphDetector, WeightedGraph
from sidscan.models.onnx_graph import INPUT_NAME, output_names
from sidscan.models.origins import REINSTALL
from sidscan.records import CropRef, CropSet
from sidscan.runtimes import RuntimeInfo, cpu, crop_pixels, unique_crops

# What `sidscan/__init__.py` sets is not read on Windows, nor where a program loaded onnxruntime before.
ort.disable_telemetry_events()


class OnnxCpuRuntime:
    """Detectors that have a graph, each in a session of its own.

    A batch is scored in parts, one core each (`cpu.CpuPool`): a session computes with one thread, and serves
    several at once.

    Args:
        detectors: loaded by `graph_templates.load_graphs`.

    Raises:
        ModelError: this onnxruntime can't load a graph.
    """

    def __init__(self, detectors: Sequence[GraphDetector]) -> None:
        self.detectors = tuple(detector.info for detector in detectors)
        self._sessions = [_Session(detector) for detector in detectors]
        self._columns = _columns_of_each(self.detectors)
        graphs = "+".join(detector.graph.sha256 for detector in detectors)
        self.info = RuntimeInfo(f"onnxruntime {ort.__version__}", "cpu", "fp32", graph=graphs)
        self.batch, self.at_once, self.devices = cpu.CPU_BATCH, cpu.CPU_BATCHES_AT_ONCE, 1
        self._pool = cpu.CpuPool()

    def logits(self, crops: CropSet) -> NDArray[np.float32]:
        """Crops -> logits (crops, columns), as `Runtime.logits` orders them."""
        logits = np.empty((len(crops.order), sum(map(len, self._columns))), np.float32)
        for session, columns in zip(self._sessions, self._columns, strict=True):
            needed, positions = unique_crops(crops.order, session.mirror_invariant)
            logits[:, columns] = self._pool.compute(partial(session.logits, crops), needed)[positions]
        return logits

    def abandon(self) -> None:
        """Give up what waits for a core."""
        self._pool.abandon()


class _Session:
    """A detector, ready to compute."""

    def __init__(self, detector: GraphDetector) -> None:
        self._session = open_model(detector.graph, detector.info.name)
        self.mirror_invariant = self._session.get_modelmeta().custom_metadata_map.get(MIRROR_KEY) == "1"
        self._outputs = output_names([detector.info])

    def logits(self, crops: CropSet, part: Sequence[CropRef]) -> NDArray[np.float32]:
        """Some of the crops -> logits (crops, outputs)."""
        outputs = self._session.run(self._outputs, {INPUT_NAME: crop_pixels(crops, part)})
        return np.stack(outputs, axis=1)


def open_model(graph: WeightedGraph, name: str) -> Any:
    """`open_graph` of a model that comes with sidscan.

    Raises:
        ModelError: this onnxruntime can't load it.
    """
    try:
        return open_graph(graph)
    except Exception as error:  # onnxruntime's errors share no base class
        raise ModelError(
            f"onnxruntime {ort.__version__} can't load the graph of {name}: "
            f"{str(error).splitlines()[0] if str(error) else type(error).__name__}",
            f"{REINSTALL} Or scan --runtime pytorch.",
        ) from error


def open_graph(graph: WeightedGraph) -> Any:
    """A session that computes with one thread. Exceptions are onnxruntime's own."""
    options = ort.SessionOptions()
    options.log_severity_level = 4
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    # What could be optimised was, when the template was made; what follows from weights is left to fold.
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_BASIC
    # Planning which memory to use again takes a second for the 2,000 nodes of mini, and saves nothing: the
    # arena gives an operation's memory to the next.
    options.enable_mem_reuse = False
    values = [ort.OrtValue.ortvalue_from_numpy(tensor) for tensor in graph.weights.values()]
    options.add_external_initializers(list(graph.weights), values)
    return ort.InferenceSession(
        graph.template, options, providers=["CPUExecutionProvider"], enable_fallback=0
    )


def _columns_of_each(detectors: Sequence[DetectorInfo]) -> list[list[int]]:
    """Of all logits, the columns of each detector: its own, then those of its probes."""
    probes = [name for name, _ in probe_columns(detectors)]
    return [
        [index, *(len(detectors) + column for column, name in enumerate(probes) if name == detector.name)]
        for index, detector in enumerate(detectors)
    ]
