"""Does any damage make the reader of provenance fail, hang or grow?

    python benchmarks/provenance_mutations.py FOLDER --count 10000 --out FILE

Files of FOLDER in every container, at most --size bytes each, are damaged at random: bits, runs of bytes,
extreme numbers, lengths, cuts, doubled and exchanged parts. Each must get one answer with known words and
bounded texts, soon, without an error and without growing memory.
"""

from __future__ import annotations

import argparse
import random
import resource
import sys
import time
from collections import Counter
from pathlib import Path

import mutations
from harness import Verdicts

from sidscan.provenance.places import has_reader
from sidscan.provenance.read import read_provenance
from sidscan.records import PROVENANCE_STRENGTHS, PROVENANCE_WORDS, Provenance

_LONGEST_SECONDS, _MOST_GROWTH = 2.0, 200 << 20


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--count", type=int, default=10_000)
    parser.add_argument("--size", type=int, default=400_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    pool = seeds(options.folder, options.size)
    verdicts = Verdicts("provenance_mutations")
    chance, words, slowest, errors, odd = random.Random(options.seed), Counter[str](), 0.0, [], 0
    memory = _peak()
    for _ in range(options.count):
        name, data = mutations.mutated(pool, chance)
        started = time.process_time()
        try:
            found = read_provenance(data)
        except Exception as error:
            errors.append(f"{name}: {error!r}")
            continue
        slowest = max(slowest, time.process_time() - started)
        words[found.verdict] += 1
        odd += not is_bounded(found)
    grown = _peak() - memory
    seen = f"{options.count} files from {len(pool)}: {dict(words.most_common())}"
    verdicts.check("every file has an answer", not errors, "; ".join([seen, *errors[:5]]))
    verdicts.check("every answer is bounded", not odd, f"{odd} are not")
    verdicts.check("every answer comes soon", slowest < _LONGEST_SECONDS, f"{1000 * slowest:.0f} ms at most")
    verdicts.check("memory does not grow", grown < _MOST_GROWTH, f"by {grown >> 20} MiB")
    return verdicts.end(options.out)


def seeds(folder: Path, most_bytes: int) -> dict[str, bytes]:
    """Files in formats that have places for metadata, and images of every format made here."""
    files = (
        path for path in sorted(folder.rglob("*")) if path.is_file() and path.stat().st_size <= most_bytes
    )
    found = {path.name: path.read_bytes() for path in files}
    return {name: data for name, data in (found | mutations.seeds(1)).items() if has_reader(data)}


def is_bounded(found: Provenance) -> bool:
    texts = [text for each in found.markers for text in (each.key, each.value, each.says, each.container)]
    return (
        found.verdict in PROVENANCE_WORDS
        and found.strength in (None, *PROVENANCE_STRENGTHS)
        and len(found.markers) <= 100
        and all(len(text) <= 2100 for text in texts)
    )


def _peak() -> int:
    """Most memory that this process had so far, bytes (Linux states KiB)."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss << 10


if __name__ == "__main__":
    sys.exit(main())
