"""Scan rate on camera-size JPEGs, compared with the rate of decoding them with Pillow alone, in one run.

    python benchmarks/scan_rate.py --images 24 --model mini
    python benchmarks/scan_rate.py --images 300 --folder /tmp/camera --rounds 3

All images are different, since a scan scores equal ones once; --folder keeps them for another time.
Every round measures all stages in turn, so that a machine whose speed drifts slows all of them; the
figures are medians over the rounds. Results are printed, and written as JSON with --out.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from camera import make
from PIL import Image
from record import publish, stamp

from sidscan import ScanConfig
from sidscan.isolation.reader import read_item
from sidscan.models import detectors
from sidscan.pipeline import open_scan
from sidscan.records import DecodedImage, Item
from sidscan.runtimes.pytorch import PyTorchRuntime
from sidscan.scoring.scorer import score
from sidscan.util.threads import available_cores

_IN_MEMORY = 200  # images; their crops are 150 MB


def pillow_decode(paths: list[Path], cores: int) -> None:
    """Pillow alone: every image decoded to RGB, on all cores."""

    def decode(path: Path) -> None:
        with Image.open(path) as image:
            image.convert("RGB").load()

    with ThreadPoolExecutor(cores) as pool:
        list(pool.map(decode, paths))


def read_images(paths: list[Path], cores: int) -> list[DecodedImage]:
    """sidscan's readers alone: hash, decode, cut crops, read EXIF."""
    options = ScanConfig(inputs=("unused",))
    with ThreadPoolExecutor(cores) as pool:
        images = list(pool.map(lambda path: read_item(Item(str(path)), options), paths))
    return [image for image in images if isinstance(image, DecodedImage)]


def score_images(images: list[DecodedImage], runtime: PyTorchRuntime, batch: int) -> None:
    """The model alone, on crops that are already in memory."""
    count = max(1, batch // 10)
    for start in range(0, len(images), count):
        score(images[start : start + count], runtime, "")


def scan(paths: list[Path], model: str) -> None:
    """All of `sidscan scan` except its reports: load the model, enumerate, read, score, record."""
    with tempfile.TemporaryDirectory() as scratch:
        options = ScanConfig(
            inputs=tuple(map(str, paths)),
            models=(model,),
            journal=Path(scratch) / "run.journal",
            device="cpu",
        )
        for _ in open_scan(options):
            pass


def seconds(function: Callable[[], Any]) -> float:
    """Wall-clock time of one call."""
    start = time.perf_counter()
    function()
    return time.perf_counter() - start


def measure(paths: list[Path], model: str, rounds: int, cores: int) -> dict[str, list[float]]:
    """Seconds of every stage in every round; the model alone has the crops of the first `_IN_MEMORY`."""
    runtime = PyTorchRuntime(detectors.load_detectors([model]), "cpu")
    images = read_images(paths[:_IN_MEMORY], cores)
    stages: dict[str, Callable[[], Any]] = {
        "pillow decode alone": lambda: pillow_decode(paths, cores),
        "sidscan readers alone": lambda: read_images(paths, cores),
        "model alone": lambda: score_images(images, runtime, 40),
        "sidscan scan": lambda: scan(paths, model),
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
    parser.add_argument("--images", type=int, default=24)
    parser.add_argument("--size", default="4000x3000", help="pixels; default: 12 megapixels")
    parser.add_argument("--model", default="mini")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--folder", type=Path, help="keeps the images for another time")
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    cores = available_cores()

    with tempfile.TemporaryDirectory() as scratch:
        paths = make(options.folder or Path(scratch), options.images, options.size)
        megabytes = sum(path.stat().st_size for path in paths) / len(paths) / 1e6
        times = measure(paths, options.model, options.rounds, cores)

    counts = dict.fromkeys(times, len(paths)) | {"model alone": min(len(paths), _IN_MEMORY)}
    rates = {name: counts[name] / statistics.median(values) for name, values in times.items()}
    ratios = sorted(
        alone / scanned
        for alone, scanned in zip(times["pillow decode alone"], times["sidscan scan"], strict=True)
    )
    result = stamp("scan_rate", "torch", "PIL") | {
        "pictures": {"count": len(paths), "size": options.size, "mean_megabytes": round(megabytes, 2)},
        "model": options.model,
        "pictures_per_second": {name: round(rate, 2) for name, rate in rates.items()},
        "seconds": {name: [round(value, 3) for value in values] for name, values in times.items()},
        "ratio_scan_to_pillow": round(statistics.median(ratios), 3),
        "ratio_of_each_round": [round(ratio, 3) for ratio in ratios],
    }
    publish(result, options.out)


if __name__ == "__main__":
    main()
