"""Tar, WARC and Parquet files as inputs: a row for each of 10,000 members, in time and memory, verified.

    python benchmarks/containers.py --members 10000 --out FILE

It writes its files to a temporary folder: some 100 MB. It needs pyarrow.
"""

from __future__ import annotations

import argparse
import gzip
import io
import sys
import tarfile
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from archives import inner, measured, members
from harness import Verdicts, differences, rows, run, scan

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
from sample_warcs import response

_OPTIONS = ("--model", "mini", "--device", "cpu", "--crops", "center")
Images = Sequence[tuple[str, bytes]]


def write_tar(path: Path, images: Images) -> None:
    """An uncompressed tar, as webdataset has it."""
    with tarfile.open(path, "w") as tar:
        for name, content in images:
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))


def write_warc(path: Path, images: Images) -> None:
    """A record for each image, compressed one by one."""
    with path.open("wb") as file:
        for name, content in images:
            url = f"http://example.org/{name.replace(' ', '%20')}"
            file.write(gzip.compress(response(content, url, "Content-Type: image/jpeg")))


def write_parquet(path: Path, images: Images) -> None:
    """A column of bytes, beside one of names."""
    import pyarrow as pa
    from pyarrow import parquet

    columns = {"name": [name for name, _ in images], "image": [content for _, content in images]}
    parquet.write_table(pa.table(columns), path, row_group_size=1000)


WRITERS: dict[str, Callable[[Path, Images], None]] = {
    "a.tar": write_tar,
    "a.warc.gz": write_warc,
    "a.parquet": write_parquet,
}


def check(verdicts: Verdicts, root: Path, images: Images) -> None:
    """Scan each file, compare the rows, and verify them."""
    store, count = root / "store", len(images)
    found = {}
    for name, write in WRITERS.items():
        path, out = root / name, root / f"{name}.csv"
        write(path, images)
        took = measured(scan(path, *_OPTIONS, "--out", out), store)
        found[name] = rows(out)
        names = {row["path"] for row in found[name]}
        verdicts.check(
            f"{name}: one row for each of {count:,} members, all scored",
            len(found[name]) == len(names) == count and all(row["status"] == "scored" for row in found[name]),
            f"{len(found[name]):,} rows, {took}",
        )
        again = measured(scan(path, *_OPTIONS, "--out", out), store)
        began = time.monotonic()
        done = run([*scan()[:-1], "verify", str(out)], store)
        seconds = round(time.monotonic() - began, 1)
        verdicts.check(
            f"{name}: verify reads all members again",
            done.returncode == 0 and f"{count} rows = {count} unchanged" in done.stderr.replace(",", ""),
            f"{done.stderr.splitlines()[-1]}; {seconds} s",
        )
        verdicts.result[name] = {
            "bytes": path.stat().st_size,
            "scan": took,
            "scan_again_unchanged": again,
            "verify_seconds": seconds,
        }
    of_tar = [_of_bytes(row) for row in found["a.tar"]]
    for name in ("a.warc.gz", "a.parquet"):
        unlike = differences(of_tar, [_of_bytes(row) for row in found[name]])
        verdicts.check(f"{name} has the rows of the tar", not unlike, f"{len(unlike)} differ {unlike[:1]}")


def _of_bytes(row: dict[str, str]) -> dict[str, str]:
    """What a row says of the bytes alone: no names, times or addresses."""
    left_out = ("path", "final_url", "http_status", "fetched_at", "content_type", "last_modified")
    return {**{key: value for key, value in inner(row).items() if key not in left_out}, "path": row["sha256"]}


def main() -> int:
    """Scan, check, and write the result; return the exit code."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--members", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    verdicts = Verdicts("containers")
    with tempfile.TemporaryDirectory() as scratch:
        check(verdicts, Path(scratch), members(options.members, options.seed))
    return verdicts.end(options.out)


if __name__ == "__main__":
    raise SystemExit(main())
