"""Batches on accelerators: every device has its own copy of the networks, and two batches under way.

While one batch is computed, the crops of the next are copied from pinned memory, each batch on a stream of
its own (CUDA C++ Programming Guide, "Asynchronous Concurrent Execution").

`CudaMode` says how the networks run. A graph is recorded once, of the kernels that ``eager`` launches, and
replayed with one launch (the same guide, "CUDA Graphs"); ``compiled`` fuses kernels (torch.compile).
"""

from __future__ import annotations

import queue
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sidscan.config import SIDE, CudaMode
from sidscan.errors import RuntimeUnavailable
from sidscan.models.detectors import Detector
from sidscan.records import CropRef, CropSet
from sidscan.runtimes import forward

CUDA_BATCH = 160  # crops; launching a ViT's kernels takes as long for one as for many
_LARGEST = 1024  # crops of a pass, however many are asked for: 154 MB of pinned memory
_PER_DEVICE = 2  # batches: the next is copied while the first is computed
_BACKEND = "inductor"  # of torch.compile
_WARM_UP = 3  # passes before a recording; in them libraries choose kernels and allocate memory

Network = Callable[[Tensor], Tensor]
"""Crops (b, 3, 224, 224), uint8 -> logits (b, columns)."""


class CudaPool:
    """Detectors on all devices of a kind; called from any number of threads.

    Args:
        detectors: on the first device already.
        devices: of the same kind, else scores would depend on which of them is free.
        batch: crops of every pass, `_LARGEST` at most; what the last one lacks is filled up and computed for
            nothing.

    Raises:
        RuntimeUnavailable: the networks can't run in this mode.
    """

    def __init__(
        self,
        detectors: Sequence[Detector],
        devices: Sequence[torch.device],
        batch: int = CUDA_BATCH,
        mode: CudaMode = "eager",
    ) -> None:
        self._free: queue.SimpleQueue[CudaStream] = queue.SimpleQueue()
        self.count = _PER_DEVICE * len(devices)
        copies = [detectors, *(forward.copy_to(detectors, device) for device in devices[1:])]
        for _ in range(_PER_DEVICE):  # the devices in turn, so that two batches find two devices
            for device, detectors_there in zip(devices, copies, strict=True):
                self._free.put(CudaStream(detectors_there, device, batch, mode))

    def logits(self, crops: CropSet) -> NDArray[np.float32]:
        """Crops -> logits (crops, columns), by the stream that is free first."""
        stream = self._free.get()
        try:
            return stream.logits(crops)
        finally:
            self._free.put(stream)


class CudaStream:
    """One stream of a device, and the memory it copies from; used by one thread at a time."""

    def __init__(
        self, detectors: Sequence[Detector], device: torch.device, batch: int, mode: CudaMode
    ) -> None:
        self.device, self._batch = device, min(batch, _LARGEST)
        self._groups = forward.group_by_mirroring(detectors)
        self._stream: torch.cuda.Stream | None = None
        if device.type == "cuda":
            self._stream = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]
            torch.cuda.synchronize(device)  # weights are copied on another stream
        self._memory = self._room(self._batch)
        self._networks = {group.mirror_invariant: self._network(group, mode) for group in self._groups}

    def logits(self, crops: CropSet) -> NDArray[np.float32]:
        """Crops -> logits (crops, columns)."""
        with self._on_stream():
            uploaded = self._upload(crops.crops)
            return forward.gather(
                self._groups, crops.order, lambda group, needed: self._passes(group, uploaded, needed)
            )

    @torch.inference_mode()
    def _passes(
        self, group: forward.DetectorGroup, crops: Tensor, refs: Sequence[CropRef]
    ) -> NDArray[np.float32]:
        """All passes have one size, because accelerators plan anew for every other size."""
        network, logits = self._networks[group.mirror_invariant], []
        for start in range(0, len(refs), self._batch):
            part = list(refs[start : start + self._batch])
            padded = part + part[:1] * (self._batch - len(part))
            logits.append(network(forward.select_crops(crops, padded))[: len(part)])
        result: NDArray[np.float32] = torch.cat(logits).cpu().numpy()  # waits for this stream alone
        return result

    def _network(self, group: forward.DetectorGroup, mode: CudaMode) -> Network:
        network: Network = partial(forward.run_networks, group.detectors)
        if mode == "eager":
            return network
        blank = torch.zeros((self._batch, SIDE, SIDE, 3), dtype=torch.uint8, device=self.device)
        crops = blank.permute(0, 3, 1, 2)  # laid out as those of `forward.select_crops`
        try:
            with self._on_stream(), torch.inference_mode():
                return _compiled(network, crops) if mode == "compiled" else RecordedNetwork(network, crops)
        except Exception as error:  # compilers raise errors of many kinds
            raise RuntimeUnavailable(
                f"the networks can't run as {mode} on CUDA: {str(error).strip().splitlines()[0][:200]}",
                "Leave --cuda-mode out.",
            ) from error

    def _upload(self, crops: NDArray[np.uint8]) -> Tensor:
        """Each crop once. The memory is free again when logits have come back: they depend on the copy."""
        if len(crops) > len(self._memory):
            self._memory = self._room(len(crops))
        held = self._memory[: len(crops)]
        held.numpy()[:] = crops
        return held.to(self.device, non_blocking=True)

    def _room(self, crops: int) -> Tensor:
        return torch.empty((crops, SIDE, SIDE, 3), dtype=torch.uint8, pin_memory=self._stream is not None)

    def _on_stream(self) -> AbstractContextManager[object]:
        return torch.cuda.stream(self._stream) if self._stream is not None else nullcontext()


class RecordedNetwork:
    """A network whose kernels were recorded once, and are replayed with one launch.

    Args:
        crops: of the size and layout that every call has; keeps the input of each.
    """

    def __init__(self, network: Network, crops: Tensor) -> None:
        self._crops = crops
        for _ in range(_WARM_UP):
            network(crops)
        torch.cuda.synchronize(crops.device)
        self._graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(self._graph, stream=torch.cuda.current_stream(crops.device)):
            self._logits = network(crops)

    def __call__(self, crops: Tensor) -> Tensor:
        self._crops.copy_(crops)
        self._graph.replay()
        return self._logits.clone()  # the next replay overwrites them


def _compiled(network: Network, crops: Tensor) -> Network:
    """The network with fused kernels, compiled for crops of this size."""
    compiled: Network = torch.compile(network, fullgraph=True, dynamic=False, backend=_BACKEND)
    compiled(crops)
    return compiled
