"""How long do commands take to start, beside the library that every scan needs?

    python benchmarks/start.py [--rounds 10] [--out FILE]

Each round runs ``python -c "import onnxruntime"`` and then each command once, so that what else the machine
does meets all of them alike. A scan ends when its process does; its first row is timed on its own, as the
moment when standard output gets one. Times are medians, and medians of the ratios of each round.
Memory is the largest sum of resident sets of a command and its workers, seen every 10 ms (Linux only);
pages that processes share count once for each.
"""

from __future__ import annotations

import argparse
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image
from record import publish, stamp

from sidscan.runtimes.precision_check import natural_crops

SIDSCAN = (sys.executable, "-P", "-m", "sidscan")
SCAN = (*SIDSCAN, "scan", "image.jpg", "--format", "jsonl", "--fresh")
BASELINE = "import onnxruntime"
COMMANDS = {
    BASELINE: (sys.executable, "-c", BASELINE),
    "--help": (*SIDSCAN, "--help"),
    "an error: no such file": (*SIDSCAN, "scan", "missing.jpg"),
    "mini": (*SCAN, "--model", "mini"),
    "rine-b16 --runtime onnx": (*SCAN, "--model", "rine-b16", "--runtime", "onnx", "--device", "cpu"),
    "rine-b16": (*SCAN, "--model", "rine-b16", "--device", "cpu"),
}


class Measured(NamedTuple):
    """One run: seconds of wall and processor time, seconds to the first line of output, bytes of memory."""

    wall: float
    processor: float
    first_line: float
    memory: float


def run(command: Sequence[str], folder: Path) -> Measured:
    """Run a command to its end; processor time is that of all its processes.

    Raises:
        RuntimeError: it ended otherwise than expected.
    """
    before = _processor_seconds()
    began = time.perf_counter()
    process = subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    peaks = [0]
    watcher = threading.Thread(target=_watch, args=(process, peaks))
    watcher.start()
    assert process.stdout is not None
    first = time.perf_counter() - began if process.stdout.readline() else float("nan")
    process.stdout.read()
    code = process.wait()
    wall = time.perf_counter() - began
    watcher.join()
    process.stdout.close()
    if code != (2 if "missing.jpg" in command else 0):
        raise RuntimeError(f"{' '.join(command)} ended with exit code {code}")
    return Measured(wall, _processor_seconds() - before, first, float(peaks[0]))


def _processor_seconds() -> float:
    """Of all children that have ended, and theirs."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def _watch(process: subprocess.Popen[bytes], peaks: list[int]) -> None:
    while process.poll() is None:
        peaks.append(sum(map(_resident_bytes, _family(process.pid))))
        peaks[:] = [max(peaks)]
        time.sleep(0.01)


def _family(pid: int) -> Iterator[int]:
    """A process and all that it started."""
    yield pid
    for tasks in Path(f"/proc/{pid}/task").glob("*/children"):
        try:
            children = tasks.read_text().split()
        except OSError:  # it has just ended
            continue
        for child in children:
            yield from _family(int(child))


def _resident_bytes(pid: int) -> int:
    try:
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, IndexError):
        return 0


def summary(runs: Sequence[Measured], baseline: Sequence[Measured]) -> dict[str, object]:
    """Medians, and medians of the ratios to the baseline of the same round."""
    result: dict[str, object] = {}
    for index, name in enumerate(Measured._fields):
        values = [run[index] for run in runs]
        if not any(np.isnan(values)):
            result[name] = statistics.median(values)
    for index, name in enumerate(("wall", "processor")):
        ratios = sorted(run[index] / base[index] for run, base in zip(runs, baseline, strict=True))
        result[f"{name}_ratio"] = statistics.median(ratios)
        result[f"{name}_ratio_range"] = [ratios[0], ratios[-1]]
    if "first_line" in result:
        firsts = [run.first_line / base.wall for run, base in zip(runs, baseline, strict=True)]
        result["first_line_ratio"] = statistics.median(firsts)
    return result


def main() -> None:
    """Run the rounds, and write the result."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    runs: dict[str, list[Measured]] = {name: [] for name in COMMANDS}
    with tempfile.TemporaryDirectory() as folder:
        Image.fromarray(natural_crops(2)[1]).resize((800, 600)).save(Path(folder, "image.jpg"))
        for number in range(options.rounds + 1):  # the first, with cold files, does not count
            for name, command in COMMANDS.items():
                measured = run(command, Path(folder))
                if number:
                    runs[name].append(measured)
    result = {
        **stamp("start", "onnxruntime", "torch"),
        "rounds": options.rounds,
        "load_average": os.getloadavg(),
        "commands": {name: summary(each, runs[BASELINE]) for name, each in runs.items()},
    }
    publish(result, options.out)


if __name__ == "__main__":
    main()
