"""How well a scan predicts its duration: the time left by the first hundred images, and the true one.

    python benchmarks/time_estimate.py FOLDER... [--model mini] [--out results.json]

Each folder is scanned without a report. ``by_count_off_percent`` says how far off the mean time of the first
hundred, times the number of images, would have been.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from contextlib import closing
from pathlib import Path

from sidscan.config import ScanConfig
from sidscan.pipeline import open_scan


def measure(folder: str, model: str) -> dict[str, object]:
    """Predicted and true seconds from the moment of the estimate to the end."""
    scan = open_scan(ScanConfig(inputs=(folder,), models=(model,), in_order=False))
    with closing(scan.journal):
        images, started = scan.journal.images_pending()[0], time.monotonic()
        predicted = at = left = None
        for _ in scan:
            if predicted is None and (predicted := scan.pace.seconds_left()) is not None:
                at, left = time.monotonic(), scan.pace.images_left
        ended = time.monotonic()
    if predicted is None or at is None or left is None:
        return {"images": images, "predicted": None}
    by_count = (at - started) / (images - left) * left
    true = ended - at
    return {
        "folder": os.path.basename(os.path.abspath(folder)),  # noqa: PTH100, PTH119
        "images": images,
        "left": left,
        "predicted_seconds": round(predicted, 1),
        "true_seconds": round(true, 1),
        "off_percent": round(100 * (predicted / true - 1), 1),
        "by_count_off_percent": round(100 * (by_count / true - 1), 1),
        "load_average": os.getloadavg()[0],
    }


def main() -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folders", nargs="+")
    parser.add_argument("--model", default="mini")
    parser.add_argument("--out", type=Path)
    given = parser.parse_args()
    results = []
    for folder in given.folders:
        results.append(measure(folder, given.model))
        print(json.dumps(results[-1]), flush=True)
    if given.out:
        given.out.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
