"""Images per second of the default detectors, by effort, on camera JPEGs and on images of the web's size.

    python benchmarks/effort.py --camera FOLDER --web FOLDER --out FILE

Every scan is the command on the CPU with its defaults but for --model and --effort, in a new process and into
a new report. ``mini`` scans both folders, then rine-b16 with each effort; --rounds repeats all of them in
turn. A time is that of the whole command, stated beside that of the same command on one image, which is
mostly loading. rine-b16 must be installed.
"""

from __future__ import annotations

import argparse
import csv
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from parity import choose
from record import publish, stamp

SCANS: dict[str, tuple[str, ...]] = {
    "mini": ("--model", "mini"),
    **{
        f"rine-b16 {effort}": ("--model", "rine-b16", "--effort", effort)
        for effort in ("fast", "normal", "full")
    },
}


def scan(images: list[Path], arguments: tuple[str, ...]) -> tuple[float, list[dict[str, str]]]:
    """Seconds of the whole command, and the report's rows."""
    with tempfile.TemporaryDirectory() as scratch:
        listed, out = Path(scratch) / "list.txt", Path(scratch) / "report.csv"
        listed.write_text("".join(f"{path}\n" for path in images), encoding="utf-8")
        command = [sys.executable, "-m", "sidscan", "scan", "--list", str(listed), *arguments]
        start = time.perf_counter()
        code = subprocess.run([*command, "--device", "cpu", "--out", str(out), "-q"]).returncode
        taken = time.perf_counter() - start
        if code not in (0, 3):  # 3: some could not be read, but have a row
            raise SystemExit(code)
        with out.open(encoding="utf-8", newline="") as file:
            return taken, list(csv.DictReader(file))


def measure(folders: dict[str, list[Path]], rounds: int) -> dict[str, Any]:
    """By scan, then by folder: rates over the rounds, and what the rows say."""
    times: dict[tuple[str, str], list[tuple[float, float]]] = {}  # of one image, of all
    reports: dict[tuple[str, str], list[dict[str, str]]] = {}
    for _ in range(rounds):
        for name, arguments in SCANS.items():
            for folder, images in folders.items():
                one, _ = scan(images[:1], arguments)
                seconds, reports[name, folder] = scan(images, arguments)
                times.setdefault((name, folder), []).append((one, seconds))
    figures: dict[str, Any] = {}
    for (name, folder), measured in times.items():
        rows = reports[name, folder]
        scored = [row for row in rows if row["status"] == "scored"]
        figures.setdefault(name, {})[folder] = {
            "scored": len(scored),
            "seconds": _rounded([seconds for _, seconds in measured]),
            "seconds_of_one_image": _rounded([one for one, _ in measured]),
            "images_per_second": _rounded([len(rows) / seconds for _, seconds in measured]),
            "images_per_second_after_the_first": _rounded(
                [(len(rows) - 1) / (seconds - one) for one, seconds in measured]
            ),
            "mean_crops": round(statistics.mean(float(row["views"]) for row in scored), 2),
        }
    return figures


def _rounded(values: list[float]) -> list[float]:
    return [float(f"{value:.3g}") for value in values]


def main() -> None:
    """Measure, print, and write the result."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--camera", type=Path, required=True)
    parser.add_argument("--web", type=Path, required=True)
    parser.add_argument("--camera-images", type=int, default=100)
    parser.add_argument("--web-images", type=int, default=500)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    folders = {
        "camera": choose(options.camera, options.camera_images),
        "web": choose(options.web, options.web_images),
    }
    result = stamp("effort", "torch") | {
        "images": {name: len(images) for name, images in folders.items()},
        "rounds": options.rounds,
    }
    publish(result | {"scans": measure(folders, options.rounds)}, options.out)


if __name__ == "__main__":
    main()
