"""The same images scanned by xargs, on a Ray cluster and as a Slurm array: the reports must be equal.

    python benchmarks/engines.py FOLDER [--shards 40] [--out benchmarks/results/engines.json]

Each engine scans a run of its own, planned alike. Ray has two nodes of one processor on this machine, Slurm
one node. Reports are compared with that of a plain scan: all columns but times must be equal, and the digits
of scores that depend on what shares a batch may differ by 0.00001.
"""

from __future__ import annotations

import argparse
import os
import secrets
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import slurm
from ray_kills import PORT, cluster
from record import publish, stamp
from shards import largest_difference, rows, size_of_shards

_SIDSCAN = [sys.executable, "-P", "-m", "sidscan"]
_LAST_DIGITS = 1e-5

Engine = Callable[[Path, list[str], Path], None]
"""Scans shards of a run; the last argument is a folder for what it writes."""


def by_xargs(run: Path, shards: list[str], scratch: Path) -> None:
    """Two at a time."""
    subprocess.run(
        ["xargs", "-n", "1", "-P", "2", *_shard(run, scratch)],
        input="\n".join(shards),
        text=True,
        check=True,
        stderr=subprocess.DEVNULL,
    )


def by_ray(run: Path, _: list[str], scratch: Path) -> None:
    """On two nodes."""
    token = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32)}
    environment = {**os.environ, **token, "RAY_USAGE_STATS_ENABLED": "0"}
    command = [*_SIDSCAN, "scan", "--run", str(run), "--ray", f"127.0.0.1:{PORT}", "--quiet"]
    with cluster(environment, scratch / "ray"):
        subprocess.run([*command, "--scratch", str(scratch)], env=environment, check=True)


def by_slurm(run: Path, shards: list[str], scratch: Path) -> None:
    """As an array."""
    with slurm.cluster(scratch) as environment:
        slurm.run_array(environment, _shard(run, scratch / "journals"), shards, scratch)


ENGINES: dict[str, Engine] = {"xargs": by_xargs, "ray": by_ray, "slurm": by_slurm}


def _shard(run: Path, scratch: Path) -> list[str]:
    """The command that scans the shard whose number follows."""
    scratch.mkdir(exist_ok=True)
    options = ["--workers", "1", "--scratch", str(scratch)]
    return [*_SIDSCAN, "scan", "--run", str(run), *options, "--quiet", "--shard"]


def compare(folder: Path, least: int, scratch: Path) -> dict[str, object]:
    """What each engine's report has in common with that of a plain scan."""
    of_all = [str(folder), "--model", "mini", "--device", "cpu", "--quiet"]
    plain = scratch / "plain.csv"
    subprocess.run([*_SIDSCAN, "scan", *of_all, "--out", str(plain)], check=False)
    expected = rows(plain)
    size = size_of_shards(len(expected), least)
    found: dict[str, object] = {"images": len(expected), "shard_size": size}
    for name, scan in ENGINES.items():
        if name == "slurm" and (reason := slurm.why_not()):
            found[name] = {"skipped": reason}
            print(f"slurm is left out: {reason}", file=sys.stderr)
            continue
        own = scratch / name
        own.mkdir()
        run, report = scratch / f"run-{name}", scratch / f"{name}.csv"
        plan = [*_SIDSCAN, "scan", *of_all, "--run", str(run), "--shard-size", str(size), "--plan"]
        shards = subprocess.run(plan, check=True, capture_output=True, text=True).stdout.split()
        if len(shards) < least:
            sys.exit(f"{len(shards)} shards of {len(expected)} images: name more images, or fewer --shards")
        began = time.monotonic()
        scan(run, shards, own)
        seconds = time.monotonic() - began
        subprocess.run([*_SIDSCAN, "collect", str(run), "--quiet", "--out", str(report)], check=False)
        difference = largest_difference(expected, rows(report))
        found[name] = {
            "shards": len(shards),
            "seconds": round(seconds, 1),
            "largest_difference_of_a_value": difference,
            "is_equal": difference <= _LAST_DIGITS,
        }
        print(name, found[name], file=sys.stderr, flush=True)
    return found


def main() -> None:
    """Scan, compare, and write the result as JSON; exit code 1 if a report differs."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("--shards", type=int, default=40, help="each run has at least that many")
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="se-") as scratch:
        found = compare(options.folder.resolve(), options.shards, Path(scratch))
    publish({**stamp("engines", "ray"), **found}, options.out)
    engines = [found[name] for name in ENGINES]
    sys.exit(any(isinstance(each, dict) and each.get("is_equal") is False for each in engines))


if __name__ == "__main__":
    main()
