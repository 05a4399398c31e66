"""Scan rate on camera-size JPEGs beside the rate at which Pillow alone decodes them, in one run.

    python benchmarks/scan_rate.py --pictures 24 --model mini

Every round measures all stages in turn, so that a machine whose speed drifts slows all of them; the
figures are medians over the rounds. Results are printed, and written as JSON with --out.
"""

from __future__ import annotations

import argparse
import io
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from record import publish, stamp

from sidscan import ScanConfig
from sidscan.models import detectors
from sidscan.pipeline import open_scan
from sidscan.readers import read
from sidscan.records import Item, Sample
from sidscan.runtimes.pytorch import PyTorchRuntime
from sidscan.scoring import score


def camera_jpeg(width: int, height: int, seed: int) -> bytes:
    """A JPEG of camera size: smooth structure and sensor-like noise, quality 92, 4:2:0."""
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 256, (height // 100, width // 100, 3), dtype=np.uint8)
    scene = np.asarray(Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC)).astype(
        np.int16
    )
    scene += rng.normal(0, 4, (height, width, 1)).astype(np.int16)
    buffer = io.BytesIO()
    Image.fromarray(scene.clip(0, 255).astype(np.uint8)).save(buffer, "JPEG", quality=92)
    return buffer.getvalue()


def pillow_decode(paths: list[Path], cores: int) -> None:
    """Pillow alone: every picture decoded to RGB, on all cores."""

    def decode(path: Path) -> None:
        with Image.open(path) as image:
            image.convert("RGB").load()

    with ThreadPoolExecutor(cores) as pool:
        list(pool.map(decode, paths))


def read_samples(paths: list[Path], cores: int) -> list[Sample]:
    """sidscan's readers alone: hash, decode, crops, EXIF."""
    config = ScanConfig(inputs=("unused",))
    with ThreadPoolExecutor(cores) as pool:
        samples = list(pool.map(lambda path: read(Item(str(path)), config), paths))
    return [sample for sample in samples if isinstance(sample, Sample)]


def score_samples(samples: list[Sample], runtime: PyTorchRuntime, batch: int) -> None:
    """The model alone, on crops that are already in memory."""
    pictures = max(1, batch // 10)
    for start in range(0, len(samples), pictures):
        score(samples[start : start + pictures], runtime, "")


def scan(folder: Path, model: str, cores: int) -> None:
    """All of `sidscan scan` but its reports: load the model, enumerate, read, score, record."""
    with tempfile.TemporaryDirectory() as scratch:
        config = ScanConfig(
            inputs=(str(folder),),
            models=(model,),
            workers=cores,
            journal=Path(scratch) / "run.journal",
            device="cpu",
        )
        for _ in open_scan(config):
            pass


def seconds(function: Callable[[], Any]) -> float:
    """Wall-clock time of one call."""
    start = time.perf_counter()
    function()
    return time.perf_counter() - start


def measure(folder: Path, paths: list[Path], model: str, rounds: int, cores: int) -> dict[str, list[float]]:
    """Seconds of every stage in every round."""
    runtime = PyTorchRuntime(detectors.load([model]), "cpu")
    samples = read_samples(paths, cores)
    stages: dict[str, Callable[[], Any]] = {
        "pillow decode alone": lambda: pillow_decode(paths, cores),
        "sidscan readers alone": lambda: read_samples(paths, cores),
        "model alone": lambda: score_samples(samples, runtime, 40),
        "sidscan scan": lambda: scan(folder, model, cores),
    }
    times: dict[str, list[float]] = {name: [] for name in stages}
    for _ in range(rounds):
        for name, stage in stages.items():
            times[name].append(seconds(stage))
    return times


def main() -> None:
    """Measure, print, and write the result."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--pictures", type=int, default=24)
    parser.add_argument("--size", default="4000x3000", help="pixels; 12 megapixels unless told")
    parser.add_argument("--model", default="mini")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    width, height = map(int, options.size.split("x"))
    cores = os.cpu_count() or 1

    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        for number in range(options.pictures):
            (folder / f"{number:04}.jpg").write_bytes(camera_jpeg(width, height, number))
        paths = sorted(folder.iterdir())
        megabytes = sum(path.stat().st_size for path in paths) / len(paths) / 1e6
        times = measure(folder, paths, options.model, options.rounds, cores)

    rates = {name: len(paths) / statistics.median(values) for name, values in times.items()}
    result = stamp("scan_rate", "torch", "PIL") | {
        "pictures": {"count": len(paths), "size": options.size, "mean_megabytes": round(megabytes, 2)},
        "model": options.model,
        "pictures_per_second": {name: round(rate, 2) for name, rate in rates.items()},
        "seconds": {name: [round(value, 3) for value in values] for name, values in times.items()},
        "ratio_scan_to_pillow": round(rates["sidscan scan"] / rates["pillow decode alone"], 3),
    }
    publish(result, options.out)


if __name__ == "__main__":
    main()
