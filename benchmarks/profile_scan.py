"""Where a scan's time goes: processor time of each stage, per image, with the bundled detector.

    python benchmarks/profile_scan.py --images 24
    python benchmarks/profile_scan.py --images 1000 --size 256x256 --crops center

Two scans. The first reads in this process, with a clock around every stage that counts the time of its own
thread alone; the second reads in worker processes, as scans do, and measures the total of these and of the
parent. The excess over the first scan is the cost of separate processes, including their start. Waiting, for
example for a disk, is not processor time; for the journal it is stated separately. The share of time in which
the model's threads have work shows whether anything else makes them wait, however busy the machine is.
Results are printed, and written as JSON with --out.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from camera import make
from record import publish, stamp
from usage import processor_seconds

from sidscan import ScanConfig, reports
from sidscan.images import crops, decode, items, libjpeg
from sidscan.journal import Journal
from sidscan.pipeline import Scan, open_scan
from sidscan.runtimes import forward
from sidscan.util.threads import available_cores

STAGES: tuple[tuple[Any, str, str], ...] = (
    (items, "load_file", "read and hash"),
    (items, "info_from_bytes", "hash"),
    (decode, "decode", "decode"),
    (libjpeg._DecodeTask, "run", "decode"),  # partly in a separate thread
    (crops, "crop", "cut"),
    (items, "read_exif", "EXIF"),
    (forward, "score", "model"),
    (Journal, "append", "record"),
    (Journal, "find_by_sha256", "look up bytes"),
)


@contextmanager
def clocks() -> Iterator[tuple[dict[str, float], dict[str, float]]]:
    """Seconds of each stage while the context is open: processor time of its threads, and by the clock."""
    used: dict[str, float] = defaultdict(float)
    passed: dict[str, float] = defaultdict(float)

    def timed(function: Callable[..., Any], name: str) -> Callable[..., Any]:
        def call(*arguments: Any, **options: Any) -> Any:
            start, began = time.thread_time(), time.perf_counter()
            try:
                return function(*arguments, **options)
            finally:
                used[name] += time.thread_time() - start  # a rare lost update loses one image's time
                passed[name] += time.perf_counter() - began

        return call

    plain = [(owner, name, getattr(owner, name)) for owner, name, _ in STAGES]
    for owner, name, label in STAGES:
        setattr(owner, name, timed(getattr(owner, name), label))
    try:
        yield used, passed
    finally:
        for owner, name, function in plain:
            setattr(owner, name, function)


@contextmanager
def opened(paths: list[Path], scratch: Path, crops: Any, isolation: bool) -> Iterator[Scan]:
    """A scan with its journal in a file."""
    config = ScanConfig(
        inputs=tuple(map(str, paths)),
        models=("mini",),
        device="cpu",
        crops=crops,
        isolation=isolation,
        journal=scratch / f"{isolation}.journal",
    )
    with closing((run := open_scan(config)).journal):
        yield run


def stages(paths: list[Path], scratch: Path, crops: str) -> dict[str, float]:
    """Total seconds of every stage."""
    with clocks() as (used, passed), opened(paths, scratch, crops, isolation=False) as run:
        before, began = sum(processor_seconds().values()), time.perf_counter()
        for _ in run:
            pass
        whole, clock = sum(processor_seconds().values()) - before, time.perf_counter() - began
        before = sum(processor_seconds().values())
        writers = [reports.output_for(str(scratch / f"r.{kind}"), overwrite=True) for kind in ("csv", "json")]
        with reports.reserve_all(writers):
            reports.write_all(writers, run.journal)
        report = sum(processor_seconds().values()) - before
    by_stage = {
        "read": used["read and hash"] - used["hash"],
        **{
            name: used[name] for name in ("hash", "decode", "cut", "EXIF", "model", "record", "look up bytes")
        },
    }
    return by_stage | {
        "all else in Python": whole - sum(by_stage.values()),
        "processors in all": whole,
        "reports, CSV and JSON": report,
        "by the clock: the whole scan": clock,
        "by the clock: record": passed["record"],
    }


def apart(paths: list[Path], scratch: Path, crops: str) -> tuple[dict[str, float], float]:
    """Total seconds of parent and workers, and the share of time in which the model's threads are busy."""
    with clocks() as (_, passed), opened(paths, scratch, crops, isolation=True) as run:
        before, began, last = processor_seconds(), time.perf_counter(), {}
        for _ in run:
            last = processor_seconds()  # read while the workers still run, as they end with the scan
        clock = time.perf_counter() - began
    used = {name: last[name] - before[name] for name in last}
    return {**used, "by the clock: the whole scan": clock}, passed["model"] / (clock * available_cores())


def main() -> None:
    """Measure, print, and write the result."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--images", type=int, default=24)
    parser.add_argument("--size", default="4000x3000", help="pixels; default: 12 megapixels")
    parser.add_argument("--crops", choices=["ten", "center"], default="ten")
    parser.add_argument("--folder", type=Path, help="keeps the images for another time")
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as text:
        scratch = Path(text)
        paths = make(options.folder or scratch / "pictures", options.images, options.size)
        with opened(paths[:2], scratch, options.crops, isolation=False) as run:
            list(run)  # load everything that the first image needs
        (scratch / "False.journal").unlink()
        here = stages(paths, scratch, options.crops)
        there, busy = apart(paths, scratch, options.crops)
    result = stamp("profile_scan", "torch", "PIL") | {
        "pictures": {"count": len(paths), "size": options.size, "crops": options.crops},
        "cores": available_cores(),
        "milliseconds_per_picture": {
            "in one process": {name: round(1e3 * value / len(paths), 3) for name, value in here.items()},
            "with workers": {name: round(1e3 * value / len(paths), 3) for name, value in there.items()},
        },
        "share_of_the_time_that_the_models_threads_are_busy": round(busy, 3),
    }
    publish(result, options.out)


if __name__ == "__main__":
    main()
