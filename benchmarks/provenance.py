"""Compare what `sidscan.provenance` reads with what a manifest expects, or list AI claims of a folder.

    python benchmarks/provenance.py FOLDER             # its manifest.csv has columns file, expected_verdict
    python benchmarks/provenance.py FOLDER --innocent  # any files: prints those that are called ai_*

Prints every difference, counts, and the time per file. An expected verdict may be several, joined by ``or``.
"""

from __future__ import annotations

import argparse
import csv
import statistics
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from sidscan.provenance.read import read_provenance
from sidscan.records import Provenance

_ALIASES = {"weak_hint": "ai_hint"}


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--innocent", action="store_true", help="list files that are called ai_*")
    options = parser.parse_args()
    times: list[float] = []
    verdicts: Counter[str] = Counter()
    differences = 0
    for path, expected in innocent(options.folder) if options.innocent else manifest(options.folder):
        data = path.read_bytes()
        started = time.perf_counter()
        found = read_provenance(data)
        times.append(1000 * (time.perf_counter() - started))
        verdicts[found.verdict] += 1
        if found.verdict not in expected:
            differences += 1
            print(f"{path}: {found.verdict}, expected {' or '.join(sorted(expected))}: {told(found)}")
    print(f"{len(times)} files, {differences} differences; {dict(verdicts.most_common())}")
    if times:
        print(f"ms per file: median {statistics.median(times):.3f}, longest {max(times):.3f}")
    return int(differences > 0)


def manifest(folder: Path) -> Iterator[tuple[Path, set[str]]]:
    with (folder / "manifest.csv").open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            words = row["expected_verdict"].split(" or ")
            yield folder / row["file"], {_ALIASES.get(word, word) for word in words}


def innocent(folder: Path) -> Iterator[tuple[Path, set[str]]]:
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            yield path, {"none", "no_ai_claim", "unreadable", "held_elsewhere"}


def told(found: Provenance) -> str:
    return "; ".join(f"{each.id} {each.container} {each.key}={each.value[:80]!r}" for each in found.markers)


if __name__ == "__main__":
    sys.exit(main())
