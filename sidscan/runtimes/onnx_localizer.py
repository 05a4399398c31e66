"""Maps by ONNX Runtime: an exported localizer on a chosen execution provider, without torch."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from sidscan.config import Device, Precision
from sidscan.errors import ModelError
from sidscan.models.localizer_graph import OUTPUT_NAME, LocalizerGraph
from sidscan.models.localizers import LocalizerInfo
from sidscan.models.onnx_graph import INPUT_NAME, KEY, check_seal
from sidscan.runtimes import RuntimeInfo, cpu, onnx_providers
from sidscan.runtimes.onnx import check_exportable, check_name, check_precision, vouched
from sidscan.runtimes.short_memory import is_short, or_memory_error
from sidscan.runtimes.tiles import Maps, on_cores, resized

_MADE_BY = "`sidscan export-onnx --model NAME` makes such files of localizers."
_PASS = 2  # tiles of a pass on a CPU: convolutions at full size take 17 MB each per layer


class OnnxLocalizer:
    """One exported localizer.

    Attributes:
        runtime: what computes, as reports state it.
        batch: tiles that `maps` is best given at once.

    Raises:
        ModelError: the file is not, or no longer, what `sidscan export-onnx` wrote.
        RuntimeUnavailable: the provider asked for does not start or leaves nodes to the CPU, or the precision
            is another.
    """

    def __init__(self, path: Path, device: Device = "auto", precision: Precision = "auto") -> None:
        sha256 = check_seal(path)
        check_name(path)
        check_exportable(precision)
        used = onnx_providers.choose_provider(device)
        self._session = onnx_providers.open_session(path, used, sha256)
        graph = _graph(path, self._session)
        check_precision(path, graph.precision, precision)
        self.info: LocalizerInfo = vouched(graph.localizer, path)
        name = f"onnxruntime {ort.__version__}, graph {sha256[:16]}"
        device_name = onnx_providers.device_name(self._session, path, used)
        self.runtime = RuntimeInfo(name, device_name, graph.precision, graph=sha256)
        self._cpu_pool = cpu.CpuPool() if used == "cpu" else None
        self._lock = threading.Lock()  # an accelerator computes one batch at a time
        self.batch = self._cpu_pool.cores * _PASS if self._cpu_pool else onnx_providers.FIXED_BATCH

    def maps(self, tiles: NDArray[np.uint8]) -> Maps:
        """RGB (b, h, w, 3) -> probabilities (b, side, side), as `Localizer.maps`.

        Raises:
            MemoryError: memory, of the machine or of the device, does not hold so many tiles.
        """
        return or_memory_error(self._maps, tiles)

    def _maps(self, tiles: NDArray[np.uint8]) -> Maps:
        crops = resized(tiles, self.info.tile.read)
        if self._cpu_pool is None:
            size = onnx_providers.FIXED_BATCH
            with self._lock:
                parts = [
                    self._padded(crops[start : start + size], size) for start in range(0, len(crops), size)
                ]
            return np.concatenate(parts)
        return on_cores(self._cpu_pool, self._run, crops, _PASS)

    def abandon(self) -> None:
        """Give up what waits for a core."""
        if self._cpu_pool is not None:
            self._cpu_pool.abandon()

    def _padded(self, crops: NDArray[np.uint8], size: int) -> Maps:
        """Accelerators plan anew for every other number of crops."""
        filler = np.zeros((size - len(crops), *crops.shape[1:]), np.uint8)
        return self._run(np.concatenate([crops, filler]))[: len(crops)]

    def _run(self, crops: NDArray[np.uint8]) -> Maps:
        try:
            (maps,) = self._session.run([OUTPUT_NAME], {INPUT_NAME: crops})
        except Exception as error:  # onnxruntime's errors share no base class
            if is_short(error):
                raise
            why = str(error).splitlines()[0] if str(error) else type(error).__name__
            raise ModelError(
                f"onnxruntime can't compute the graph of {self.info.name}: {why}", _MADE_BY
            ) from error
        side = self.info.tile.side
        if maps.shape != (len(crops), side, side):
            raise ModelError(
                f"the graph of {self.info.name} gives other maps than it states: {maps.shape}", _MADE_BY
            )
        return np.asarray(maps, dtype=np.float32)


def _graph(path: Path, session: Any) -> LocalizerGraph:
    try:
        graph = LocalizerGraph.from_json(session.get_modelmeta().custom_metadata_map[KEY])
        _check_ends(session, graph.localizer.tile.read, graph.localizer.tile.side)
    except (AttributeError, KeyError, RecursionError, TypeError, ValueError) as error:
        raise ModelError(
            f"{path} is not an exported localizer",
            _MADE_BY,
        ) from error
    return graph


def _check_ends(session: Any, read: int, side: int) -> None:
    """What goes in and comes out is what `sidscan export-onnx` writes; ValueError where it is not."""
    (taken,), (given,) = session.get_inputs(), session.get_outputs()
    if (taken.name, taken.type, taken.shape[1:]) != (INPUT_NAME, "tensor(uint8)", [read, read, 3]):
        raise ValueError("input")
    if (given.name, given.type, given.shape[1:]) != (OUTPUT_NAME, "tensor(float)", [side, side]):
        raise ValueError("output")
