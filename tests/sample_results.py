"""Results, a journal of them, and reports rendered from it: what tests of reports share."""

from __future__ import annotations

import csv
import io
from pathlib import Path

from sidscan.journal import Journal
from sidscan.records import (
    Exif,
    Failure,
    ImageInfo,
    Item,
    Kind,
    ModelRecord,
    ReuseKeys,
    RunHeader,
    ScanResult,
    Score,
    Stage,
    Status,
)
from sidscan.reports import output_for, write_all

SCORE = Score("mini", "abc", 0.6, 0.7, 0.8472978603872034, "moderate", 0.6, 0.8, 0.05)
RUN = RunHeader(
    sidscan_version="0.1.0",
    models=(ModelRecord("mini", "abc"),),
    model_choice="asked for",
    model_provenance="mini: bundled",
    runtime="pytorch 2",
    device="cpu",
    precision="fp32",
    decoder="Pillow 13",
)
FACTS = ImageInfo(
    10,
    "f" * 64,
    "JPEG",
    300,
    200,
    ("padded", "first_frame"),
    Exif(make="Acme", latitude=-33.5, tags={"Image Make": "Acme"}),
)
SCORED = ScanResult(
    "a.jpg", Kind.FILE, Status.SCORED, FACTS, "2026-01-01T00:00:00+00:00", scores=(SCORE,), views=10
)
FAILED = ScanResult.of_failure(
    Failure(Item("b.jpg"), Stage.DECODE, "OSError", "truncated"), "2026-01-01T00:00:00+00:00"
)


def journal_of(*results: ScanResult, run: RunHeader = RUN) -> Journal:
    journal, keys = Journal(None), ReuseKeys("score", "limits", "urls")
    journal.set_header(run)
    journal.register_inputs([Item(result.name) for result in results], keys)
    journal.append(results, keys)
    return journal


def rendered(out: Path, journal: Journal) -> str:
    write_all([output_for(str(out))], journal)
    return out.read_bytes().decode("utf-8")


def rows(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text, newline="")))
