"""What reading a picture costs with one, three and six detectors: decodes, opened files, processor seconds.

    python benchmarks/reading_cost.py FOLDER [--images 100] [--rounds 2] [--out FILE]

Large JPEGs, all different, are scanned in worker processes. Each worker counts the images that it opens and
decodes, and the pictures of whole images that it makes. Its processor seconds are those of reading (start
included); those of the scan's own process are those of scoring and recording. The weights are the random ones
of benchmarks/table_2.py, so the scores mean nothing. FOLDER gets images and weights.

It ends with an error where an image is opened or decoded more than once, or where a detector's logits depend
on the others.
"""

from __future__ import annotations

import argparse
import os
import resource
import statistics
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any, NamedTuple
from unittest.mock import patch

from camera import make
from record import publish, stamp
from table_2 import import_all

from sidscan import ScanConfig
from sidscan.models.catalog import CATALOG
from sidscan.models.store import Store
from sidscan.pipeline import open_scan

DETECTORS = ("mini", "npr", "patch-forensics", "c2p-clip", "clipdet", "cnndet-p01")
"""One reads crops, then four read pictures of their own, and the last one crops."""
SCANS = {
    "mini": DETECTORS[:1],
    "npr": DETECTORS[1:2],
    "three": DETECTORS[:3],
    "six": DETECTORS,
}
_LARGEST_DIFFERENCE = 1e-4  # of logits: batches of other sizes round otherwise
# Runs at the start of every worker; the log is open before the worker gives up opening files for writing.
_COUNTING = """
import sys
if any("sidscan.isolation.worker" in each for each in sys.orig_argv):
    log = open({log!r}, "a", buffering=1)
    def opened(event, arguments):
        if event == "open" and str(arguments[0]).endswith(".jpg"):
            log.write("open " + str(arguments[0]) + chr(10))
    sys.addaudithook(opened)
    from sidscan.images import decode, views
    def counted(function, word, name):
        def call(*arguments):
            log.write(word + " " + str(name(arguments)) + chr(10))
            return function(*arguments)
        return call
    decode.decode = counted(decode.decode, "decode", lambda arguments: arguments[3])
    views.make_view = counted(views.make_view, "view", lambda arguments: arguments[1])
"""


class Cost(NamedTuple):
    """What one scan took.

    Attributes:
        counts: of ``open``, ``decode`` and ``view`` in all workers; the most for one image.
        reading, scoring: processor seconds of the workers and of the scan's own process.
        logits: by image and model.
    """

    counts: dict[str, tuple[int, int]]
    reading: float
    scoring: float
    logits: dict[tuple[str, str], float]


def scanned(images: Path, models: tuple[str, ...], crops: Any) -> Cost:
    """Scan a folder, whose models are loaded first."""
    with tempfile.TemporaryDirectory() as scratch:
        log = Path(scratch) / "log"
        (Path(scratch) / "sitecustomize.py").write_text(_COUNTING.format(log=str(log)))
        search = os.pathsep.join([scratch, *filter(None, sys.path)])
        with patch.dict(os.environ, {"PYTHONPATH": search}):
            config = ScanConfig(inputs=(str(images),), models=models, journal=None, crops=crops, device="cpu")
            scan = open_scan(config)
            began, own = _children(), time.process_time()
            rows = list(scan)
            own = time.process_time() - own
            scan.journal.close()
        if failed := [row.name for row in rows if not row.scores]:
            raise SystemExit(f"no score for {failed[0]}")
        counted = Counter(log.read_text().splitlines())
    logits = {(row.name, score.model): score.logit for row in rows for score in row.scores}
    return Cost(_counts(counted), _children() - began, own, logits)


def _children() -> float:
    """Processor seconds of processes that have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _counts(lines: Counter[str]) -> dict[str, tuple[int, int]]:
    """Of each word, how often it was logged, and at most for one image (of a view: of any image)."""
    return {
        word: (sum(found), max(found, default=0))
        for word in ("open", "decode", "view")
        for found in [[count for line, count in lines.items() if line.startswith(f"{word} ")]]
    }


def _check(name: str, cost: Cost, images: int, alone: dict[tuple[str, str], float]) -> None:
    """End with an error unless each image was opened and decoded once, and logits are those of others."""
    once = (images, 1)
    if not cost.counts["open"] == cost.counts["decode"] == once:
        raise SystemExit(f"{name}: {cost.counts} of {images} images")
    for key, logit in cost.logits.items():
        if abs(alone.setdefault(key, logit) - logit) > _LARGEST_DIFFERENCE:
            raise SystemExit(f"{name}: {key} has {logit}, elsewhere {alone[key]}")


def measure(images: Path, number: int, rounds: int, crops: Any) -> dict[str, Any]:
    """Every scan in every round, in turn; medians."""
    costs: dict[str, list[Cost]] = {name: [] for name in SCANS}
    logits: dict[tuple[str, str], float] = {}
    for _ in range(rounds):
        for name, models in SCANS.items():
            cost = scanned(images, models, crops)
            _check(name, cost, number, logits)
            costs[name].append(cost)
    return {
        name: {
            "models": list(SCANS[name]),
            **{word: total for word, (total, _) in found[0].counts.items()},
            "reading_ms_per_image": _each([cost.reading for cost in found], number),
            "scoring_ms_per_image": _each([cost.scoring for cost in found], number),
        }
        for name, found in costs.items()
    }


def _each(seconds: list[float], number: int) -> float:
    """Median milliseconds per image."""
    return round(1000 * statistics.median(seconds) / number, 1)


def main() -> None:
    """Make images and weights, scan, write the result."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("--images", type=int, default=100)
    parser.add_argument("--size", default="4000x3000", help="pixels; default: 12 megapixels")
    parser.add_argument("--crops", choices=("ten", "center"), default="center")
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--out", type=Path)
    choices = parser.parse_args()
    make(choices.folder / "images", choices.images, choices.size)
    os.environ["SIDSCAN_MODELS"] = str(choices.folder / "models")
    import_all(choices.folder / "weights")
    with patch("sidscan.models.store.CATALOG", {**Store().catalog, "mini": CATALOG["mini"]}):
        found = measure(choices.folder / "images", choices.images, choices.rounds, choices.crops)
    asked = {name: getattr(choices, name) for name in ("images", "size", "crops", "rounds")}
    publish({**stamp("reading_cost", "torch", "PIL"), **asked, "scans": found}, choices.out)


if __name__ == "__main__":
    main()
