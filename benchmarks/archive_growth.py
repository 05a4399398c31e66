"""Does a scan slow down or grow with its archive? Small images, all different, scanned to reports.

    python benchmarks/archive_growth.py --sizes 1000 10000
    python benchmarks/archive_growth.py --sizes 1000 10000 100000 --folder /tmp/archive

For every size, it measures: the rate in each tenth of the images, by the clock and by processor time (which
depends less on other load); memory of the parent process at the first result and at the end of each tenth;
seconds to the first result; the time of the reports; and the time of a second scan of the unchanged archive.

Minutes pass between the first and the last tenth of a large archive, and a shared machine can change more in
that time than the growth of the archive would show. So from 50,000 images on, a fresh scan of the same
archive runs during the last tenth; both scans take turns of 500 images. They share one process: their ratio
shows growth within a scan, and the rates of the tenths show growth within the process. (Memory is then that
of two scans, and is not stated.)

Results are printed, and written as JSON with --out.
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
from itertools import islice
from pathlib import Path
from typing import Any, Literal

import numpy as np
from PIL import Image
from record import publish, stamp
from usage import processor_seconds, resident_megabytes

from sidscan import ScanConfig, reports
from sidscan.pipeline import Scan, open_scan
from sidscan.records import ScanResult

SIDE = 256  # pixels
_SCENE = 1024  # pixels, side of the scene that images are cut from
_SHARE = 500  # images that one call writes
_PER_FOLDER = 1000
_TURN = 500  # images per turn of each of two scans
_TURNS = 10  # turns in the last tenth; an archive with fewer is scanned without turns


def make(folder: Path, count: int) -> None:
    """Write images 0 .. count - 1, except those that exist."""
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
    """A scan of the first ``count`` images, with its journal in ``scratch``."""
    folders = [str(folder / f"{number:04}") for number in range(-(-count // _PER_FOLDER))]
    config = ScanConfig(
        inputs=tuple(folders), models=("mini",), device="cpu", crops=crops, journal=scratch / "run.journal"
    )
    with closing((run := open_scan(config)).journal):
        yield run


def render(run: Scan, scratch: Path) -> float:
    """Seconds that the reports of a scan take, CSV and JSON."""
    start = time.perf_counter()
    writers = [reports.output_for(str(scratch / f"r.{kind}"), overwrite=True) for kind in ("csv", "json")]
    with reports.reserve_all(writers):
        reports.write_all(writers, run.journal)
    return time.perf_counter() - start


def take(results: Iterator[ScanResult], count: int) -> float:
    """Seconds that a scan's next ``count`` results take."""
    began = time.perf_counter()
    taken = sum(1 for _ in islice(results, count))
    assert taken == count, f"{count - taken} results are missing"
    return time.perf_counter() - began


def in_turn(late: Iterator[ScanResult], fresh: Iterator[ScanResult], count: int) -> list[tuple[float, float]]:
    """Seconds of two scans for every `_TURN` of ``count`` images each, in turn.

    Work that one scan has begun at the end of its turn ends in the other's turn, for both alike.
    """
    take(fresh, _TURN)  # start the fresh scan
    seconds = []
    for turn in range(count // _TURN):
        if turn % 2:
            of_fresh, of_late = take(fresh, _TURN), take(late, _TURN)
        else:
            of_late, of_fresh = take(late, _TURN), take(fresh, _TURN)
        seconds.append((of_late, of_fresh))
    return seconds


def measure(folder: Path, count: int, crops: Literal["ten", "center"]) -> dict[str, Any]:
    """One scan, its reports, and the same scan again."""
    tenth = count // 10
    with tempfile.TemporaryDirectory() as text:
        scratch, other = Path(text), Path(text) / "other"
        other.mkdir()
        began = time.perf_counter()
        with opened(folder, count, scratch, crops) as run:
            ready = time.perf_counter()
            results = iter(run)
            take(results, 1)
            first = time.perf_counter()
            memory, clock, processor, turns = [resident_megabytes()], [], [], []
            paired = tenth // _TURN >= _TURNS
            for number in range(9 if paired else 10):
                used = sum(processor_seconds().values())
                clock.append(take(results, tenth - (number == 0)))
                processor.append(sum(processor_seconds().values()) - used)
                memory.append(resident_megabytes())
            if paired:
                with opened(folder, count, other, crops) as beside, closing(iter(beside)) as fresh:
                    turns = in_turn(results, fresh, tenth)
                clock.append(sum(late for late, _ in turns) + take(results, tenth % _TURN))
            assert next(results, None) is None
            reported = render(run, scratch)
            memory_after_reports = None if paired else round(resident_megabytes())
            journal = (scratch / "run.journal").stat().st_size
        again = time.perf_counter()
        with opened(folder, count, scratch, crops) as run:
            reused = run.earlier.kept
            assert not list(run)
            render(run, scratch)
        rescanned = time.perf_counter() - again
    clock[0] += first - ready
    whole = ready - began + sum(clock) + reported
    rates, costs = tenth / np.array(clock), np.array(processor) / tenth
    return {
        "pictures": count,
        "pictures_per_second": round(count / sum(clock), 1),
        "rate_of_each_tenth": [round(float(rate), 1) for rate in rates],
        "last_tenth_by_first": round(float(rates[-1] / rates[0]), 3),
        **_of_turns(turns),
        "processor_milliseconds_per_picture_of_each_tenth": [round(float(1e3 * cost), 2) for cost in costs],
        "seconds_to_open": round(ready - began, 2),
        "seconds_to_first_finding": round(first - began, 2),
        "parent_megabytes": [round(float(megabytes)) for megabytes in memory],
        "parent_megabytes_over_the_end_of_the_first_tenth": round(max(memory[1:]) - memory[1]),
        "parent_megabytes_after_reports": memory_after_reports,
        "report_seconds": round(reported, 2),
        "report_share": round(reported / whole, 4),
        "journal_megabytes": round(journal / 1e6, 1),
        "rescan_seconds": round(rescanned, 2),
        "rescan_kept": reused,
    }


def _of_turns(turns: list[tuple[float, float]]) -> dict[str, Any]:
    if not turns:
        return {}
    late, fresh = np.array(turns).T
    return {
        "last_tenth_by_first_scanned_in_turn": round(float(fresh.sum() / late.sum()), 3),
        "quartiles_of_the_turns": [
            round(float(quartile), 3) for quartile in np.quantile(fresh / late, [0.25, 0.75])
        ],
        "turns": len(turns),
    }


def main() -> None:
    """Measure, print, and write the result."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--sizes", type=int, nargs="+", default=[1000, 10_000])
    parser.add_argument("--crops", choices=["center", "ten"], default="center")
    parser.add_argument("--folder", type=Path, help="keeps the images for another time")
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    if any(size < _PER_FOLDER or size % _PER_FOLDER for size in options.sizes):
        parser.error(f"sizes are multiples of {_PER_FOLDER}: whole folders are scanned")
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
