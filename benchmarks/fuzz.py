"""Mutated images of every format: no row is lost, no item exceeds its deadline, no memory leaks.

    python benchmarks/fuzz.py --count 20000 --out FILE [--seeds FOLDER] [--keep FOLDER]

The files are read twice: by `sidscan scan`, in batches, and by a scan's worker processes directly, which
gives the time of each file. Both are reproducible: --seed determines the content of the files.
"""

from __future__ import annotations

import argparse
import gc
import os
import random
import shutil
import sys
import tempfile
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

from harness import Verdicts, alive, children, resident, rows, watched, zombies
from hostile import scanned
from mutations import mutated, seeds

from sidscan import ScanConfig
from sidscan.fetch.client import Fetcher
from sidscan.isolation.reader import IsolatedReader
from sidscan.records import DecodedImage, Item

_GRACE = 2.0  # seconds that an item may exceed its deadline by
_LEAK = 50.0  # MiB
_SHARE = 0.02  # seconds; files from given seeds may be slow
_LARGEST_SEED = 1 << 20  # bytes


def write(folder: Path, count: int, start: int, given: Path | None, seed: int) -> None:
    """Write ``count`` files; each depends only on ``seed`` and its number."""
    pool = seeds(seed)
    more = {}
    if given:
        paths = sorted(path for path in given.iterdir() if path.is_file())
        more = {path.name: path.read_bytes() for path in paths if path.stat().st_size <= _LARGEST_SEED}
    folder.mkdir()
    for number in range(start, start + count):
        chance = random.Random(f"{seed}/{number}")
        name, data = mutated(more if more and chance.random() < _SHARE else pool, chance)
        (folder / f"{number:06}-{name}").write_bytes(data)


def scan_batches(batches: list[Path], root: Path, seconds: float, verdicts: Verdicts) -> list[Path]:
    """Scan every batch with `sidscan scan`; return the files whose rows are missing."""
    statuses: Counter[str] = Counter()
    growths, courses, lost, wrong, seconds_used = [], [], [], [], 0.0
    for batch in batches:
        out = root / f"{batch.name}.json"
        command = [
            *(sys.executable, "-m", "sidscan", "scan", str(batch), "--model", "mini", "--device", "cpu"),
            *("--crops", "center", "--item-timeout", str(seconds), "--out", str(out)),
            *("--out", str(root / f"{batch.name}.csv")),
        ]
        code, stderr, spent, memory, left = scanned(command, root / "store")
        seconds_used += spent
        results = rows(out) if out.exists() else []
        statuses.update(row["status"] for row in results)
        named = Counter(Path(row["path"]).name for row in results)
        lost += [path for path in batch.iterdir() if named[path.name] != 1]
        growths.append(memory.growth(0.25))
        courses.append(memory.course())
        if code != 3 or "Traceback" in stderr or left:
            wrong.append(f"{batch.name}: exit code {code}, {len(left)} processes left: {stderr[-300:]}")
        print(
            f"        {batch.name}: {len(results)} rows in {spent:.0f} s, {growths[-1]:+.1f} MiB", flush=True
        )
    verdicts.result |= {
        "rows": dict(sorted(statuses.items())),
        "seconds_of_scans": round(seconds_used, 1),
        "memory_of_scans_mebibytes": courses,
    }
    verdicts.check("one row per file", not lost, f"{statuses.total()} rows, {len(lost)} files without one")
    verdicts.check(
        "every scan ends as documented, without a traceback or a process left",
        not wrong,
        str(wrong or f"{len(batches)} scans"),
    )
    verdicts.check(
        f"no scan's memory grows by more than {_LEAK:g} MiB", max(growths) < _LEAK, f"{max(growths):+.1f} MiB"
    )
    return lost


def read_all(paths: list[Path], seconds: float, verdicts: Verdicts) -> list[Path]:
    """Read all files with one set of workers; return those that took too long."""
    config = ScanConfig(inputs=("unused",), item_timeout=seconds, crops="center")
    late: list[Path] = []
    slowest = (0.0, "")
    statuses: Counter[str] = Counter()
    with closing(Fetcher(config)) as fetcher, closing(IsolatedReader(config, fetcher)) as isolated:

        def read(path: Path) -> tuple[Path, float, str]:
            began = time.monotonic()
            result = isolated(Item(str(path)))
            return (
                path,
                time.monotonic() - began,
                "read" if isinstance(result, DecodedImage) else result.status.value,
            )

        with watched(os.getpid()) as memory, ThreadPoolExecutor(os.cpu_count()) as pool:
            for path, elapsed, status in pool.map(read, paths):
                statuses[status] += 1
                slowest = max(slowest, (elapsed, path.name))
                if elapsed > seconds + _GRACE:
                    late.append(path)
            gc.collect()
        growth, family = memory.growth(0.1), list(children(os.getpid()))
    left = [pid for pid in family if alive(pid)]
    verdicts.result |= {
        "read_by_workers": dict(sorted(statuses.items())),
        "memory_of_reading_mebibytes": memory.course(),
    }
    verdicts.check(
        f"no file takes longer than its deadline of {seconds:g} s and {_GRACE:g} s more",
        not late,
        f"{slowest[0]:.1f} s at most, {slowest[1]}; {len(late)} too long",
    )
    verdicts.check(
        f"reading all of them leaks less than {_LEAK:g} MiB", growth < _LEAK, f"{growth:+.1f} MiB, {_now()}"
    )
    verdicts.check(
        "no process and no zombie is left",
        not left and not zombies(os.getpid()),
        f"{len(left)} processes, {zombies(os.getpid())} zombies; at most {memory.most_zombies} meanwhile",
    )
    return late


def _now() -> str:
    return f"{resident(os.getpid()) or 0:.0f} MiB at its end"


def main() -> int:
    """Mutate, read and check; return the exit code."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--count", type=int, default=20_000)
    parser.add_argument("--batches", type=int, default=4)
    parser.add_argument("--item-timeout", type=float, default=10.0)
    parser.add_argument("--seeds", type=Path, help="folder of more files to mutate, a fiftieth of all")
    parser.add_argument("--keep", type=Path, help="folder for copies of files that break a promise")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    verdicts = Verdicts("fuzz")
    verdicts.result |= {
        "files": options.count,
        "seed": options.seed,
        "item_timeout_seconds": options.item_timeout,
        "formats": sorted(seeds(options.seed)),
        "more_seeds": bool(options.seeds),
    }
    with tempfile.TemporaryDirectory() as scratch:
        root = Path(scratch)
        each = options.count // options.batches
        batches = [root / f"batch-{number}" for number in range(options.batches)]
        for number, batch in enumerate(batches):
            write(batch, each, number * each, options.seeds, options.seed)
        bad = scan_batches(batches, root, options.item_timeout, verdicts)
        paths = sorted(path for batch in batches for path in batch.iterdir())
        bad += read_all(paths, options.item_timeout, verdicts)
        if options.keep and bad:
            options.keep.mkdir(parents=True, exist_ok=True)
            for path in bad:
                shutil.copy(path, options.keep)
    return verdicts.end(options.out)


if __name__ == "__main__":
    sys.exit(main())
