"""The rate of whole scans by two versions of sidscan, in one run.

    python benchmarks/before_after.py --before "old/bin/python -P -m sidscan" FOLDER... --out FILE

Rounds are paired: each scans every folder with the version before, with this one, and with this one as if
c2pa-python were not installed; which comes first alternates. Processor time counts, of the scan and all its
processes, because the machine may have other work; wall-clock time is stated beside it. A scan of one image
gives the time to start, so that the rate of the images alone is known, too.
"""

from __future__ import annotations

import argparse
import os
import shlex
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, NamedTuple

from harness import Verdicts, environment, hide_c2pa

_LEAST_RATE = 0.97  # of the version before
_BEFORE, _AFTER, _WITHOUT = "before", "after", "after, without c2pa-python"


class Seconds(NamedTuple):
    """What a scan took: processor time of all its processes, and by the clock."""

    processor: float
    wall: float


def scan_seconds(command: list[str], folder: Path, scratch: Path, env: dict[str, str]) -> Seconds:
    """One whole scan."""
    out = scratch / "report.csv"
    arguments = ("--model", "mini", "--device", "cpu", "--fresh", "--overwrite", "--quiet", "--out", str(out))
    began = time.perf_counter()
    process = subprocess.Popen(
        [*command, "scan", str(folder), *arguments], cwd=scratch, env=env, stderr=subprocess.DEVNULL
    )
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode not in (0, 3):  # 3: some inputs have no score
        raise RuntimeError(f"{command} ended with exit code {process.returncode}")
    return Seconds(usage.ru_utime + usage.ru_stime, time.perf_counter() - began)


def measure(before: list[str], folders: list[Path], rounds: int, scratch: Path) -> dict[str, Any]:
    """Folder -> version -> what every round took; a folder of one image comes first."""
    this = [sys.executable, "-P", "-m", "sidscan"]
    with_extra = environment(scratch / "store")
    kinds = {
        _BEFORE: (before, with_extra),
        _AFTER: (this, with_extra),
        _WITHOUT: (this, hide_c2pa(with_extra, scratch / "hidden")),
    }
    times: dict[str, Any] = {str(folder): {kind: [] for kind in kinds} for folder in folders}
    for number in range(rounds + 1):
        for folder in folders:
            for kind in list(kinds)[:: 1 if number % 2 else -1]:
                seconds = scan_seconds(kinds[kind][0], folder, scratch, kinds[kind][1])
                if number:  # the first round fills caches
                    times[str(folder)][kind].append(seconds)
    return times


def images(folder: Path) -> int:
    """How many files a folder holds."""
    return sum(path.is_file() for path in folder.rglob("*"))


def one_image(folder: Path, scratch: Path) -> Path:
    """A folder with the first image of another one."""
    alone = scratch / "one"
    alone.mkdir()
    first = next(path for path in sorted(folder.rglob("*")) if path.is_file())
    shutil.copy(first, alone / first.name)
    return alone


def report(times: dict[str, Any], alone: Path, folders: list[Path], verdicts: Verdicts) -> None:
    """State seconds and rates, and check the promise for each folder."""
    starts = {kind: _median(values, 0) for kind, values in times[str(alone)].items()}
    verdicts.result["start, processor seconds"] = {kind: round(each, 2) for kind, each in starts.items()}
    for folder in folders:
        by_kind, count = times[str(folder)], images(folder)
        entry: dict[str, Any] = {"images": count}
        for kind, values in by_kind.items():
            medians = [_median(values, index) for index in (0, 1)]
            entry[kind] = {"processor seconds": round(medians[0], 2), "wall seconds": round(medians[1], 2)}
        verdicts.result[folder.name] = entry
        for kind in (_AFTER, _WITHOUT):
            ratios = sorted(
                b.processor / a.processor for b, a in zip(by_kind[_BEFORE], by_kind[kind], strict=True)
            )
            alone_ratio = (_median(by_kind[_BEFORE], 0) - starts[_BEFORE]) / (
                _median(by_kind[kind], 0) - starts[kind]
            )
            extra = 1000 * (_median(by_kind[kind], 0) - _median(by_kind[_BEFORE], 0)) / count
            entry[kind] |= {
                "rate by that before": [round(each, 3) for each in ratios],
                "rate by that before, without the start": round(alone_ratio, 3),
                "more milliseconds an image": round(extra, 2),
            }
            verdicts.check(
                f"{folder.name}, {kind}: at least {_LEAST_RATE} of the rate before",
                statistics.median(ratios) >= _LEAST_RATE,
                f"{statistics.median(ratios):.3f} ({ratios[0]:.3f} to {ratios[-1]:.3f}), "
                f"{alone_ratio:.3f} without the start, {extra:+.2f} ms an image",
            )


def _median(values: list[Seconds], index: int) -> float:
    return statistics.median(each[index] for each in values)


def main() -> int:
    """Measure, check, and write the result; return the exit code."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folders", type=Path, nargs="+")
    parser.add_argument("--before", required=True, help="command of the version before")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    folders = [folder.resolve() for folder in options.folders]
    verdicts = Verdicts("before_after")
    with tempfile.TemporaryDirectory() as text:
        alone = one_image(folders[0], Path(text))
        times = measure(shlex.split(options.before), [alone, *folders], options.rounds, Path(text))
        report(times, alone, folders, verdicts)
    return verdicts.end(options.out)


if __name__ == "__main__":
    sys.exit(main())
