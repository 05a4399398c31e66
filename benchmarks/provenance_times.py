"""What does reading the statements of a file cost, by kind of file? Processor time of each.

    python benchmarks/provenance_times.py --out FILE [--camera FOLDER] [--signed FOLDER]

Images of every container: without statements, with EXIF, with XMP, with a generator's parameters, with a
small manifest store, and with a large one. Files of the folders are read as they are: photographs of cameras,
and files with C2PA manifests, whose signatures c2pa-python checks. Every file is read with it as installed
and as if it were not.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from harness import environment, hide_c2pa
from provenance_files import NOTHING, Blocks, containers, large_store, statements
from record import publish, stamp

from sidscan.config import ReadLimits
from sidscan.provenance.metadata import Metadata
from sidscan.provenance.read import read_provenance

_REPEATS = 5
Times = dict[str, dict[str, float]]


def main() -> int:
    """Measure, and write the result."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--camera", type=Path, help="folder of photographs")
    parser.add_argument("--signed", type=Path, help="folder of files, of which those with manifests count")
    parser.add_argument("--out", type=Path)
    parser.add_argument("--here", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.here:
        print(json.dumps(measure(options.camera, options.signed)))
        return 0
    command = [sys.executable, __file__, "--here"]
    for name in ("camera", "signed"):
        if folder := getattr(options, name):
            command += [f"--{name}", str(folder)]
    with tempfile.TemporaryDirectory() as text:
        env = environment(Path(text))
        kinds = {"without c2pa-python": hide_c2pa(env, Path(text) / "hidden")}
        if find_spec("c2pa"):
            kinds["with c2pa-python"] = env
        result: dict[str, Any] = {}
        for kind, each in kinds.items():
            done = subprocess.run(command, env=each, check=True, stdout=subprocess.PIPE, text=True)
            result[kind] = json.loads(done.stdout.splitlines()[-1])
    publish(stamp("provenance_times") | {"processor milliseconds": result}, options.out)
    return 0


def measure(camera: Path | None, signed: Path | None) -> Times:
    """By kind: the number of files, the median and the longest of their times, milliseconds."""
    found: Times = {}
    read_provenance(containers()["png"](statements()))  # the first reading loads modules
    for kind, files in kinds(camera, signed):
        times = [milliseconds(data) for data in files]
        if times:
            found[kind] = {
                "files": len(times),
                "median": round(statistics.median(times), 3),
                "longest": round(max(times), 2),
            }
    return found


def kinds(camera: Path | None, signed: Path | None) -> Iterator[tuple[str, list[bytes]]]:
    """The files of each kind."""
    whole = statements()
    for kind, blocks in {
        "no statements": NOTHING,
        "EXIF": Blocks(exif=whole.exif),
        "XMP": Blocks(xmp=whole.xmp),
        "a generator's parameters": Blocks(text=whole.text),
        "a small manifest store": Blocks(c2pa=whole.c2pa),
        "a manifest store of 100 manifests": Blocks(c2pa=large_store(100)),
        "all of these": whole,
    }.items():
        yield kind, [writer(blocks) for writer in containers().values()]
    if camera:
        yield "photographs of cameras", files_of(camera)
    if signed:
        yield "files with a manifest store", [data for data in files_of(signed) if has_store(data)]


def files_of(folder: Path) -> list[bytes]:
    """All files below a folder."""
    return [path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()]


def has_store(data: bytes) -> bool:
    """Whether a file has C2PA manifests."""
    return bool(Metadata.of_file(data, ReadLimits().max_metadata).stores)


def milliseconds(data: bytes) -> float:
    """Processor time of reading a file, the median of some readings."""
    times = []
    for _ in range(_REPEATS):
        began = time.process_time()
        read_provenance(data)
        times.append(1000 * (time.process_time() - began))
        if sum(times) > 100 and len(times) > 1:  # a slow one need not be read so often
            break
    return statistics.median(times)


if __name__ == "__main__":
    sys.exit(main())
