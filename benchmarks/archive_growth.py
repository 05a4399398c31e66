"""Does a scan slow down or grow with its archive? Small pictures, all different, scanned to reports.

    python benchmarks/archive_growth.py --sizes 1000 10000
    python benchmarks/archive_growth.py --sizes 1000 10000 100000 --folder /tmp/archive

Of every size: the rate in each tenth of the pictures, by the clock and by processor time (which a busy
machine moves less), memory of the parent process at the first finding and at the end of each tenth, seconds
to the first finding, what the reports take, and what a second scan of the unchanged archive takes. Results
are printed, and written as JSON with --out.
"""

from __future__ import annotations

import argparse
import io
import os
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import closing, contextmanager
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np
from PIL import Image
from record import publish, stamp
from usage import processor_seconds, resident_megabytes

from sidscan import ScanConfig, reports
from sidscan.pipeline import Scan, open_scan

SIDE = 256  # pixels
_SCENE = 1024  # pixels, side of what pictures are cut from
_SHARE = 500  # pictures that one call makes
_PER_FOLDER = 1000


def make(folder: Path, count: int) -> None:
    """Pictures 0 .. count - 1, those that are not there yet."""
    with ProcessPoolExecutor(os.cpu_count()) as pool:
        for _ in pool.map(partial(_make, folder, count), range(0, count, _SHARE)):
            pass


def _make(folder: Path, count: int, start: int) -> None:
    rng = np.random.default_rng(start)
    coarse = rng.integers(0, 256, (_SCENE // 64, _SCENE // 64, 3), dtype=np.uint8)
    scene = np.asarray(Image.fromarray(coarse).resize((_SCENE, _SCENE), Image.Resampling.BICUBIC))
    noise = rng.normal(0, 5, scene.shape[:2])[..., None]
    pixels = (scene + noise).clip(0, 255).astype(np.uint8)
    for number in range(start, min(start + _SHARE, count)):
        path = folder / f"{number // _PER_FOLDER:04}" / f"{number:06}.jpg"
        left, top = rng.integers(0, _SCENE - SIDE, 2)
        if path.exists():
            continue
        path.parent.mkdir(parents=True, exist_ok=True)
        buffer = io.BytesIO()
        Image.fromarray(pixels[top : top + SIDE, left : left + SIDE]).save(buffer, "JPEG", quality=85)
        path.write_bytes(buffer.getvalue())


@contextmanager
def opened(folder: Path, count: int, scratch: Path, crops: Literal["ten", "center"]) -> Iterator[Scan]:
    """A scan of the first ``count`` pictures, with its record in ``scratch``."""
    folders = [str(folder / f"{number:04}") for number in range(-(-count // _PER_FOLDER))]
    config = ScanConfig(
        inputs=tuple(folders), models=("mini",), device="cpu", crops=crops, journal=scratch / "run.journal"
    )
    with closing((run := open_scan(config)).journal):
        yield run


def render(run: Scan, scratch: Path) -> float:
    """Seconds that the reports of a scan take, CSV and JSON."""
    start = time.perf_counter()
    writers = [reports.report(str(scratch / f"r.{kind}"), "csv", False) for kind in ("csv", "json")]
    with reports.reserved(writers, overwrite=True):
        reports.write(writers, run.journal)
    return time.perf_counter() - start


def measure(folder: Path, count: int, crops: Literal["ten", "center"]) -> dict[str, Any]:
    """One scan, its reports, and the same scan again."""
    with tempfile.TemporaryDirectory() as text:
        scratch = Path(text)
        began = time.perf_counter()
        marks: list[tuple[float, float, float]] = []  # seconds by the clock and of processors, megabytes
        with opened(folder, count, scratch, crops) as run:
            ready = time.perf_counter()
            for number, _ in enumerate(run):
                if number == 0:
                    first = time.perf_counter()
                if (number * 10) // count == len(marks) or number == count - 1:
                    marks.append(
                        (time.perf_counter(), sum(processor_seconds().values()), resident_megabytes())
                    )
            done = time.perf_counter()
            reported = render(run, scratch)
            whole = time.perf_counter() - began
            memory_after_reports = resident_megabytes()
            journal = (scratch / "run.journal").stat().st_size
        again = time.perf_counter()
        with opened(folder, count, scratch, crops) as run:
            kept = run.earlier.kept
            assert not list(run)
            render(run, scratch)
        rescanned = time.perf_counter() - again
    clock, processor, memory = (np.array(column) for column in zip(*marks, strict=True))
    rates, costs = count / 10 / np.diff(clock), np.diff(processor) / (count / 10)
    return {
        "pictures": count,
        "pictures_per_second": round(count / (done - ready), 1),
        "rate_of_each_tenth": [round(float(rate), 1) for rate in rates],
        "last_tenth_by_first": round(float(rates[-1] / rates[0]), 3),
        "processor_milliseconds_per_picture_of_each_tenth": [round(float(1e3 * cost), 2) for cost in costs],
        "seconds_to_open": round(ready - began, 2),
        "seconds_to_first_finding": round(first - began, 2),
        "parent_megabytes": [round(float(one)) for one in memory],
        "parent_megabytes_over_the_end_of_the_first_tenth": round(float(memory[1:].max() - memory[1])),
        "parent_megabytes_after_reports": round(memory_after_reports),
        "report_seconds": round(reported, 2),
        "report_share": round(reported / whole, 4),
        "journal_megabytes": round(journal / 1e6, 1),
        "rescan_seconds": round(rescanned, 2),
        "rescan_kept": kept,
    }


def main() -> None:
    """Measure, print, and write the result."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--sizes", type=int, nargs="+", default=[1000, 10_000])
    parser.add_argument("--crops", choices=["center", "ten"], default="center")
    parser.add_argument("--folder", type=Path, help="keeps the pictures for another time")
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        folder = options.folder or Path(scratch)
        make(folder, max(options.sizes))
        measured = []
        for size in options.sizes:
            measured.append(measure(folder, size, options.crops))
            print(measured[-1], flush=True)
    result = stamp("archive_growth", "torch", "PIL") | {
        "picture": f"JPEG, {SIDE} x {SIDE} pixels",
        "model": "mini",
        "crops": options.crops,
        "sizes": measured,
    }
    publish(result, options.out)


if __name__ == "__main__":
    main()
