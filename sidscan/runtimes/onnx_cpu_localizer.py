"""Bundled localizers on a CPU: their graphs and weights, by onnxruntime, without torch."""

from __future__ import annotations

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from sidscan.models.graph_templates import GraphLocalizer
from sidscan.models.localizer_graph import OUTPUT_NAME
from sidscan.models.onnx_graph import INPUT_NAME
from sidscan.runtimes import RuntimeInfo, cpu
from sidscan.runtimes.onnx_cpu import open_model
from sidscan.runtimes.short_memory import or_memory_error
from sidscan.runtimes.tiles import Maps, on_cores, resized

_AT_ONCE = 2  # tiles of a pass; more exceed the caches


class OnnxCpuLocalizer:
    """A localizer that has a graph. Each core takes some of the tiles.

    Args:
        localizer: loaded by `graph_templates.load_localizer_graph`.

    Attributes:
        runtime: what computes, as reports state it.
        batch: tiles that `maps` is best given at once.

    Raises:
        ModelError: this onnxruntime can't load the graph.
    """

    def __init__(self, localizer: GraphLocalizer) -> None:
        self.info = localizer.info
        self._session = open_model(localizer.graph, localizer.info.name)
        self.runtime = RuntimeInfo(
            f"onnxruntime {ort.__version__}", "cpu", "fp32", graph=localizer.graph.sha256
        )
        self._pool = cpu.CpuPool()
        self.batch = self._pool.cores * _AT_ONCE

    def maps(self, tiles: NDArray[np.uint8]) -> Maps:
        """RGB (b, h, w, 3) -> probabilities (b, side, side), as `Localizer.maps`.

        Raises:
            MemoryError: the machine's memory does not hold so many tiles.
        """
        return or_memory_error(self._maps, tiles)

    def _maps(self, tiles: NDArray[np.uint8]) -> Maps:
        return on_cores(self._pool, self._run, resized(tiles, self.info.tile.read), _AT_ONCE)

    def abandon(self) -> None:
        """Give up what waits for a core."""
        self._pool.abandon()

    def _run(self, crops: NDArray[np.uint8]) -> Maps:
        (maps,) = self._session.run([OUTPUT_NAME], {INPUT_NAME: crops})
        return np.asarray(maps, dtype=np.float32)
