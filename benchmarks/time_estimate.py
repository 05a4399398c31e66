"""How well a scan predicts its duration: the time left by the first hundred images, and the true one.

    python benchmarks/time_estimate.py FOLDER... [--model mini] [--budget SECONDS] [--out results.json]

Each folder is scanned without a report. ``by_count_off_percent`` says how far off the mean time of the first
hundred, times the number of images, would have been. With ``--budget``, it is measured how late such a scan
stops, and how long a batch takes.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from contextlib import closing
from itertools import pairwise
from pathlib import Path
from statistics import median

from sidscan.config import ScanConfig
from sidscan.pipeline import open_scan
from sidscan.util.clock import Clock

_SAME_BATCH = 0.02  # seconds: results of one batch come closer together


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


def measure_budget(folder: str, model: str, budget: float) -> dict[str, object]:
    """Seconds by which a scan outlasts its budget, without start and reports, and those of its batches."""
    clock = Clock(budget, None)
    started = time.monotonic()
    scan = open_scan(ScanConfig(inputs=(folder,), models=(model,), budget=budget), clock=clock)
    ready = time.monotonic()
    ends: list[float] = []
    with closing(scan.journal):
        for _ in scan:
            now = time.monotonic()
            if not ends or now - ends[-1] > _SAME_BATCH:
                ends.append(now)
        ended = time.monotonic()
        batches = [after - before for before, after in pairwise(ends)]
        return {
            "folder": os.path.basename(os.path.abspath(folder)),  # noqa: PTH100, PTH119
            "model": model,
            "budget_seconds": budget,
            "stopped": scan.stopped,
            "images_seen": scan.num_results,
            "images_left": scan.journal.images_pending()[0],
            "late_seconds": round(ended - started - budget, 2),
            "batches": len(batches),
            "ready_after_seconds": round(ready - started, 2),
            "first_batch_after_seconds": round(ends[0] - started, 2),
            "median_batch_seconds": round(median(batches), 2) if batches else None,
            "longest_batch_seconds": round(max(batches), 2) if batches else None,
            "load_average": os.getloadavg()[0],
        }


def main() -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folders", nargs="+")
    parser.add_argument("--model", default="mini")
    parser.add_argument("--budget", type=float, help="seconds; measure how late a scan stops")
    parser.add_argument("--out", type=Path)
    given = parser.parse_args()
    results = []
    for folder in given.folders:
        if given.budget:
            results.append(measure_budget(folder, given.model, given.budget))
        else:
            results.append(measure(folder, given.model))
        print(json.dumps(results[-1]), flush=True)
    if given.out:
        given.out.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
