"""Zip and tar as inputs: a row for each of 10,000 members, also through kill -9, and hostile archives.

    python benchmarks/archives.py --members 10000 --kills 6 --out FILE

It writes its archives to a temporary folder: some 200 MB.
"""

from __future__ import annotations

import argparse
import io
import random
import signal
import subprocess
import tarfile
import tempfile
import time
import zipfile
from collections import Counter
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
from harness import Verdicts, children, encoded, environment, photo, rows, run, scan
from hostile_archives import write_all

_OPTIONS = ("--model", "mini", "--device", "cpu", "--crops", "center")
_MAX_MEMBERS = 20_000  # of the archive with a million
_MOST_SECONDS, _MOST_MEBIBYTES = 180.0, 2600.0  # that a hostile archive may take, start and limits included


def members(count: int, seed: int) -> list[tuple[str, bytes]]:
    """Small images in a hundred folders, no two alike."""
    rng = np.random.default_rng(seed)
    return [
        (f"box {number % 100:02}/{number:05}.jpg", encoded(photo(rng, 96, 96), "JPEG", quality=88))
        for number in range(count)
    ]


def write_archives(folder: Path, images: list[tuple[str, bytes]]) -> tuple[Path, Path]:
    """A deflated zip and a tar.gz of the same images."""
    zipped, tarred = folder / "a.zip", folder / "a.tar.gz"
    with zipfile.ZipFile(zipped, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in images:
            archive.writestr(name, content)
    with tarfile.open(tarred, "w:gz", compresslevel=6) as tar:
        for name, content in images:
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return zipped, tarred


def peak(pid: int) -> float:
    """MiB that a process held at most; 0 if it has ended."""
    with suppress(OSError, StopIteration, ValueError):
        lines = Path(f"/proc/{pid}/status").read_text(encoding="ascii", errors="replace").splitlines()
        return int(next(line for line in lines if line.startswith("VmHWM")).split()[1]) / 1024
    return 0.0


def measured(command: list[str], store: Path) -> dict[str, Any]:
    """Exit code, seconds, and the most memory of the scan and of its largest child."""
    began = time.monotonic()
    process = subprocess.Popen(
        command, env=environment(store), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    own, child = 0.0, 0.0
    while process.poll() is None:
        own = max(own, peak(process.pid))
        child = max([child, *map(peak, children(process.pid))])
        time.sleep(0.05)
    return {
        "exit_code": process.returncode,
        "seconds": round(time.monotonic() - began, 1),
        "scan_mib": round(own),
        "largest_child_mib": round(child),
    }


def killed(command: list[str], store: Path, kills: int, seconds: float, seed: int) -> int:
    """Run a command, kill it so many times at random, then let it end; returns how many kills it met."""
    generator = random.Random(seed)
    met = 0
    for _ in range(kills):
        process = subprocess.Popen(
            command, env=environment(store), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        with suppress(subprocess.TimeoutExpired):
            process.wait(generator.uniform(3, 3 + seconds / kills))
            continue
        process.send_signal(signal.SIGKILL)
        process.wait()
        met += 1
    run(command, store)
    return met


def inner(row: dict[str, Any]) -> dict[str, Any]:
    """A row without what differs between archives."""
    left_out = ("path", "modified_at", "tries")
    kept = {key: value for key, value in row.items() if key not in left_out}
    return {**kept, "path": row["path"].partition("!/")[2]}


def check_many(verdicts: Verdicts, root: Path, count: int, kills: int, seed: int) -> None:
    """Scans of many members, undisturbed and killed, and their verification."""
    from harness import differences

    zipped, tarred = write_archives(root, members(count, seed))
    store, out = root / "store", {kind: root / f"{kind}.csv" for kind in ("zip", "tar", "killed")}
    seen = {
        kind: measured(scan(path, *_OPTIONS, "--out", out[kind]), store)
        for kind, path in (("zip", zipped), ("tar", tarred))
    }
    verdicts.result["many"] = {"members": count, **seen}
    results = {kind: rows(out[kind]) for kind in ("zip", "tar")}
    for kind, found in results.items():
        names = {row["path"] for row in found}
        verdicts.check(
            f"{kind}: one row for each of {count:,} members, all scored",
            len(found) == len(names) == count and all(row["status"] == "scored" for row in found),
            f"{len(found):,} rows, {seen[kind]}",
        )
    unlike = differences(*([inner(row) for row in results[kind]] for kind in ("zip", "tar")))
    verdicts.check("zip and tar.gz have equal rows", not unlike, f"{len(unlike)} differ {unlike[:1]}")
    command = scan(tarred, *_OPTIONS, "--out", out["killed"])
    met = killed(command, store, kills, seen["tar"]["seconds"], seed)
    unlike = differences(results["tar"], rows(out["killed"]))
    verdicts.check(
        "a scan of the tar.gz that is killed and continued has the same rows",
        met > 0 and not unlike,
        f"{met} kills, {len(unlike)} differ {unlike[:1]}",
    )
    verify = [*scan()[:-1], "verify", str(out["tar"])]
    began = time.monotonic()
    done = run(verify, store)
    verdicts.check(
        "verify hashes all members again",
        done.returncode == 0 and f"{count} rows = {count} unchanged" in done.stderr.replace(",", ""),
        f"{done.stderr.splitlines()[-1]}; {time.monotonic() - began:.1f} s",
    )


def check_hostile(verdicts: Verdicts, root: Path, seed: int) -> None:
    """A scan of each hostile archive beside one good image."""
    image = encoded(photo(np.random.default_rng(seed), 240, 240), "JPEG")
    store = root / "store"
    verdicts.result["hostile"] = {}
    (root / "good.jpg").write_bytes(image)
    for path in write_all(root, image):
        out = root / "r.csv"
        limits = ("--max-members", str(_MAX_MEMBERS))
        command = scan(path, root / "good.jpg", *_OPTIONS, *limits, "--fresh", "--out", out, "--overwrite")
        took = measured(command, store)
        found = rows(out) if out.exists() else []
        messages = Counter((row["status"], row["error_message"][:160]) for row in found)
        shown = [f"{count} {status}: {words}" for (status, words), count in messages.most_common(5)]
        verdicts.result["hostile"][path.name] = {"bytes": path.stat().st_size, **took, "rows": shown}
        verdicts.check(
            f"{path.name}: rows, the image beside it scored, time and memory within limits",
            took["exit_code"] in (0, 3)
            and len(found) > 1
            and found[-1]["status"] == "scored"
            and took["seconds"] < _MOST_SECONDS
            and took["largest_child_mib"] < _MOST_MEBIBYTES,
            f"{len(found):,} rows, {took}, {shown[:2]}",
        )
        path.unlink()


def main() -> int:
    """Scan, check, and write the result; return the exit code."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--members", type=int, default=10_000)
    parser.add_argument("--kills", type=int, default=6)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    verdicts = Verdicts("archives")
    with tempfile.TemporaryDirectory() as scratch:
        for part in ("hostile", "many"):
            (Path(scratch) / part).mkdir()
        check_hostile(verdicts, Path(scratch) / "hostile", options.seed)
        check_many(verdicts, Path(scratch) / "many", options.members, options.kills, options.seed)
    return verdicts.end(options.out)


if __name__ == "__main__":
    raise SystemExit(main())
