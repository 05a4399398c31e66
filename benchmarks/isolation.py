"""The cost of reading in separate processes: the rate of a scan with and without them, in one run.

    python benchmarks/isolation.py --out FILE

Rounds are paired, and the order alternates, so that a machine whose speed drifts slows both. Times are those
of the whole command, including its start and that of its workers.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from camera import camera_jpeg
from harness import Verdicts, encoded, environment, photo, scan

_LARGEST_COST = 0.10  # share of the rate without separate processes


def small(folder: Path, count: int) -> None:
    """JPEGs of 512 x 384 pixels, as from the web."""
    folder.mkdir()
    rng = np.random.default_rng(0)
    for number in range(count):
        (folder / f"{number:05}.jpg").write_bytes(encoded(photo(rng, 512, 384), "JPEG", quality=90))


def camera(folder: Path, count: int) -> None:
    """JPEGs of 12 megapixels: a few, each under several names."""
    folder.mkdir()
    images = [camera_jpeg(4000, 3000, seed) for seed in range(min(count, 12))]
    for number in range(count):
        (folder / f"{number:05}.jpg").write_bytes(images[number % len(images)])


def seconds(folder: Path, scratch: Path, crops: str, isolation: str) -> float:
    """Seconds of one whole scan."""
    out = scratch / "r.csv"
    command = scan(
        *(folder, "--model", "mini", "--device", "cpu", "--crops", crops),
        *("--fresh", isolation, "--quiet", "--out", out),
    )
    began = time.perf_counter()
    subprocess.run(command, env=environment(scratch / "store"), check=True, capture_output=True)
    return time.perf_counter() - began


def measure(folder: Path, scratch: Path, crops: str, rounds: int) -> dict[str, list[float]]:
    """Seconds of every round, by kind."""
    times: dict[str, list[float]] = {"--isolation": [], "--no-isolation": []}
    for number in range(rounds):
        for kind in list(times)[:: 1 if number % 2 else -1]:
            times[kind].append(seconds(folder, scratch, crops, kind))
    return times


def main() -> int:
    """Measure, and write the result; return the exit code."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--small", type=int, default=2000, help="small images")
    parser.add_argument("--camera", type=int, default=120, help="images of camera size")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    verdicts = Verdicts("isolation")
    with tempfile.TemporaryDirectory() as text:
        scratch = Path(text)
        small(scratch / "small", options.small)
        camera(scratch / "camera", options.camera)
        for name, count, crops in (
            ("small", options.small, "center"),
            ("small", options.small, "ten"),
            ("camera", options.camera, "ten"),
        ):
            times = measure(scratch / name, scratch, crops, options.rounds)
            apart, together = times.values()
            ratios = sorted(without / with_ for with_, without in zip(apart, together, strict=True))
            label = f"{name}, {crops} crops"
            verdicts.result[label] = {
                "pictures": count,
                "seconds": {kind: [round(value, 2) for value in values] for kind, values in times.items()},
                "pictures_per_second": {
                    kind: round(count / statistics.median(values), 2) for kind, values in times.items()
                },
                "rate_with_isolation_by_rate_without": [round(ratio, 3) for ratio in ratios],
            }
            ratio = statistics.median(ratios)
            verdicts.check(
                f"isolation costs less than {_LARGEST_COST:.0%} of the rate: {label}",
                ratio > 1 - _LARGEST_COST,
                f"{ratio:.3f} of the rate without, {ratios[0]:.3f} to {ratios[-1]:.3f} over the rounds; "
                f"{statistics.median(apart):.1f} s and {statistics.median(together):.1f} s",
            )
    return verdicts.end(options.out)


if __name__ == "__main__":
    sys.exit(main())
