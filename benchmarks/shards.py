"""What shards cost: the same images as one scan, and as runs of shards, in processor seconds.

    python benchmarks/shards.py FOLDER --shards 40 --model mini -o benchmarks/results/shards.json

Processor seconds are those of the command and of all its processes, from the system's own count, so that
other programs on the machine disturb them little. With ``--ray``, the run is also scanned by a Ray cluster of
this machine alone; what Ray's own daemons use is counted apart.
"""

from __future__ import annotations

import argparse
import csv
import json
import math
import os
import resource
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil

_SIDSCAN = (sys.executable, "-P", "-m", "sidscan")
_TIMES = ("scanned_at",)
_LOOK = 0.3  # seconds
_SHARE = 0.76  # of the size that is asked for: so long are slices on average


def measured(*arguments: str) -> dict[str, float]:
    """Processor seconds and seconds of a command that succeeds, perhaps with unreadable images."""
    before, started = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    done = subprocess.run([*_SIDSCAN, *arguments], capture_output=True, check=False)
    if done.returncode not in (0, 3):
        sys.exit(done.stderr.decode())
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return {"cpu_seconds": round(cpu, 2), "seconds": round(time.monotonic() - started, 2)}


def measured_on_ray(*arguments: str) -> dict[str, float]:
    """The same of a scan with ``--ray local``, and the processor seconds of Ray's daemons."""
    started = time.monotonic()
    command = psutil.Popen([*_SIDSCAN, *arguments], stderr=subprocess.DEVNULL)
    used: dict[psutil.Process, tuple[bool, float]] = {}
    while command.poll() is None:
        for process in _tree(command):
            with suppress(psutil.Error):
                times = process.cpu_times()
                used[process] = _is_of_ray(process), times.user + times.system
        time.sleep(_LOOK)
    if command.returncode not in (0, 3):
        sys.exit(f"{arguments} ended with {command.returncode}")
    return {
        "cpu_seconds": round(sum(seconds for of_ray, seconds in used.values() if not of_ray), 2),
        "cpu_seconds_of_daemons": round(sum(seconds for of_ray, seconds in used.values() if of_ray), 2),
        "seconds": round(time.monotonic() - started, 2),
    }


def _tree(command: psutil.Process) -> list[psutil.Process]:
    with suppress(psutil.Error):
        return [command, *command.children(recursive=True)]
    return []


def _is_of_ray(process: psutil.Process) -> bool:
    """Whether a process is a daemon of Ray, or a worker of it that has nothing to do with shards."""
    words = " ".join(process.cmdline())
    return not any(name in words for name in ("sidscan", "ShardWorker"))


def rows(path: Path) -> list[dict[str, str]]:
    """The rows of a report."""
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def largest_difference(first: list[dict[str, str]], second: list[dict[str, str]]) -> float:
    """The largest difference of two values of a row; inf if rows differ in more than times and numbers."""
    if len(first) != len(second):
        return math.inf
    return max(
        (
            _difference(row[name], other[name])
            for row, other in zip(first, second, strict=True)
            for name in row
            if name not in _TIMES
        ),
        default=0.0,
    )


def _difference(first: str, second: str) -> float:
    if first == second:
        return 0.0
    try:
        return abs(float(first) - float(second))
    except ValueError:
        return math.inf


def size_of_shards(images: int, least: int) -> int:
    """The ``--shard-size`` that gives at least so many shards, whatever the names are."""
    return max(1, int(images / least / 1.2 / _SHARE))


def compare(folder: Path, shards: int, model: str, ray: bool, scratch: Path) -> dict[str, Any]:
    """One scan, one run of shards in one process, and one by a command for each shard."""
    images = sum(1 for path in folder.rglob("*") if path.is_file())
    size = max(1, round(images / shards / _SHARE))
    os.environ["TMPDIR"] = str(scratch)
    of_model = ("--model", model, "--quiet")
    plain, run, each = (str(scratch / name) for name in ("plain.csv", "run", "each"))
    found: dict[str, Any] = {"images": images, "model": model, "shard_size": size}
    found["one scan"] = measured("scan", str(folder), *of_model, "-o", plain)
    options = ("--run", run, "--shard-size", str(size))
    found["--run"] = measured("scan", str(folder), *of_model, *options, "-o", f"{run}.csv")
    if ray:
        by_ray = (*of_model, "--run", f"{run}-ray", "--shard-size", str(size), "--ray", "local")
        found["--ray local"] = measured_on_ray("scan", str(folder), *by_ray, "-o", f"{run}-ray.csv")
        found["ratio of --ray local"] = round(
            found["--ray local"]["cpu_seconds"] / found["one scan"]["cpu_seconds"], 3
        )
    planned = ("scan", str(folder), *of_model, "--run", each, "--shard-size", str(size), "--plan")
    numbers = subprocess.run([*_SIDSCAN, *planned], capture_output=True, check=True).stdout.split()
    parts = [measured("scan", "--run", each, "--shard", number.decode(), "--quiet") for number in numbers]
    parts.append(measured("collect", each, "--quiet", "-o", f"{each}.csv"))
    found["a command per shard"] = {
        name: round(sum(part[name] for part in parts), 2) for name in ("cpu_seconds", "seconds")
    }
    found["shards"] = len(numbers)
    differences = (largest_difference(rows(Path(plain)), rows(Path(f"{path}.csv"))) for path in (run, each))
    found["largest difference of a value"] = max(differences)
    return found


def main() -> None:
    """Measure, and write the result as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--shards", type=int, default=40)
    parser.add_argument("--model", default="mini")
    parser.add_argument("--ray", action="store_true")
    parser.add_argument("-o", "--out", type=Path)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="sidscan-shards-") as scratch:
        found = compare(asked.folder.resolve(), asked.shards, asked.model, asked.ray, Path(scratch))
    text = json.dumps(found, indent=2) + "\n"
    sys.stdout.write(text)
    if asked.out:
        asked.out.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
