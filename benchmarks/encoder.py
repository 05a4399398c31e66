"""How close does the encoder come to the processor's peak? CLIP with random weights, model alone.

    python benchmarks/encoder.py --crops 20 --rounds 3
    python benchmarks/encoder.py --shape vit-b16 --precision bf16
    python benchmarks/encoder.py --device cuda --crops 1600

Every round measures, in each precision, the crops per second of a scan's runtime with one RINE head, and the
rate of matrix products alone: square ones and ones in the encoder's shapes, with one thread per core as in a
scan. The share is the rate of the encoder's arithmetic (only what RINE needs) divided by that of the fastest
product.
Results are printed, and written as JSON with --out.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import torch
from random_rine import SHAPES, make_encoder, make_heads
from record import publish, stamp

from sidscan import ScanConfig
from sidscan.config import Precision
from sidscan.models.refs import choose_models
from sidscan.records import CropSet
from sidscan.runtimes import Runtime, open_runtime
from sidscan.runtimes.precision_check import natural_crops
from sidscan.runtimes.pytorch import DTYPES
from sidscan.util.threads import available_cores

SQUARE = 2048  # rows and columns
PRECISIONS: dict[str, tuple[Precision, ...]] = {"cpu": ("bf16", "fp32"), "cuda": ("bf16", "fp16")}


def token_count(shape: dict[str, int]) -> int:
    """One per patch, and CLS."""
    return (224 // shape["patch"]) ** 2 + 1


def products(shape: dict[str, int]) -> dict[str, tuple[int, int, int]]:
    """(rows, inner, columns), by name; rows are the tokens of an image's ten crops."""
    width, rows = shape["width"], 10 * token_count(shape)
    return {
        f"square, {SQUARE}": (SQUARE, SQUARE, SQUARE),
        "into the MLP": (rows, width, 4 * width),
        "out of the MLP": (rows, 4 * width, width),
    }


def arithmetic(shape: dict[str, int]) -> float:
    """Floating-point operations of matrix products per crop; a multiply-add counts as two.

    In the last block, RINE needs only the CLS token's attention: all keys and values, one query, no MLP.
    """
    width, tokens = shape["width"], token_count(shape)
    patches = 2 * (tokens - 1) * 3 * shape["patch"] ** 2 * width
    block = 2 * tokens * 12 * width**2 + 4 * tokens**2 * width
    last = 2 * tokens * 2 * width**2 + 2 * 2 * width**2 + 4 * tokens * width
    return float(patches + (shape["blocks"] - 1) * block + last)


def product_rate(shape: tuple[int, int, int], dtype: torch.dtype, device: str, seconds: float) -> float:
    """Operations per second of one matrix product, repeated on every core or on the accelerator."""
    rows, inner, columns = shape

    def repeat(_: int) -> float:
        left = torch.randn(rows, inner, device=device).to(dtype)
        right = torch.randn(columns, inner, device=device).to(dtype)
        with torch.inference_mode():
            torch.nn.functional.linear(left, right)
            _wait(device)
            count, start = 0, time.perf_counter()
            while (taken := time.perf_counter() - start) < seconds:
                for _ in range(1 if device == "cpu" else 50):
                    torch.nn.functional.linear(left, right)
                    count += 1
                _wait(device)
        return count * 2 * rows * inner * columns / taken

    threads = available_cores() if device == "cpu" else 1
    with ThreadPoolExecutor(threads) as pool:
        return sum(pool.map(repeat, range(threads)))


def _wait(device: str) -> None:
    if device == "cuda":
        torch.cuda.synchronize()


def encoder_rate(runtime: Runtime, crop_set: CropSet, batch: int) -> float:
    """Crops per second, with as many concurrent batches as a scan."""
    parts = [
        CropSet.plain(crop_set.crops[start : start + batch]) for start in range(0, len(crop_set.crops), batch)
    ]
    start = time.perf_counter()
    with ThreadPoolExecutor(runtime.at_once) as pool:
        list(pool.map(runtime.logits, parts))
    return len(crop_set.crops) / (time.perf_counter() - start)


def measure(
    runtime: Runtime,
    shape: dict[str, int],
    precision: str,
    device: str,
    crop_set: CropSet,
    rounds: int,
    seconds: float,
) -> dict[str, Any]:
    """Rates and shares over the rounds; every round measures everything in turn."""
    rates: list[float] = []
    product_rates: dict[str, list[float]] = {name: [] for name in products(shape)}
    encoder_rate(runtime, CropSet.plain(crop_set.crops[:1]), 1)
    for _ in range(rounds):
        for name, size in products(shape).items():
            product_rates[name].append(product_rate(size, DTYPES[precision], device, seconds))
        rates.append(encoder_rate(runtime, crop_set, runtime.batch))
    ceilings = [max(values) for values in zip(*product_rates.values(), strict=True)]
    shares = [rate * arithmetic(shape) / ceiling for rate, ceiling in zip(rates, ceilings, strict=True)]
    return {
        "crops_per_second": _spread(rates),
        "crops_per_second_per_core": _spread([rate / available_cores() for rate in rates])
        if device == "cpu"
        else None,
        "gigaflops_of_products": {
            name: _spread([value / 1e9 for value in values]) for name, values in product_rates.items()
        },
        "share_of_the_fastest_product": _spread(shares),
    }


def _spread(values: list[float]) -> list[float]:
    """Lowest, median, highest."""
    return [float(f"{value:.4g}") for value in (min(values), statistics.median(values), max(values))]


def main() -> None:
    """Measure, print, and write the result."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--shape", choices=list(SHAPES), default="vit-l14")
    parser.add_argument("--crops", type=int, default=40)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=2.0, help="that each product is repeated for")
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    parser.add_argument("--precision", action="append", choices=list(DTYPES), help="repeatable")
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    figures, shape = {}, SHAPES[options.shape]
    crop_set = CropSet.plain(natural_crops(options.crops))
    with tempfile.TemporaryDirectory() as text:
        encoder = Path(text) / f"{options.shape}.safetensors"
        make_encoder(encoder, shape)
        head = str(make_heads(Path(text), encoder, shape)[0])
        for precision in options.precision or PRECISIONS[options.device]:
            config = ScanConfig(
                inputs=("unused",), device=options.device, precision=precision, encoder=encoder
            )
            runtime = open_runtime(config, choose_models([head]).models)
            figures[precision] = measure(
                runtime, shape, precision, options.device, crop_set, options.rounds, options.seconds
            )
    result = stamp("encoder", "torch") | {
        "encoder": f"{options.shape}, random weights, one RINE head",
        "device": options.device,
        "threads": available_cores() if options.device == "cpu" else None,
        "crops": options.crops,
        "rounds": options.rounds,
        "gigaflop_per_crop": round(arithmetic(shape) / 1e9, 1),
        "figures": "lowest, median, highest over the rounds",
        **figures,
    }
    publish(result, options.out)


if __name__ == "__main__":
    main()
