"""Images per second of ONNX Runtime and PyTorch on this CPU, model alone, side by side in one run.

    python benchmarks/runtimes.py --model mini
    python benchmarks/runtimes.py --model rine --center 8 --ten 4

``rine`` is ViT-L/14 with random weights and all four heads. Crops (noise with a photograph's spectrum) are
held in memory. Every round measures all runtimes in turn. Figures are medians over the rounds, with the
lowest and the highest; ratios and differences of scores compare with PyTorch in fp32 in the same round.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from random_rine import SHAPES, make_encoder, make_heads
from record import publish, stamp

from sidscan import ScanConfig
from sidscan.config import Precision
from sidscan.exporters.onnx import export
from sidscan.models.refs import choose_models
from sidscan.records import CropSet
from sidscan.runtimes import Runtime, open_runtime
from sidscan.runtimes.precision_check import natural_crops

CROPS_PER_IMAGE = {"center": 1, "ten": 10}  # crops per image


def open_all(model: str, scratch: Path, half: bool) -> dict[str, Runtime]:
    """Every runtime and precision that the model has on a CPU."""
    encoder, models = None, ["mini"]
    if model == "rine":
        encoder = scratch / "vit-l14.safetensors"
        make_encoder(encoder, SHAPES["vit-l14"])
        models = [str(path) for path in make_heads(scratch, encoder, SHAPES["vit-l14"])]
    opened: dict[str, Runtime] = {}
    offered: tuple[Precision, ...] = ("fp32", "bf16") if model == "rine" else ("fp32",)
    for precision in offered:
        config = ScanConfig(inputs=("unused",), device="cpu", precision=precision, encoder=encoder)
        opened[f"pytorch {precision}"] = open_runtime(config, choose_models(models).models)
    exported: tuple[Literal["fp32", "fp16"], ...] = ("fp32", "fp16") if half else ("fp32",)
    for precision in exported:
        graph = export(models, scratch / f"{precision}.onnx", precision, encoder)
        config = ScanConfig(inputs=("unused",), device="cpu")
        opened[f"onnx {precision}"] = open_runtime(config, choose_models([str(graph)]).models)
    return opened


def measure(
    opened: dict[str, Runtime], images: int, crops_per_image: int, rounds: int
) -> dict[str, dict[str, Any]]:
    """Rates, ratios and differences of every runtime."""
    crops = natural_crops(images * crops_per_image, seed=1)
    times: dict[str, list[float]] = {name: [] for name in opened}
    scores: dict[str, NDArray[np.float64]] = {}
    for _ in range(rounds):
        for name, runtime in opened.items():
            start = time.perf_counter()
            logits = np.concatenate(
                [runtime.logits(CropSet.plain(crops[i : i + 40])) for i in range(0, len(crops), 40)]
            )
            times[name].append(time.perf_counter() - start)
            scores[name] = 1 / (
                1 + np.exp(-logits.reshape(images, crops_per_image, -1).mean(axis=1, dtype=float))
            )
    return {
        name: {
            **_spread("pictures_per_second", [images / seconds for seconds in values]),
            **_spread("ratio", [b / a for a, b in zip(values, times["pytorch fp32"], strict=True)]),
            "largest_score_difference": float(f"{np.abs(scores[name] - scores['pytorch fp32']).max():.2g}"),
        }
        for name, values in times.items()
    }


def _spread(figure: str, values: list[float]) -> dict[str, Any]:
    """Median, lowest and highest."""
    return {
        figure: round(statistics.median(values), 3),
        f"{figure}_range": [round(min(values), 3), round(max(values), 3)],
    }


def main() -> None:
    """Measure, print, and write the result."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", choices=["mini", "rine"], default="mini")
    parser.add_argument("--center", type=int, default=80, help="images of one crop")
    parser.add_argument("--ten", type=int, default=16, help="images of ten crops")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--half", action="store_true", help="the graph in fp16 too")
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        opened = open_all(options.model, Path(scratch), options.half)
        figures = {
            crops: measure(opened, getattr(options, crops), crops_per_image, options.rounds)
            for crops, crops_per_image in CROPS_PER_IMAGE.items()
        }
    result = stamp("runtimes", "torch", "onnxruntime") | {
        "model": options.model,
        "pictures": {"center": options.center, "ten": options.ten},
        "rounds": options.rounds,
        **figures,
    }
    publish(result, options.out)


if __name__ == "__main__":
    main()
