"""What the formats of reports cost: bytes a row, rows a second, and a group-by, on one run of many rows.

    python benchmarks/outputs.py --rows 200000 --out benchmarks/results/outputs-cpu.json

Rows are made up: names, hashes and scores differ, facts about images are drawn from a few values. No image is
read. Reading back is `sidscan verify`'s first pass; the group-by is DuckDB's, of evidence, or SQLite's own.
"""

from __future__ import annotations

import argparse
import hashlib
import random
import resource
import sqlite3
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

from record import publish, stamp

from sidscan.isolation.reports import ReportText
from sidscan.journal import Journal
from sidscan.records import Counts, Exif, ImageInfo, Kind, ModelRecord, RunHeader, ScanResult, Score, Status
from sidscan.reports import output_for, reader
from sidscan.review.wrapped import WrappedRecord

SUFFIXES = ("csv", "jsonl", "jsonl.zst", "parquet", "db")
RUN = RunHeader(
    sidscan_version="0.3.0",
    models=(ModelRecord("rine-b16", "0123456789abcdef+fedcba9876543210"),),
    model_choice="default",
    model_provenance="rine-b16: bundled; clip-vit-b16-q8: package index",
    runtime="onnxruntime 1.31.1",
    device="cpu",
    precision="fp32",
    decoder="Pillow 13.0.0",
)
EVIDENCE = ("weak",) * 90 + ("moderate",) * 6 + ("strong",) * 3 + ("very strong",)


class ManyRows(WrappedRecord):
    """The record of a run that was never made."""

    def __init__(self, rows: int) -> None:
        journal = Journal(None)
        journal.set_header(RUN)
        super().__init__(journal)
        self._rows = rows

    def counts(self) -> Counts:
        """All are scored."""
        return Counts(self._rows, self._rows, 0, 0)

    def results(self) -> Iterator[ScanResult]:
        """The same in each call."""
        draw = random.Random(0)
        return (made_up(number, draw) for number in range(self._rows))


def made_up(number: int, draw: random.Random) -> ScanResult:
    """A row as of a web archive."""
    evidence, score = draw.choice(EVIDENCE), draw.random()
    exif = Exif("Canon", "EOS R5", original_date_iso="2024-05-01T12:00:00") if number % 3 == 0 else Exif()
    facts = ImageInfo(
        bytes=draw.randrange(20_000, 900_000),
        sha256=hashlib.sha256(str(number).encode()).hexdigest(),
        format="JPEG" if number % 5 else "PNG",
        width=draw.choice((640, 1024, 1200, 1920)),
        height=draw.choice((480, 683, 800, 1080)),
        flags=("padded",) if number % 40 == 0 else (),
        exif=exif,
        jpeg_quality=draw.choice((75, 80, 85, 90, 95)),
        modified_at=f"2025-{1 + number % 12:02}-01T00:00:00+00:00",
    )
    scored = Score(
        *("rine-b16", "0123456789abcdef+fedcba9876543210", 0.5, score, 4 * score - 2, evidence),
        *(score / 2, (1 + score) / 2, draw.random() / 4),
        highest_crop="top left",
    )
    return ScanResult(
        f"archive/{number // 1000:05}/image-{number:09}.jpg",
        Kind.FILE,
        Status.SCORED,
        facts,
        f"2026-01-01T{number // 3600 % 24:02}:{number // 60 % 60:02}:{number % 60:02}+00:00",
        scores=(scored,),
        views=10,
        share_scored=0.9,
        decoder="Pillow 13.0.0",
        sidscan_version="0.3.0",
    )


def group_by(path: Path, suffix: str) -> float | None:
    """Seconds of a count by evidence, the best of three; None where nobody asks such a file."""
    import duckdb

    query = "SELECT evidence, count(*), max(score) FROM {} GROUP BY evidence"
    if suffix == "db":
        with closing(sqlite3.connect(path)) as database:
            return best(lambda: database.execute(query.format("scores")).fetchall())
    if suffix in ("csv", "parquet"):
        with closing(duckdb.connect()) as connection:
            return best(lambda: connection.execute(query.format(f"'{path}'")).fetchall())
    return None


def best(call: Any) -> float:
    """Seconds, the least of three calls."""
    times = []
    for _ in range(3):
        begun = time.perf_counter()
        call()
        times.append(time.perf_counter() - begun)
    return min(times)


def processor_seconds() -> float:
    """Seconds of this process, and of those that it started and that ended: one of them unpacks a report."""
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.process_time() + children.ru_utime + children.ru_stime


def measured(record: ManyRows, rows: int, suffix: str, folder: Path, made: float) -> dict[str, object]:
    """Figures of one format; the time that it takes to make up rows is taken off."""
    path = folder / f"report.{suffix}"
    begun = time.process_time()
    output_for(str(path)).write(record)
    written = time.process_time() - begun - made
    begun = processor_seconds()
    with path.open("rb") as file, closing(ReportText(file, suffix, path)) as text:
        rows_read = reader.read_rows(text.open(reader.VERIFIED_COLUMNS), suffix, path)
        count = sum(1 for _ in rows_read)
    read = processor_seconds() - begun
    assert count == rows
    seconds = group_by(path, suffix)
    return {
        "bytes_per_row": round(path.stat().st_size / rows, 1),
        "rows_per_second_written": round(rows / written),
        "rows_per_second_read_back": round(rows / read),
        "group_by_seconds": None if seconds is None else round(seconds, 4),
        "peak_mib_so_far": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10,
    }


def main() -> None:
    """Write one report of each format, one after the other, and print the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--rows", type=int, default=200_000)
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    record = ManyRows(options.rows)
    begun = time.process_time()
    for _ in record.results():
        pass
    made = time.process_time() - begun
    with tempfile.TemporaryDirectory() as folder:
        formats = {suffix: measured(record, options.rows, suffix, Path(folder), made) for suffix in SUFFIXES}
    publish({**stamp("outputs", "pyarrow", "duckdb"), "rows": options.rows, "formats": formats}, options.out)


if __name__ == "__main__":
    main()
