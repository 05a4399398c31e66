"""Findings, a record of them, and reports of that: what tests of reports share."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import Any

from sidscan.journal import Journal
from sidscan.records import Exif, Failure, ImageInfo, Item, Kind, ReuseKeys, ScanResult, Score, Stage, Status
from sidscan.reports import report, write

SCORE = Score("mini", "abc", 0.6, 0.7, 0.8472978603872034, "moderate", 0.6, 0.8, 0.05)
RUN = {
    "models": [{"name": "mini", "digest": "abc"}],
    "model_choice": "asked for",
    "model_provenance": "mini: bundled",
    "calibrations": {},
    "runtime": "pytorch 2",
    "device": "cpu",
    "precision": "fp32",
    "decoder": "Pillow 13",
    "sidscan_version": "0.1.0",
}
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


def journal_of(*findings: ScanResult, run: dict[str, Any] = RUN) -> Journal:
    journal, settings = Journal(None), ReuseKeys("score", "limits", "urls")
    journal.set_header(run)
    journal.register_inputs([Item(finding.name) for finding in findings], settings)
    journal.append(findings, settings)
    return journal


def rendered(out: Path, journal: Journal) -> str:
    write([report(str(out))], journal)
    return out.read_bytes().decode("utf-8")


def rows(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text, newline="")))
