"""Maps by PyTorch: on a CPU a few tiles per core, on CUDA in batches."""

from __future__ import annotations

import copy

import numpy as np
import torch
from numpy.typing import NDArray

from sidscan.config import Device, Precision
from sidscan.models.heads.decoder import LocalizerNetwork
from sidscan.models.localizers import LoadedLocalizer, PatchMapInfo
from sidscan.runtimes import RuntimeInfo, cpu, precision_check
from sidscan.runtimes.pytorch import DTYPES, device_name, encoder_precision, open_device
from sidscan.runtimes.short_memory import or_memory_error
from sidscan.runtimes.tiles import Maps, on_cores, resized

_AT_ONCE = {"cpu": 2, "cuda": 32}  # tiles of a pass; convolutions at full size take 17 MB each per layer


class PyTorchLocalizer:
    """A localizer on a CPU or on a CUDA device. Its decoder computes in float32, its encoders as a scan's.

    On a CPU, torch's own threads are switched off process-wide: each core takes some of the tiles.

    Attributes:
        runtime: what computes, as reports state it.
        batch: tiles that `maps` is best given at once.
    """

    def __init__(
        self, loaded: LoadedLocalizer, device: Device = "auto", precision: Precision = "auto"
    ) -> None:
        self.info = loaded.info
        self._device = open_device(device)
        used = encoder_precision(precision, self._device, loaded.fp16_safe, loaded.info.name)
        self._network = LocalizerNetwork(loaded.network.encoder_list, loaded.network.decoder.folded())
        self._network.encoders.to(self._device, DTYPES[used])
        self._network.decoder.to(self._device)
        self._cpu_pool: cpu.CpuPool | None = None
        self._at_once, choice = _AT_ONCE[self._device.type], ""
        if self._device.type == "cpu":
            torch.set_num_threads(1)
            self._cpu_pool = cpu.CpuPool()
            if precision == "auto" and loaded.fp16_safe and precision_check.has_fast_bf16():
                used, choice = self._try_bf16()
        self.batch = self._at_once if self._cpu_pool is None else self._at_once * self._cpu_pool.cores
        self.runtime = RuntimeInfo(f"pytorch {torch.__version__}", device_name(self._device), used, choice)

    def maps(self, tiles: NDArray[np.uint8]) -> Maps:
        """RGB (b, h, w, 3) -> probabilities (b, side, side), as `Localizer.maps`; of patches, one each.

        Raises:
            MemoryError: memory, of the machine or of the device, does not hold so many tiles.
        """
        return or_memory_error(self._maps, tiles)

    def _maps(self, tiles: NDArray[np.uint8]) -> Maps:
        by_patches = isinstance(self.info, PatchMapInfo)  # of a picture that is resized already
        crops = tiles if by_patches else resized(tiles, self.info.tile.read)
        if self._cpu_pool is None:
            return self._compute(crops)
        return on_cores(self._cpu_pool, self._compute, crops, self._at_once)

    def abandon(self) -> None:
        """Give up what waits for a core."""
        if self._cpu_pool is not None:
            self._cpu_pool.abandon()

    @torch.inference_mode()
    def _compute(self, crops: NDArray[np.uint8]) -> Maps:
        """Crops (b, read, read, 3) -> probabilities (b, side, side), some at a time."""
        parts = [
            self._network(part.to(self._device).permute(0, 3, 1, 2)).sigmoid().cpu()
            for part in torch.split(torch.from_numpy(crops), self._at_once)
        ]
        result: Maps = torch.cat(parts).numpy()
        return result

    def _try_bf16(self) -> tuple[str, str]:
        """Encoders in bfloat16, where that keeps the probabilities of trial tiles.

        Returns:
            the precision, and why.
        """
        crops = precision_check.natural_crops(precision_check.CROPS)
        before, in_fp32 = self._network, self._compute(crops)
        encoders = copy.deepcopy(before.encoders).to(torch.bfloat16)
        self._network = LocalizerNetwork(tuple(encoders), before.decoder)  # type: ignore[arg-type]
        largest = float(np.nan_to_num(np.abs(self._compute(crops) - in_fp32), nan=1).max())
        measured = f"probabilities of {len(crops)} trial tiles differ from fp32's by up to {largest:.2g}"
        if largest <= precision_check.BOUND:
            return "bf16", f"bf16: {measured}"
        self._network = before
        return "fp32", f"fp32: in bf16 {measured}, more than {precision_check.BOUND}"
