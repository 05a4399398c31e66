"""Do damaged or hostile statements of origin ever cost an image its row, its score, time or memory?

    python benchmarks/provenance_mutations.py --count 10000 --out FILE [--real FOLDER]

Images of the same pixels in every container, full of statements, are damaged: half of them within the blocks
that hold the statements, in a file that fits them, the others anywhere. Beside them are files that are built
to exhaust a reader. Blocks of real files are damaged, too, if --real names a folder with some. All go
through `sidscan scan`, with c2pa-python as installed and as if it were not. There must be one row each, no
crash and no time-out that the undamaged file does not have; where only statements are damaged or hostile, the
score must be that of the image without any. The time of each file is that of the whole last step of
reading, its statements and its traces: processor time, since the machine may have other work.
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, fields, replace
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import mutations
from harness import Verdicts, environment, hide_c2pa, rows, scan, workers
from provenance_aimed import aimed
from provenance_files import NOTHING, Blocks, containers, statements

from sidscan.config import ReadLimits
from sidscan.images.items import OpenedImage, decode_item, info_from_bytes
from sidscan.provenance.blocks import BlockKind, Budget, MetadataLimit
from sidscan.provenance.places import read_blocks
from sidscan.records import DecodedImage, Failure, Item
from sidscan.traces.read import with_provenance_and_traces

_DEADLINE = 60.0  # seconds by the clock, of an item
_SLOW = 1.0  # seconds of processor time that the statements and traces of a file may take
_MOST_MEMORY = 600  # MiB of one worker
_CLOSE = 1e-5  # batches change the order of sums
_LOST = ("crashed", "timeout", "memory_limit")
_KINDS = {BlockKind.C2PA: "c2pa", BlockKind.XMP: "xmp", BlockKind.EXIF: "exif", BlockKind.IPTC: "iptc"}
_MOST_REAL_BYTES = 200_000  # of one block
_LISTED = 20


def main() -> int:
    """Write, scan, check, and write the result; return the exit code."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--count", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--real", type=Path, help="folder of real files")
    parser.add_argument("--batch", type=int, default=2500, help="files of one scan")
    parser.add_argument("--out", type=Path)
    parser.add_argument("--time", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.time:
        print(json.dumps(times(options.time)))
        return 0
    verdicts = Verdicts("provenance_mutations")
    with tempfile.TemporaryDirectory() as text:
        root = Path(text)
        batches = write(root, options.count, options.batch, options.seed, options.real)
        with_extra = environment(root / "store")
        kinds = {"without c2pa-python": hide_c2pa(with_extra, root / "hidden")}
        if find_spec("c2pa"):
            kinds = {"with c2pa-python": with_extra, **kinds}
        for kind, env in kinds.items():
            check(kind, env, batches, root, verdicts)
            if options.out:  # a long run that is cut off leaves what it found
                options.out.write_text(json.dumps(verdicts.result, indent=2) + "\n", encoding="utf-8")
    return verdicts.end(options.out)


def write(root: Path, count: int, batch: int, seed: int, real: Path | None) -> list[Path]:
    """Folders of files: damaged ones, then the aimed ones; each has the undamaged images, too.

    A name is a number, how it came about (``block``, ``any`` or ``aimed``), and the container.
    """
    pool = {f"whole.{suffix}": writer(statements()) for suffix, writer in containers().items()}
    blocks = [statements(), *(real_blocks(real) if real else ())]
    folders = []
    for start in range(0, count, batch):
        folders.append(_folder(root, f"damaged-{start:06}"))
        for number in range(start, min(start + batch, count)):
            kind, suffix, data = damaged(number, random.Random(f"{seed}/{number}"), pool, blocks)
            (folders[-1] / f"{number:06} {kind}.{suffix}").write_bytes(data)
    folders.append(_folder(root, "aimed"))
    for number, (name, build) in enumerate(aimed()):
        (folders[-1] / f"{number:06} aimed {name}").write_bytes(build())
    return folders


def _folder(root: Path, name: str) -> Path:
    """A new folder with the image in every container, without statements and with all of them."""
    folder = root / name
    folder.mkdir()
    for suffix, writer in containers().items():
        (folder / f"plain.{suffix}").write_bytes(writer(NOTHING))
        (folder / f"whole.{suffix}").write_bytes(writer(statements()))
    return folder


def damaged(
    number: int, chance: random.Random, pool: dict[str, bytes], blocks: list[Blocks]
) -> tuple[str, str, bytes]:
    """How a file is damaged, its container, and its bytes."""
    if number % 2:
        name, data = mutations.mutated(pool, chance)
        return "any", name.rpartition(".")[2], data
    suffix = chance.choice(list(containers()))
    whole = chance.choice(blocks)
    stated = dict(_stated(whole))
    name = chance.choice([name for name, value in stated.items() if len(value) > 1])
    _, part = mutations.mutated({"block": stated[name]}, chance)
    return "block", suffix, containers()[suffix](replace(whole, **{name: part}))


def _stated(blocks: Blocks) -> Iterator[tuple[str, bytes]]:
    for each in fields(Blocks):
        if value := getattr(blocks, each.name):
            yield each.name, value


def real_blocks(folder: Path) -> Iterator[Blocks]:
    """What the files of a folder state; large blocks are left out."""
    for path in sorted(folder.rglob("*")):
        if not path.is_file():
            continue
        found: dict[str, bytes] = {}
        with suppress(MetadataLimit):
            for block in read_blocks(path.read_bytes(), Budget(1 << 24)):
                name = _KINDS.get(block.kind)
                if name and len(block.data) < _MOST_REAL_BYTES and block.container != "TIFF":
                    found.setdefault(name, block.data)
        if len(found.get("exif", b"")) > 60_000:
            del found["exif"]
        if found:
            yield Blocks(**found)


@dataclass
class Found:
    """What came of the scans of all batches.

    Attributes:
        rows: each with the folder of its batch.
        seconds: by the clock.
        memory: most of a worker, MiB.
        wrong: scans that did not end as documented.
        missing: names of files without exactly one row.
    """

    rows: list[tuple[Path, dict[str, Any]]] = field(default_factory=list)
    seconds: float = 0.0
    memory: float = 0.0
    wrong: list[str] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)


def check(kind: str, env: Mapping[str, str], batches: list[Path], root: Path, verdicts: Verdicts) -> None:
    """Scan all batches, and check what came of it."""
    found = Found()
    for batch in batches:
        _scan_batch(kind, env, batch, root, found)
    lost = _lost(found.rows)
    moved, compared = _moved(found.rows)
    timing = _times(batches, env)
    slowest = sorted(timing.items(), key=lambda each: -each[1])[:_LISTED]
    verdicts.result[kind] = {
        "rows": dict(Counter(row["status"] for _, row in found.rows)),
        "provenance": dict(Counter(_verdict(row) for _, row in found.rows)),
        "seconds_of_scans": round(found.seconds, 1),
        "most_mebibytes_of_a_worker": round(found.memory),
        "lost": lost[:_LISTED],
        "median_milliseconds": round(1000 * statistics.median(timing.values()), 2),
        "slowest_seconds": {name: round(value, 2) for name, value in slowest},
    }
    by_check = {
        "one row per file": (
            not found.missing,
            f"{len(found.rows)} rows, {len(found.missing)} files without {found.missing[:5]}",
        ),
        "scans end as documented": (
            not found.wrong,
            "; ".join(found.wrong)[:500] or f"{len(batches)} scans",
        ),
        "no crash and no time-out": (not lost, f"{len(lost)} rows {lost[:5]}"),
        "statements do not change a score": (
            not moved,
            f"{compared} compared, {len(moved)} differ {moved[:5]}",
        ),
        f"a worker holds less than {_MOST_MEMORY} MiB": (
            found.memory < _MOST_MEMORY,
            f"{found.memory:.0f} MiB at most",
        ),
        f"statements and traces of no file take {_SLOW:g} s": (
            slowest[0][1] < _SLOW,
            f"{slowest[0][1]:.2f} s at most, {slowest[0][0]}",
        ),
    }
    for name, (holds, detail) in by_check.items():
        verdicts.check(f"{kind}: {name}", holds, detail)


def _scan_batch(kind: str, env: Mapping[str, str], batch: Path, root: Path, found: Found) -> None:
    """Scan a folder, and note what came of it."""
    out = root / f"{kind}-{batch.name}.json"
    spent, peak, error = scanned(batch, out, env)
    found.seconds, found.memory = found.seconds + spent, max(found.memory, peak)
    found.wrong += [error] if error else []
    results = rows(out) if out.exists() else []
    named = Counter(Path(row["path"]).name for row in results)
    found.missing += [path.name for path in batch.iterdir() if named[path.name] != 1]
    found.rows += [(batch, row) for row in results]
    print(f"        {kind}, {batch.name}: {len(results)} rows in {spent:.0f} s, {peak:.0f} MiB", flush=True)


def scanned(batch: Path, out: Path, env: Mapping[str, str]) -> tuple[float, float, str]:
    """Seconds, most memory of a worker in MiB, and what went wrong, of a scan."""
    command = scan(
        *(batch, "--model", "mini", "--device", "cpu", "--crops", "center", "--quiet"),
        *("--item-timeout", str(_DEADLINE), "--out", out),
    )
    began, peak = time.monotonic(), 0.0
    with tempfile.TemporaryFile("w+", errors="backslashreplace") as stderr:
        process = subprocess.Popen(command, env=dict(env), stdout=subprocess.DEVNULL, stderr=stderr)
        while process.poll() is None:
            peak = max([peak, *map(_most_resident, workers(process.pid))])
            time.sleep(0.1)
        stderr.seek(0)
        said = stderr.read()
    is_wrong = process.returncode not in (0, 3) or "Traceback" in said
    return (
        time.monotonic() - began,
        peak,
        f"{batch.name}: exit code {process.returncode}: {said[-300:]}" if is_wrong else "",
    )


def _most_resident(pid: int) -> float:
    """Most memory that a process held so far, MiB; 0 if it has ended."""
    with suppress(OSError, ValueError, StopIteration):
        lines = Path(f"/proc/{pid}/status").read_text(encoding="ascii").splitlines()
        return int(next(line for line in lines if line.startswith("VmHWM:")).split()[1]) / 1024
    return 0.0


def _lost(found: list[tuple[Path, dict[str, Any]]]) -> list[str]:
    """Rows of files whose reader crashed or took too long, where it did not on the undamaged file.

    A score whose metadata cost the worker counts, too.
    """
    plain = {_suffix(row): row["status"] for _, row in found if Path(row["path"]).name.startswith("plain.")}
    return [
        f"{Path(row['path']).name}: {row['status']} {row['message'] or _flags(row)}"
        for _, row in found
        if (row["status"] in _LOST and plain[_suffix(row)] not in _LOST)
        or {"metadata_crashed", "metadata_timeout"} & set(_flags(row))
    ]


def _moved(found: list[tuple[Path, dict[str, Any]]]) -> tuple[list[str], int]:
    """Names of files with another score than the image without statements, and how many were compared."""
    plain = {_suffix(row): _score(row) for _, row in found if Path(row["path"]).name.startswith("plain.")}
    names = [
        (Path(row["path"]).name, _score(row), plain[_suffix(row)])
        for _, row in found
        if " any." not in Path(row["path"]).name
    ]
    moved = [
        f"{name}: {score}, not {expected}"
        for name, score, expected in names
        if (score is None) != (expected is None)
        or (score is not None and expected is not None and abs(score - expected) > _CLOSE)
    ]
    return moved, len(names)


def _suffix(row: Mapping[str, Any]) -> str:
    return str(row["path"]).rpartition(".")[2]


def _flags(row: Mapping[str, Any]) -> list[str]:
    return list(row["facts"]["flags"])


def _score(row: Mapping[str, Any]) -> float | None:
    scores = row["scores"]
    return float(scores[0]["score"]) if scores else None


def _verdict(row: Mapping[str, Any]) -> str:
    provenance = row["facts"].get("provenance")
    return str(provenance["verdict"]) if provenance else "not read"


def _times(batches: list[Path], env: Mapping[str, str]) -> dict[str, float]:
    """Name -> seconds of every file, read in a process with this environment."""
    found: dict[str, float] = {}
    for batch in batches:
        command = [sys.executable, __file__, "--time", str(batch)]
        done = subprocess.run(command, env=dict(env), check=True, stdout=subprocess.PIPE, text=True)
        found |= json.loads(done.stdout.splitlines()[-1])
    return found


def times(folder: Path) -> dict[str, float]:
    """Name -> processor seconds of what a file states and its traces, for every file of a folder."""
    found, limits = {}, ReadLimits(crops="center")
    for path in sorted(folder.iterdir()):
        data, step = path.read_bytes(), Timed()
        for _ in decode_item(
            Item(str(path)), data, info_from_bytes(data), limits, partial(step, data, limits)
        ):
            pass
        found[path.name] = step.seconds
    return found


class Timed:
    """The last step of reading an image, and how long it took, seconds of processor time."""

    seconds = 0.0

    def __call__(
        self, data: bytes, limits: ReadLimits, read: DecodedImage | Failure, image: OpenedImage | None
    ) -> DecodedImage | Failure:
        """Read what the file states, and its traces."""
        began = time.process_time()
        described = with_provenance_and_traces(read, image, data, limits)
        self.seconds = time.process_time() - began
        return described


if __name__ == "__main__":
    sys.exit(main())
