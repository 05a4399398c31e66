"""Shared by tests of reports: results, a journal of them, and reports rendered from it."""

from __future__ import annotations

import csv
import io
import json
import re
import sqlite3
import unicodedata
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

from sidscan.journal import Journal
from sidscan.journal.keys import ReuseKeys
from sidscan.records import (
    CalibrationRecord,
    Exif,
    Failure,
    ImageInfo,
    Item,
    Kind,
    Marker,
    ModelRecord,
    Provenance,
    Response,
    RunHeader,
    RunRecord,
    SampleRecord,
    ScanResult,
    Score,
    SessionRecord,
    SignatureCheck,
    Stage,
    Status,
    Trace,
)
from sidscan.reports import output_for, write_all

CASCADE = {"centre": 2.5, "mirrors": 0.5}
OLD_REPORTS = Path(__file__).parent / "reports" / "data"
"""What sidscan 0.1.0 wrote: reports of one scan in each format, and its journal as SQL."""
SCORE = Score(
    *("mini", "abc", 0.6, 0.7, 0.8472978603872034, "moderate", 0.6, 0.8, 0.05),
    highest_crop="top left",
    percentile=61.5,
)
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
    Exif(
        make="Acme",
        latitude=-33.5,
        tags={"Image Make": "Acme"},
        original_date_iso="2026-01-01T00:00:00.25+01:00",
        gps_date_iso="2026-01-01T00:00:00+00:00",
    ),
    modified_at="2026-01-01T00:00:00+00:00",
    provenance=Provenance(
        "ai_edited",
        "plain",
        markers=(
            Marker("c2pa-missing", "none", "", "XMP in JPEG APP1", "provenance", "self#jumbf=/c2pa/a", 12),
            Marker(
                *("google-edited", "ai_edited", "plain", "IPTC in JPEG APP13", "2:110 Credit"),
                *("Edited with Google AI", 4000, "Google AI"),
            ),
        ),
        byline="Erika",
        caption="=a caption",
        signature=SignatureCheck(
            "Invalid", True, True, False, "2026-01-01T00:00:00+00:00", ("claim.malformed",)
        ),
    ),
    traces=(Trace("trailing_data", "10 bytes behind the image", "behind JPEG EOI", 5000, "=a value"),),
)
SCORED = ScanResult(
    "a.jpg",
    Kind.FILE,
    Status.SCORED,
    FACTS,
    "2026-01-01T00:00:00+00:00",
    scores=(SCORE,),
    views=10,
    share_scored=0.5,
)
FAILED = ScanResult.of_failure(
    Failure(Item("b.jpg"), Stage.DECODE, "OSError", "truncated"), "2026-01-01T00:00:00+00:00"
)


def journal_of(*results: ScanResult, run: RunHeader = RUN) -> Journal:
    journal, keys = Journal(None), ReuseKeys("score", "limits", "urls")
    journal.set_header(run)
    journal.register_inputs([Item(result.name, result.kind) for result in results], keys)
    journal.append(results, keys)
    return journal


def results_of_every_status() -> list[ScanResult]:
    """One result of each status, and a scored URL whose answer and EXIF are known."""
    unscored = [status for status in Status if status is not Status.SCORED]
    response = Response(
        "https://host/a.jpg",
        redirects=("https://host/b.jpg",),
        http_status=200,
        address="203.0.113.1",
        fetched_at="2026-01-01T00:00:00+00:00",
        headers={"content-type": "image/jpeg"},
        saved_as="saved/a.jpg",
    )
    score = replace(SCORE, p_value=0.25, evidence="inconclusive", inconclusive=("small",))
    return [
        SCORED,
        *(replace(FAILED, name=f"{status.value}.jpg", status=status) for status in unscored),
        replace(
            SCORED,
            name="https://host/b.jpg",
            kind=Kind.URL,
            facts=replace(FACTS, response=response),
            scores=(score,),
        ),
    ]


def full_header() -> RunHeader:
    """The header of a run with a calibration and two sessions, one of which was killed."""
    calibration = CalibrationRecord(
        format="sidscan calibration 1",
        model="mini",
        weights={"mini": "a" * 64},
        crops="ten",
        runtime="pytorch 2",
        device="cpu",
        precision="fp32",
        decoder="Pillow 13",
        sidscan_version="0.1.0",
        created="2026-01-01T00:00:00+00:00",
        unreadable=0,
        skipped=1,
        duplicates=2,
        target_fpr=0.05,
        pictures=100,
        threshold_logit=1.5,
        sha256="b" * 64,
        differences=("sidscan_version 0.1.0 then, 0.2.0 now",),
    )
    killed = SessionRecord(
        started="2026-01-01T00:00:00+00:00", limits={"crops": "ten"}, resources={"cores": 2}
    )
    ended = replace(
        killed,
        ended="2026-01-01T00:00:09+00:00",
        ending="finished",
        findings=3,
        command=("sidscan", "scan", "."),
    )
    return replace(
        RUN,
        models=(
            ModelRecord("mini", "abc", 0.6, {"mini": "a" * 64}, {"mini": "bundled"}, {"side": 128}, CASCADE),
        ),
        calibrations={"mini": calibration},
        inputs=("images",),
        reliability={
            "mini": {
                "sentence": "mini, in the test of its card: finds 55 of 100 synthetic images",
                "images": "windows",
                "encoder": None,
                "effort": "full",
                "threshold": 0.6,
                "photographs": 4552,
                "synthetic": 4396,
                "found": {"as_is": 0.55, "jpeg75": 0.21},
                "flagged": {"as_is": 0.04, "jpeg75": 0.02},
                "card": "sidscan models show mini",
            },
            "other": {"sentence": "other: nothing is known"},
        },
        sample=SampleRecord(size=500, seed=0, images=102331, folders=214),
        sessions=(killed, ended),
    )


def old_journal(path: Path) -> Path:
    """Create a journal as sidscan 0.1.0 wrote it."""
    with closing(sqlite3.connect(path)) as database:
        database.executescript((OLD_REPORTS / "0.1.0.journal.sql").read_text(encoding="utf-8"))
    return path


def rendered(out: Path, record: RunRecord) -> str:
    write_all([output_for(str(out), overwrite=True)], record)
    return out.read_bytes().decode("utf-8")


def rows(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text, newline="")))


def strict(text: str) -> Any:
    """Parse JSON strictly: refuse everything that RFC 8259 leaves undefined."""

    def pairs(members: list[tuple[str, Any]]) -> dict[str, Any]:
        assert len({key for key, _ in members}) == len(members), "a key occurs twice"
        return dict(members)

    def number(digits: str) -> int:
        assert abs(int(digits)) < 2**53, "more than a double can represent"
        return int(digits)

    def constant(name: str) -> None:
        raise AssertionError(name)

    assert re.fullmatch(r"[\x20-\x7e\n]*", text), "not printable ASCII"
    value = json.loads(text, object_pairs_hook=pairs, parse_int=number, parse_constant=constant)
    json.dumps(value, ensure_ascii=False).encode("utf-8")  # no lone surrogates
    return value


def is_formula(cell: str) -> bool:
    """Whether a spreadsheet may take the text for a formula, decided by the NFKC form of the trimmed text."""
    shown = "".join(c for c in cell if unicodedata.category(c) not in ("Cf", "Cc", "Zs", "Zl", "Zp"))
    return unicodedata.normalize("NFKC", shown.lstrip("\"'")[:1]).startswith(("=", "+", "-", "@"))
