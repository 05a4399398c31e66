"""A folder of hostile files among good images, and a tree of unusual files: rows, times, scores, memory.

    python benchmarks/hostile.py FOLDER --out FILE

The files of the folder are copied, with three generated images after each of them. A tree beside them has a
pipe, links to devices and to its own folder, a sparse file of 1 TiB, names that are not text, and a path of
4,000 characters. `sidscan scan` runs over all of it, and over the generated images alone. Every file is also
read alone, as in a scan, to measure its time.
"""

from __future__ import annotations

import argparse
import os
import stat
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
from harness import (
    Verdicts,
    alive,
    by_status,
    children,
    differences,
    encoded,
    environment,
    photo,
    rows,
    run,
    scan,
    watched,
)

from sidscan import ScanConfig
from sidscan.fetch.client import Fetcher
from sidscan.isolation.reader import IsolatedReader
from sidscan.records import DecodedImage, Item

_BETWEEN = 3  # good images after every hostile file
_GRACE = 2.0  # seconds that an item may exceed its deadline by
_GROWTH = 50.0  # MiB
_ODD_NAMES = (
    b"caf\xe9 no utf-8.jpg",
    b"\xff\xfe.jpg",
    b"new\nline.jpg",
    b"carriage\rreturn\ttab.jpg",
    b"'single' \"double\" `back`.jpg",
    b"=1+1,;|@x.jpg",
    b"-rf.jpg",
    b"escape\x1b[31m\x07\x7f.jpg",
    "right-to-left \u202egpj.exe \u2066\u2069.jpg".encode(),
    "zero\u200bwidth \U0001f600 \u4e2d\u6587 e\u0301.jpg".encode(),
    b" leading and trailing .jpg ",
    b"%s%n {0} $HOME $(id) \\u0041.jpg",
    b"n" * 251 + b".jpg",
)


def interleaved(hostile: list[Path], everything: Path, good: Path, seed: int) -> None:
    """Copy the hostile files and write good images between them; ``good`` gets only the good images."""
    rng = np.random.default_rng(seed)
    for folder in (everything, good):
        folder.mkdir()
    for number, path in enumerate(hostile):
        (everything / f"{number:04}-{path.name}").write_bytes(path.read_bytes())
        for more in range(_BETWEEN):
            data = encoded(photo(rng, 300, 260), "JPEG", quality=90)
            for folder in (everything, good):
                (folder / f"{number:04}~{more}.jpg").write_bytes(data)


def oddities(folder: Path, seed: int) -> list[str]:
    """Write a tree of files that are not images or have odd names; return what this machine refuses."""
    data = encoded(photo(np.random.default_rng(seed), 240, 240), "JPEG")
    folder.mkdir()
    os.mkfifo(folder / "pipe.jpg")
    (folder / "device.jpg").symlink_to("/dev/zero")
    (folder / "terminal.jpg").symlink_to("/dev/tty")
    (folder / "gone.jpg").symlink_to(folder / "nowhere.jpg")
    (folder / "itself.jpg").symlink_to(folder / "itself.jpg")
    (folder / "loop").symlink_to(folder, target_is_directory=True)
    (folder / "folder.jpg").mkdir()
    refused = []
    with (folder / "sparse.jpg").open("wb") as file:
        try:
            file.truncate(1 << 40)
        except OSError as error:
            refused.append(f"1 TiB file: {error.strerror}")
    for number, name in enumerate(_ODD_NAMES):
        try:
            Path(folder / os.fsdecode(name)).write_bytes(data)
        except OSError as error:
            refused.append(f"name {number}: {error.strerror}")
    _deep(folder, 4000, data)
    return refused


def _deep(folder: Path, length: int, data: bytes) -> None:
    """Write an image whose whole path has about ``length`` characters, level by level, from within."""
    handle = os.open(folder, os.O_RDONLY)
    used = len(os.fsencode(folder))
    while used + 210 < length:
        os.mkdir("d" * 200, dir_fd=handle)
        inner = os.open("d" * 200, os.O_RDONLY, dir_fd=handle)
        os.close(handle)
        handle, used = inner, used + 201
    with os.fdopen(os.open("deep.jpg", os.O_CREAT | os.O_WRONLY, dir_fd=handle), "wb") as file:
        file.write(data)
    os.close(handle)


def entries(folder: Path) -> list[bytes]:
    """Everything below a folder except folders; links are not followed."""
    paths: list[bytes] = []
    stack = [os.fsencode(folder)]
    while stack:
        with os.scandir(stack.pop()) as listed:
            for entry in listed:
                (stack if entry.is_dir(follow_symlinks=False) else paths).append(entry.path)
    return sorted(paths)


def raw_path(row: dict[str, Any]) -> bytes:
    """The path of a JSON result, as bytes."""
    return bytes.fromhex(row["path_bytes"]) if row["path_bytes"] else os.fsencode(row["path"])


def timed(paths: list[bytes], config: ScanConfig, threads: int) -> dict[str, tuple[float, str]]:
    """Name -> (seconds, status) of each file, read as in a scan."""
    with closing(Fetcher(config)) as fetcher, closing(IsolatedReader(config, fetcher)) as isolated:

        def read(path: bytes) -> tuple[str, tuple[float, str]]:
            began = time.monotonic()
            result = isolated(Item(os.fsdecode(path)))
            status = "read" if isinstance(result, DecodedImage) else result.status.value
            return ascii(Path(os.fsdecode(path)).name)[1:-1], (time.monotonic() - began, status)

        with ThreadPoolExecutor(threads) as pool:
            return dict(pool.map(read, paths))


def scanned(command: list[str], store: Path) -> tuple[int, str, float, Any, list[int]]:
    """Exit code, standard error, seconds, memory, and the processes that still ran two seconds later."""
    began = time.monotonic()
    with tempfile.TemporaryFile("w+", errors="backslashreplace") as stderr:
        process = subprocess.Popen(
            command,
            env=environment(store),
            stdout=subprocess.DEVNULL,
            stderr=stderr,
            stdin=subprocess.DEVNULL,
        )
        family: set[int] = set()
        with watched(process.pid) as memory:
            while process.poll() is None:
                family |= children(process.pid).keys()
                time.sleep(0.2)
        seconds = time.monotonic() - began
        time.sleep(2)
        stderr.seek(0)
        return process.returncode, stderr.read(), seconds, memory, [pid for pid in family if alive(pid)]


def main() -> int:
    """Scan, check, and write the result; return the exit code."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("--item-timeout", type=float, default=10.0)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    verdicts = Verdicts("hostile")
    hostile = sorted(path for path in options.folder.iterdir() if path.is_file())
    with tempfile.TemporaryDirectory() as scratch:
        root = Path(scratch)
        store, everything, good = root / "store", root / "all", root / "good"
        interleaved(hostile, everything, good, options.seed)
        refused = oddities(everything / "odd", options.seed)
        expected = entries(everything)
        limits = ("--model", "mini", "--device", "cpu", "--item-timeout", str(options.item_timeout))
        outs = {name: root / f"{name}.json" for name in ("all", "good", "listed")}
        table = root / "all.csv"
        command = scan(everything, *limits, "--out", outs["all"], "--out", table)
        code, stderr, seconds, memory, left = scanned(command, store)
        run(scan(good, *limits, "--out", outs["good"]), store)
        results, alone = rows(outs["all"]), rows(outs["good"])

        verdicts.result |= {
            "hostile_files": len(hostile),
            "good_pictures": len(alone),
            "odd_things": len(entries(everything / "odd")),
            "refused_by_this_machine": refused,
            "item_timeout_seconds": options.item_timeout,
            "seconds": round(seconds, 1),
            "rows": by_status(results),
            "memory_mebibytes": memory.course(),
        }
        verdicts.check("the scan ends as documented", code == 3, f"exit code {code} after {seconds:.0f} s")
        verdicts.check(
            "standard error is words, no traceback",
            "Traceback" not in stderr and "\x1b" not in stderr,
            f"{len(stderr.splitlines())} lines",
        )
        names = sorted(map(raw_path, results))
        verdicts.check(
            "one row per file", names == expected and len(rows(table)) == len(expected), f"{len(names)} rows"
        )
        good_rows = [row for row in results if "~" in Path(row["path"]).name]
        for row in (*good_rows, *alone):
            row["path"] = Path(row["path"]).name
        wrong = differences(good_rows, alone)
        verdicts.check(
            "good images are scored as without the hostile files",
            not wrong and by_status(good_rows) == {"scored": len(alone)},
            f"{len(good_rows)} of {len(alone)}, {len(wrong)} differ {wrong[:2] or ''}",
        )
        growth = memory.growth(0.25)
        verdicts.check(
            f"the parent's memory grows by less than {_GROWTH:g} MiB",
            growth < _GROWTH,
            f"{growth:+.1f} MiB from a quarter of its time to its end, "
            f"{max(value for _, value in memory.mebibytes):.0f} MiB at most",
        )
        verdicts.check(
            "no process is left",
            not left,
            f"{len(left)} left; at most {memory.most_zombies} zombies meanwhile",
        )
        _check_listed(everything / "odd", limits, outs["listed"], store, verdicts)
        _check_times(expected, options.item_timeout, verdicts)
    return verdicts.end(options.out)


def _check_listed(folder: Path, limits: tuple[str, ...], out: Path, store: Path, verdicts: Verdicts) -> None:
    """Named one by one, links are followed; pipes and devices still must not be opened."""
    named = [path for path in entries(folder) if not set(path) & set(b"\r\n") and not os.path.isdir(path)]  # noqa: PTH112
    source = folder.parent.parent / "list.txt"
    source.write_bytes(b"\n".join([*named, b"/nowhere/at/all.jpg", b"nul\0byte.jpg"]) + b"\n")
    began = time.monotonic()
    ended = run(scan("--list", source, *limits, "--out", out), store, timeout=300)
    results = rows(out) if out.exists() else []
    verdicts.check(
        "the odd things named one by one in a list: one row each",
        ended.returncode == 3 and len(results) == len(named) + 2 and "Traceback" not in ended.stderr,
        f"{len(results)} rows in {time.monotonic() - began:.0f} s: {by_status(results)}",
    )


def _check_times(paths: list[bytes], deadline: float, verdicts: Verdicts) -> None:
    """The time of each file read alone, with one file per core at a time."""
    regular = [path for path in paths if stat.S_ISREG(os.lstat(path).st_mode)]
    config = ScanConfig(inputs=("unused",), item_timeout=deadline)
    times = timed(regular, config, os.cpu_count() or 1)
    slow = sorted(times.items(), key=lambda item: -item[1][0])
    verdicts.result["slowest"] = {
        name: {"seconds": round(seconds, 2), "status": status} for name, (seconds, status) in slow[:15]
    }
    verdicts.check(
        f"no file takes longer than its deadline of {deadline:g} s and {_GRACE:g} s more",
        slow[0][1][0] <= deadline + _GRACE,
        f"{slow[0][1][0]:.1f} s at most, {slow[0][0]}",
    )


if __name__ == "__main__":
    sys.exit(main())
