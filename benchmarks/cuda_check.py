"""Everything that only a GPU can show, in one command, planned for eight minutes.

    python benchmarks/cuda_check.py --out benchmarks/results/cuda_check.json
    python benchmarks/cuda_check.py --device cpu --shape tiny --crops 40 --images 4 --train-images 128

Networks have random weights in CLIP's and RINE's shapes, which is enough for times and differences. Parts, in
order; one that begins after --minutes, or fails, says so in the result, and the others go on:

- encoder: crops per second and share of the fastest matrix product, memory, and the largest difference of
  scores from fp32, for PyTorch (fp16 and bf16; eager, CUDA graphs, compiled) and for exported graphs (CUDA's
  provider and TensorRT's)
- scan: 12-megapixel JPEGs from disk to results, beside the plain loop of `end_to_end.py`
- training: images per second with fresh crops and with cached features

Without a GPU it prints and writes "not run", and exits with 0. The result has `best_mode`: the mode that
``--cuda-mode`` should have by default on this device.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Literal

import end_to_end
import numpy as np
import torch
from camera import make
from encoder import arithmetic, encoder_rate, product_rate, products
from grid import make_set, silent
from numpy.typing import NDArray
from random_rine import SHAPES, make_encoder, make_heads
from record import publish, stamp

from sidscan import ScanConfig
from sidscan.config import CudaMode, Device, Precision
from sidscan.exporters.onnx import export
from sidscan.models.refs import choose_models
from sidscan.records import CropSet
from sidscan.runtimes import Runtime, open_runtime
from sidscan.runtimes.precision_check import natural_crops
from sidscan.runtimes.pytorch import DTYPES
from sidscan.training.rine.config import TrainConfig
from sidscan.training.rine.recipe import PRESETS
from sidscan.training.rine.train import train

MODES: dict[Device, tuple[CudaMode, ...]] = {"cuda": ("eager", "graphs", "compiled"), "cpu": ("eager",)}
PRECISIONS: dict[Device, tuple[Precision, ...]] = {"cuda": ("fp16", "bf16"), "cpu": ("bf16",)}
PROVIDERS: dict[Device, tuple[Device, ...]] = {"cuda": ("cuda", "tensorrt"), "cpu": ("cpu",)}
Half = Literal["fp32", "fp16"]
EXPORTED: tuple[Half, ...] = ("fp16", "fp32")
_TRIAL = 80  # crops, by which scores are compared
Json = dict[str, Any]


@dataclass(frozen=True)
class Check:
    """What is measured, on what."""

    device: Device
    shape: str
    crops: int
    images: int
    train_images: int
    rounds: int
    folder: Path

    @property
    def encoder(self) -> Path:
        return self.folder / f"{self.shape}.safetensors"

    @property
    def head(self) -> Path:
        return self.folder / "1class.safetensors"

    def open(self, precision: Precision, mode: CudaMode = "eager") -> Runtime:
        """PyTorch's runtime with the random networks."""
        config = ScanConfig(
            inputs=("unused",),
            runtime="pytorch",
            device=self.device,
            precision=precision,
            cuda_mode=mode,
            encoder=self.encoder,
        )
        return open_runtime(config, choose_models([str(self.head)]).models)

    def open_graph(self, graph: Path, provider: Device) -> Runtime:
        """ONNX Runtime's, with a provider."""
        config = ScanConfig(inputs=("unused",), device=provider)
        return open_runtime(config, choose_models([str(graph)]).models)


def ceilings(check: Check, precision: Precision) -> dict[str, float]:
    """Operations per second of matrix products alone, by name."""
    sizes = products(SHAPES[check.shape]).items()
    return {
        name: max(product_rate(size, DTYPES[precision], check.device, 0.5) for _ in range(2))
        for name, size in sizes
    }


def measure_runtime(
    check: Check, opened: Callable[[], Runtime], ceiling: float, reference: NDArray[np.float32]
) -> Json:
    """Rate, share, memory and differences of a runtime."""
    runtime = opened()
    trial = runtime.logits(CropSet.plain(natural_crops(_TRIAL)))[:, 0]
    crop_set = CropSet.plain(natural_crops(check.crops, seed=1))
    rates = [encoder_rate(runtime, crop_set, runtime.batch) for _ in range(check.rounds)]
    rate = statistics.median(rates)
    difference = np.abs(_sigmoid(trial) - _sigmoid(reference))
    return {
        "ran": f"{runtime.info.runtime}, {runtime.info.device}, {runtime.info.precision}",
        "crops_per_second": [float(f"{value:.4g}") for value in (min(rates), rate, max(rates))],
        "share_of_the_fastest_product": float(f"{rate * arithmetic(SHAPES[check.shape]) / ceiling:.3g}"),
        "largest_logit_difference_from_fp32": float(f"{np.abs(trial - reference).max():.2g}"),
        "largest_score_difference_from_fp32": float(f"{difference.max():.2g}"),
        "peak_device_memory_mebibytes": _device_memory(check.device),
    }


def encoder_part(check: Check, due: float) -> Json:
    """All runtimes, in turn; each is opened anew, so that none holds another's memory."""
    make_encoder(check.encoder, SHAPES[check.shape])
    make_heads(check.folder, check.encoder, SHAPES[check.shape])
    trial = CropSet.plain(natural_crops(_TRIAL))
    reference = check.open("fp32").logits(trial)[:, 0]
    rates = {precision: ceilings(check, precision) for precision in PRECISIONS[check.device]}
    result: Json = {
        "gigaflop_per_crop": round(arithmetic(SHAPES[check.shape]) / 1e9, 1),
        "gigaflops_of_products": {
            precision: {name: round(value / 1e9) for name, value in found.items()}
            for precision, found in rates.items()
        },
    }
    for name, precision, opened in _runtimes(check):
        ceiling = max((rates.get(precision) or rates[PRECISIONS[check.device][0]]).values())
        measured = partial(measure_runtime, check, opened, ceiling, reference)
        result[name] = attempt(due, measured)
        _forget(check.device)
    return result


def _runtimes(check: Check) -> Iterator[tuple[str, Precision, Callable[[], Runtime]]]:
    for precision in PRECISIONS[check.device]:
        for mode in MODES[check.device]:
            yield f"pytorch {precision} {mode}", precision, partial(check.open, precision, mode)
    for exported in EXPORTED:
        for provider in PROVIDERS[check.device]:
            graph = check.folder / f"{exported}.onnx"
            opened = partial(_open_exported, check, graph, exported, provider)
            yield f"onnx {exported} {provider}", exported, opened


def _open_exported(check: Check, graph: Path, precision: Half, provider: Device) -> Runtime:
    if not graph.exists():
        export([str(check.head)], graph, precision, check.encoder)
    return check.open_graph(graph, provider)


def scan_part(check: Check) -> Json:
    """From JPEGs on a disk to results, beside the plain loop."""
    paths = make(check.folder / "camera", check.images)
    few = max(4, min(check.images // 5, 40) // 4 * 4)
    return end_to_end.measure(paths, min(few, check.images), 1, check.device, check.shape)


def training_part(check: Check) -> Json:
    """One epoch of a head with fresh crops, and the same from cached features, which are made first."""
    data = check.folder / "data"
    make_set(data, "train", check.train_images, 0)
    base = replace(PRESETS["progan-4class"].recipe, batch=128, epochs=1)
    config = TrainConfig(
        data=data,
        recipe=base,
        classes=("cat",),
        encoder=str(check.encoder),
        device=check.device,
        bars=False,
    )
    cached = replace(config, cache=check.folder / "features")
    seconds = {
        "fresh crops": _seconds(config, check.folder / "fresh"),
        "first epoch with a cache, which is made": _seconds(cached, check.folder / "first"),
        "cached features": _seconds(cached, check.folder / "second"),
    }
    return {
        "images": check.train_images,
        "images_per_second": {name: float(f"{check.train_images / s:.4g}") for name, s in seconds.items()},
        "note": "opening the encoder and writing the checkpoint included",
    }


def _seconds(config: TrainConfig, out: Path) -> float:
    start = time.perf_counter()
    train(config, out, silent)
    return time.perf_counter() - start


def attempt(due: float, part: Callable[[], Json]) -> Json:
    """A part's result; or why it has none."""
    if time.monotonic() > due:
        return {"not_run": "no time was left"}
    start = time.monotonic()
    try:
        result = part()
    except Exception as error:  # whatever one runtime does, the others are measured
        print(traceback.format_exc(), file=sys.stderr)
        return {"failed": f"{type(error).__name__}: {error}"[:400]}
    return result | {"seconds_in_all": round(time.monotonic() - start, 1)}


def best_mode(encoder: Json) -> str | None:
    """The fastest mode in fp16 with scores as near to fp32 as eager; a gain under 3 % is too little."""
    measured = {mode: encoder.get(f"pytorch fp16 {mode}", {}) for mode in MODES["cuda"]}
    if "crops_per_second" not in measured["eager"]:
        return None
    bound = 1.5 * measured["eager"]["largest_score_difference_from_fp32"]
    rates = {
        mode: found["crops_per_second"][1]
        for mode, found in measured.items()
        if found.get("largest_score_difference_from_fp32", 1.0) <= bound
    }
    fastest = max(rates, key=lambda mode: rates[mode])
    return fastest if rates[fastest] > 1.03 * rates["eager"] else "eager"


def _sigmoid(logits: NDArray[np.float32]) -> NDArray[np.float64]:
    return 1 / (1 + np.exp(-logits.astype(np.float64)))


def _device_memory(device: Device) -> int | None:
    """MiB in use on the first GPU, of all programs: what ONNX Runtime takes, PyTorch doesn't count."""
    if device != "cuda":
        return None
    free, total = torch.cuda.mem_get_info()
    return round((total - free) / (1 << 20))


def _forget(device: Device) -> None:
    torch.compiler.reset()
    if device == "cuda":
        torch.cuda.synchronize()
        torch.cuda.empty_cache()


def device_facts() -> Json:
    """The GPUs, as torch and the driver name them."""
    query = [
        "nvidia-smi",
        "--query-gpu=name,driver_version,memory.total,power.limit",
        "--format=csv,noheader",
    ]
    try:
        told = subprocess.run(query, capture_output=True, text=True, timeout=20, check=True).stdout
    except (OSError, subprocess.SubprocessError):
        told = ""
    return {
        "names": [torch.cuda.get_device_name(number) for number in range(torch.cuda.device_count())],
        "cuda": torch.version.cuda,
        "driver": told.strip().splitlines(),
    }


def run(check: Check, minutes: float) -> Json:
    """All parts."""
    due = time.monotonic() + 60 * minutes
    encoder = attempt(due, lambda: encoder_part(check, due - 180))  # the other parts need time, too
    return {
        "encoder": {"network": f"{check.shape}, random weights, one RINE head", "crops": check.crops}
        | encoder,
        "best_mode": best_mode(encoder),
        "scan": attempt(due - 60, lambda: scan_part(check)),
        "training": attempt(due, lambda: training_part(check)),
    }


def main() -> None:
    """Measure, print, and write the result."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--device", choices=["cuda", "cpu"], default="cuda", help="cpu tries the script")
    parser.add_argument("--shape", choices=list(SHAPES), default="vit-l14")
    parser.add_argument("--crops", type=int, default=4800)
    parser.add_argument("--images", type=int, default=200, help="12-megapixel JPEGs of the scan")
    parser.add_argument("--train-images", type=int, default=4096)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument(
        "--minutes", type=float, default=6.0, help="no part begins after them; the last may take two more"
    )
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    result = stamp("cuda_check", "torch", "onnxruntime")
    if options.device == "cuda" and not torch.cuda.is_available():
        publish(result | {"not_run": "torch finds no usable CUDA device"}, options.out)
        return
    with tempfile.TemporaryDirectory() as folder:
        check = Check(
            options.device,
            options.shape,
            options.crops,
            options.images,
            options.train_images,
            options.rounds,
            Path(folder),
        )
        publish(result | {"device": device_facts()} | run(check, options.minutes), options.out)


if __name__ == "__main__":
    main()
