"""Shared by the stress tests: images, the command as a process, its child processes, and verdicts."""

from __future__ import annotations

import csv
import io
import json
import os
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from record import publish, stamp

csv.field_size_limit(1 << 24)  # characters; reports contain metadata in full
WORKER = "sidscan.isolation.worker"
# Columns and fields that state when a row was written.
_TIMES = ("scanned_at", "fetched_at")
_CLOSE = 1e-5  # the batch size changes the order of sums, and so the last digits of a score


def photo(rng: np.random.Generator, width: int, height: int) -> Image.Image:
    """A smooth colour scene with noise, RGB."""
    x, y = np.meshgrid(np.linspace(0, 4, width), np.linspace(0, 3, height))
    phases, scales = rng.uniform(0, 6, 3), rng.uniform(1, 3, 3)
    scene = np.stack([np.sin(x * s + y + p) for s, p in zip(scales, phases, strict=True)], axis=-1)
    noisy = 128 + 90 * scene + rng.normal(0, 8, scene.shape)
    return Image.fromarray(noisy.clip(0, 255).astype(np.uint8))


def encoded(image: Image.Image, image_format: str, **options: Any) -> bytes:
    """The image as a file's bytes."""
    buffer = io.BytesIO()
    image.save(buffer, image_format, **options)
    return buffer.getvalue()


def archive(folder: Path, count: int, seed: int) -> None:
    """Write ``count`` small files: mostly images; some are equal, damaged, oddly named or nested."""
    rng = np.random.default_rng(seed)
    earlier = b""
    for number in range(count):
        subfolder = folder / f"box {number % 7}"
        subfolder.mkdir(parents=True, exist_ok=True)
        width, height = (int(side) for side in rng.integers(40, 320, 2))
        suffix, options = ((".jpg", {"quality": 88}), (".png", {}), (".webp", {"quality": 80}))[number % 3]
        data = encoded(photo(rng, width, height), {".jpg": "JPEG"}.get(suffix, suffix[1:].upper()), **options)
        kind = int(rng.integers(20))
        if kind == 0 and earlier:
            data = earlier  # the same bytes under another name
        elif kind == 1:
            data = data[: len(data) // 2]
        elif kind == 2:
            data = bytes(rng.integers(0, 256, 100, dtype=np.uint8))
        name = f"{number:05}"
        if kind == 3:
            name += " \u202e\u00e9\u4e2d\U0001f600 'quoted' \"twice\", =1+1"
        elif kind == 4:
            name += "\nsecond line\x1b[31m"
        elif kind == 5:
            name += os.fsdecode(b" caf\xe9")  # Latin-1, not UTF-8
        (subfolder / f"{name}{suffix}").write_bytes(data)
        earlier = data


def scan(*arguments: str | Path) -> list[str]:
    """The command line of `sidscan scan` with these arguments, for this interpreter."""
    return [sys.executable, "-m", "sidscan", "scan", *map(str, arguments)]


def environment(store: Path, **more: str) -> dict[str, str]:
    """A process environment in which only the bundled model is installed."""
    return {**os.environ, "SIDSCAN_MODELS": str(store), **more}


_HIDES_C2PA = """
import sys
from importlib.machinery import PathFinder

_find = PathFinder.find_distributions
PathFinder.find_distributions = lambda context: () if context.name == "c2pa-python" else _find(context)
sys.modules["c2pa"] = None
"""


def hide_c2pa(env: Mapping[str, str], folder: Path) -> dict[str, str]:
    """An environment in which Python finds no c2pa-python, installed or not.

    Args:
        folder: gets the module that Python runs at its start.
    """
    folder.mkdir(exist_ok=True)
    (folder / "sitecustomize.py").write_text(_HIDES_C2PA, encoding="utf-8")
    return {**env, "PYTHONPATH": os.pathsep.join(filter(None, (str(folder), env.get("PYTHONPATH"))))}


def run(command: Sequence[str], store: Path, timeout: float = 3600) -> subprocess.CompletedProcess[str]:
    """Run the command to its end."""
    return subprocess.run(
        command,
        env=environment(store),
        capture_output=True,
        text=True,
        errors="backslashreplace",
        timeout=timeout,
        check=False,
    )


def children(parent: int) -> dict[int, str]:
    """Process id -> command line of the running children of ``parent``."""
    commands = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with suppress(OSError, IndexError):
                state, owner = (entry / "stat").read_text(errors="replace").rpartition(")")[2].split()[:2]
                if int(owner) == parent and state != "Z":
                    words = (entry / "cmdline").read_bytes()
                    commands[int(entry.name)] = words.replace(b"\0", b" ").decode(errors="replace")
    return commands


def workers(parent: int) -> list[int]:
    """Ids of the processes that read images for ``parent``."""
    return sorted(pid for pid, command in children(parent).items() if WORKER in command)


def zombies(parent: int) -> int:
    """Number of children that ended and that ``parent`` has not reaped."""
    count = 0
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with suppress(OSError, IndexError):
                state, owner = (entry / "stat").read_text(errors="replace").rpartition(")")[2].split()[:2]
                count += int(owner) == parent and state == "Z"
    return count


def alive(pid: int) -> bool:
    """Whether a process runs; a zombie does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")[2].split()[0] != "Z"
    except (OSError, IndexError):
        return False


def resident(pid: int) -> float | None:
    """MiB of memory that a process holds; None if it has ended."""
    try:
        pages = int(Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()[1])
    except (OSError, IndexError):
        return None
    return pages * os.sysconf("SC_PAGESIZE") / (1 << 20)


@dataclass
class Memory:
    """Samples of a process's memory, and of how many workers and zombies it had.

    Attributes:
        mebibytes: pairs of seconds since the start of watching, and MiB.
    """

    mebibytes: list[tuple[float, float]] = field(default_factory=list)
    most_children: int = 0
    most_zombies: int = 0

    def growth(self, warm: float) -> float:
        """MiB by which the median just before the end exceeds that just after ``warm`` (a share of the time).

        The last twentieth is omitted: reports are written then, which loads more modules.
        """
        values = [value for _, value in self.mebibytes]
        few = max(len(values) // 10, 1)
        start, end = int(len(values) * warm), max(int(len(values) * 0.95), 1)
        return float(np.median(values[end - few : end]) - np.median(values[start : start + few]))

    def course(self, points: int = 12) -> list[list[float]]:
        """Some of the samples, evenly spread."""
        step = max(len(self.mebibytes) // points, 1)
        return [[round(when), round(value, 1)] for when, value in self.mebibytes[::step]]


@contextmanager
def watched(pid: int, every: float = 0.25) -> Iterator[Memory]:
    """Sample a process's memory while the block runs."""
    memory, over, began = Memory(), threading.Event(), time.monotonic()

    def watch() -> None:
        while not over.wait(every):
            value = resident(pid)
            if value:
                memory.mebibytes.append((time.monotonic() - began, value))
                memory.most_children = max(memory.most_children, len(children(pid)))
                memory.most_zombies = max(memory.most_zombies, zombies(pid))

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    try:
        yield memory
    finally:
        over.set()
        thread.join()


def rows(path: Path) -> list[dict[str, Any]]:
    """Rows of a CSV or JSON report, without times."""
    with path.open(encoding="utf-8", newline="") as file:
        entries = json.load(file)["findings"] if path.suffix == ".json" else list(csv.DictReader(file))
    return [{name: value for name, value in row.items() if name not in _TIMES} for row in entries]


def differences(left: Sequence[Any], right: Sequence[Any]) -> list[str]:
    """Describe how rows of two reports differ beyond the last digits of scores; empty if they are equal."""
    lines = [] if len(left) == len(right) else [f"{len(left)} rows and {len(right)}"]
    for mine, theirs in zip(left, right, strict=False):
        if not _equal(mine, theirs):
            keys = [key for key in mine if not _equal(mine[key], theirs.get(key))]
            shown = {key: (mine[key], theirs.get(key)) for key in keys}
            lines.append(f"{mine['path']!r}: {shown!r}"[:500])
    return lines


def _equal(left: Any, right: Any) -> bool:
    if isinstance(left, Mapping) and isinstance(right, Mapping):
        return left.keys() == right.keys() and all(_equal(left[key], right[key]) for key in left)
    if isinstance(left, list) and isinstance(right, list):
        return len(left) == len(right) and all(map(_equal, left, right))
    if left == right:
        return True
    try:  # numbers in CSV are text
        return abs(float(left) - float(right)) <= _CLOSE * max(1.0, abs(float(left)))
    except (TypeError, ValueError):
        return False


def by_status(report_rows: Sequence[Mapping[str, Any]]) -> dict[str, int]:
    """Number of rows by status."""
    return dict(sorted(Counter(str(row["status"]) for row in report_rows).items()))


class Verdicts:
    """Collects promises, each held or broken, into a result.

    Args:
        benchmark: name of the benchmark.
    """

    def __init__(self, benchmark: str) -> None:
        self.result = stamp(benchmark, "torch", "PIL", "numpy")
        self._broken = 0
        self.result["promises"] = {}

    def check(self, promise: str, held: bool, seen: str) -> None:
        """Record and print one promise, with the observed values."""
        self._broken += not held
        self.result["promises"][promise] = {"held": held, "seen": seen}
        print(f"{'held  ' if held else 'BROKEN'}  {promise}: {seen}", flush=True)

    def end(self, out: Path | None) -> int:
        """Write the result; return the exit code."""
        publish(self.result, out)
        return 1 if self._broken else 0
