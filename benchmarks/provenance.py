"""Compare what `sidscan.provenance` reads with what a manifest expects, or list AI claims of innocent files.

    python benchmarks/provenance.py FOLDER                        # manifest.csv: file, expected_verdict
    python benchmarks/provenance.py FOLDER... --innocent --out FILE  # any files: those that are called ai_*

Prints every difference, counts, and the time per file. An expected verdict may be several, joined by ``or``.
The result names the folders directly below those given, such as repositories, and no files.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import statistics
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from record import publish, stamp

from sidscan.provenance.places import has_reader
from sidscan.provenance.read import read_provenance
from sidscan.records import Provenance

_ALIASES = {"weak_hint": "ai_hint"}
_INNOCENT = {"none", "no_ai_claim", "unreadable", "held_elsewhere"}


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folders", type=Path, nargs="+")
    parser.add_argument("--innocent", action="store_true", help="list files that are called ai_*")
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    times: list[float] = []
    verdicts, claims, groups = Counter[str](), list[dict[str, Any]](), set[str]()
    for group, path, expected in files(options.folders, options.innocent):
        data = path.read_bytes()
        if not has_reader(data):
            continue
        started = time.process_time()
        found = read_provenance(data)
        times.append(1000 * (time.process_time() - started))
        verdicts[found.verdict] += 1
        groups.add(group)
        if found.verdict not in expected:
            print(f"{path}: {found.verdict}, expected {' or '.join(sorted(expected))}: {told(found)}")
            markers = sorted({f"{each.id}: {each.container} {each.key}" for each in found.markers})
            claims.append({"folder": group, "verdict": found.verdict, "markers": markers})
    result = {
        "files": len(times),
        "folders": len(groups),
        "verdicts": dict(verdicts.most_common()),
        "differences": len(claims),
        "processor milliseconds": {
            "median": round(statistics.median(times or [0]), 3),
            "longest": round(max(times, default=0), 1),
        },
        "listed": claims,
    }
    publish(stamp("provenance") | result, options.out)
    return int(bool(claims))


def files(folders: list[Path], is_innocent: bool) -> Iterator[tuple[str, Path, set[str]]]:
    """The folder below a given one, the file, and the verdicts that are right; equal files count once."""
    seen = set()
    for folder in folders:
        for path, expected in innocent(folder) if is_innocent else manifest(folder):
            digest = hashlib.sha256(path.read_bytes()).digest()
            if not is_innocent or digest not in seen:
                seen.add(digest)
                group = path.relative_to(folder).parts[0] if path.parent != folder else folder.name
                yield group, path, expected


def manifest(folder: Path) -> Iterator[tuple[Path, set[str]]]:
    with (folder / "manifest.csv").open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            words = row["expected_verdict"].split(" or ")
            yield folder / row["file"], {_ALIASES.get(word, word) for word in words}


def innocent(folder: Path) -> Iterator[tuple[Path, set[str]]]:
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            yield path, _INNOCENT


def told(found: Provenance) -> str:
    return "; ".join(f"{each.id} {each.container} {each.key}={each.value[:80]!r}" for each in found.markers)


if __name__ == "__main__":
    sys.exit(main())
