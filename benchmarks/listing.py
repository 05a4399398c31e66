"""Scans that begin while their inputs are listed: the first row, processor time, memory, and kills meanwhile.

    python benchmarks/listing.py --images 2000 --per-second 50 --pairs 3 --kills 6 --out FILE

Names come on standard input. Each comparison is with a scan that lists all inputs first, of the same code.
"""

from __future__ import annotations

import argparse
import os
import random
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from harness import Verdicts, archive, by_status, differences, environment, rows, watched

_FEED = """
import sys, time
names, rest = open(sys.argv[1], "rb").read().split(b"\\0")[:-1], float(sys.argv[2])
for name in names:
    sys.stdout.buffer.write(name + b"\\0")
    if rest:
        sys.stdout.buffer.flush()
        time.sleep(rest)
"""
_SCAN = """
from sidscan.scoring import listing
listing._BEFORE = {before}
from sidscan.cli import main
main()
"""
_STREAMED, _WHOLE = 2.0, 1e9  # seconds of listing before the first image
_MINI = ("--model", "mini", "--crops", "center", "--device", "cpu")


class Listed:
    """Scans of a list of names that comes as fast as is asked for."""

    def __init__(self, names: Path, store: Path) -> None:
        self._names, self._store = names, store

    def start(
        self, per_second: float, before: float, *arguments: str | Path
    ) -> tuple[subprocess.Popen[bytes], subprocess.Popen[bytes]]:
        """What gives the names, and the scan."""
        rest = 1 / per_second if per_second else 0
        feed = subprocess.Popen(
            [sys.executable, "-c", _FEED, str(self._names), str(rest)],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        command = [sys.executable, "-P", "-c", _SCAN.format(before=before), "scan", "--null", "--list", "-"]
        scan = subprocess.Popen(
            [*command, *_MINI, *map(str, arguments)],
            stdin=feed.stdout,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=environment(self._store),
        )
        assert feed.stdout is not None
        feed.stdout.close()
        return feed, scan

    def first_row(self, per_second: float, before: float) -> float:
        """Seconds until standard output has the first row."""
        began = time.monotonic()
        feed, scan = self.start(per_second, before, "--format", "jsonl")
        assert scan.stdout is not None
        scan.stdout.readline()
        seconds = time.monotonic() - began
        for process in (scan, feed):
            process.kill()
            process.wait()
        return seconds

    def processor_seconds(self, before: float, out: Path) -> float:
        """Of a whole scan."""
        earlier = _children_seconds()
        feed, scan = self.start(0, before, "--out", out)
        scan.communicate()
        feed.wait()
        return _children_seconds() - earlier

    def most_memory(self, out: Path) -> float:
        """MiB of a whole scan that does not wait for its listing."""
        feed, scan = self.start(0, 0.0, "--out", out)
        with watched(scan.pid, every=0.05) as memory:
            scan.communicate()
        feed.wait()
        return max(value for _, value in memory.mebibytes)


def _children_seconds() -> float:
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def _write_names(path: Path, names: list[bytes]) -> Path:
    path.write_bytes(b"".join(name + b"\0" for name in names))
    return path


def _check_kills(listed: Listed, root: Path, options: argparse.Namespace, verdicts: Verdicts) -> None:
    """Kill scans while they list; the last one ends by itself."""
    chance, out = random.Random(options.seed), root / "torn" / "r.csv"
    out.parent.mkdir()
    for _ in range(options.kills):
        feed, scan = listed.start(options.per_second, _STREAMED, "--out", out)
        time.sleep(chance.uniform(2, 2 + options.images / options.per_second))
        for process in (scan, feed):
            process.kill()
            process.wait()
    listed.processor_seconds(_STREAMED, out)
    calm, torn = rows(root / "calm.csv"), rows(out)
    unlike = differences(calm, torn)
    verdicts.check(
        "killed while it lists, and continued: the rows of an undisturbed scan",
        not unlike,
        f"{options.kills} kills, {len(unlike)} of {len(calm)} rows differ {unlike[:2] or ''}",
    )
    verdicts.result["rows"] = by_status(torn)


def main() -> int:
    """Compare; return the exit code."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--images", type=int, default=2000)
    parser.add_argument("--per-second", type=float, default=50, help="names that a slow source gives")
    parser.add_argument("--pairs", type=int, default=3)
    parser.add_argument("--kills", type=int, default=6)
    parser.add_argument("--memory", type=int, nargs=2, default=(50_000, 200_000), help="names without files")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    verdicts = Verdicts("listing")
    with tempfile.TemporaryDirectory() as scratch:
        root = Path(scratch)
        archive(root / "images", options.images, options.seed)
        files = sorted(os.fsencode(path) for path in (root / "images").rglob("*") if path.is_file())
        listed = Listed(_write_names(root / "names", files), root / "store")

        first = {before: listed.first_row(options.per_second, before) for before in (_STREAMED, _WHOLE)}
        verdicts.check(
            f"{options.per_second:g} names a second: the first row comes before all are listed",
            first[_STREAMED] < first[_WHOLE] / 2,
            f"after {first[_STREAMED]:.1f} s; {first[_WHOLE]:.1f} s where all are listed first",
        )

        ratios = []
        for number in range(options.pairs):
            outs = [root / f"{kind}{number}.csv" for kind in ("streamed", "whole")]
            streamed = listed.processor_seconds(0.0, outs[0])
            ratios.append(streamed / listed.processor_seconds(_WHOLE, outs[1]))
        outs[1].rename(root / "calm.csv")
        unlike = differences(rows(root / "calm.csv"), rows(outs[0]))
        verdicts.check("the same rows", not unlike, f"{len(unlike)} differ {unlike[:2] or ''}")
        verdicts.check(
            "no more processor time",
            statistics.median(ratios) < 1.05,
            f"{statistics.median(ratios):.2f} in the median of {', '.join(f'{each:.2f}' for each in ratios)}",
        )

        if options.kills:
            _check_kills(listed, root, options, verdicts)

        peaks = []
        for number in options.memory:
            names = [b"/nowhere/%d.jpg" % each for each in range(number)]
            nowhere = Listed(_write_names(root / "nowhere", names), root / "store")
            peaks.append(nowhere.most_memory(root / f"nowhere{number}.csv"))
        verdicts.check(
            "memory does not grow with the listing",
            peaks[1] - peaks[0] < 30,
            " and ".join(
                f"{peak:.0f} MiB for {number}" for peak, number in zip(peaks, options.memory, strict=True)
            ),
        )
    return verdicts.end(options.out)


if __name__ == "__main__":
    sys.exit(main())
