"""What shards cost: the same images as one scan, and as runs of shards, in processor seconds.

    python benchmarks/shards.py FOLDER --shards 40 --model mini -o benchmarks/results/shards.json

Processor seconds are those of the command and of all its processes, from the system's own count, so that
other programs on the machine disturb them little.
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
from pathlib import Path
from typing import Any

_SIDSCAN = (sys.executable, "-P", "-m", "sidscan")
_TIMES = ("scanned_at",)


def measured(*arguments: str) -> dict[str, float]:
    """Processor seconds and seconds of a command that succeeds, perhaps with unreadable images."""
    before, started = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    done = subprocess.run([*_SIDSCAN, *arguments], capture_output=True, check=False)
    if done.returncode not in (0, 3):
        sys.exit(done.stderr.decode())
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return {"cpu_seconds": round(cpu, 2), "seconds": round(time.monotonic() - started, 2)}


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


def compare(folder: Path, shards: int, model: str, scratch: Path) -> dict[str, Any]:
    """One scan, one run of shards in one process, and one by a command for each shard."""
    images = sum(1 for path in folder.rglob("*") if path.is_file())
    size = max(1, round(images / shards / 0.76))  # slices have about 0.76 of the size that is asked for
    os.environ["TMPDIR"] = str(scratch)
    of_model = ("--model", model, "--quiet")
    plain, run, each = (str(scratch / name) for name in ("plain.csv", "run", "each"))
    found: dict[str, Any] = {"images": images, "model": model, "shard_size": size}
    found["one scan"] = measured("scan", str(folder), *of_model, "-o", plain)
    options = ("--run", run, "--shard-size", str(size))
    found["--run"] = measured("scan", str(folder), *of_model, *options, "-o", f"{run}.csv")
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
    parser.add_argument("-o", "--out", type=Path)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="sidscan-shards-") as scratch:
        found = compare(asked.folder.resolve(), asked.shards, asked.model, Path(scratch))
    text = json.dumps(found, indent=2) + "\n"
    sys.stdout.write(text)
    if asked.out:
        asked.out.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
