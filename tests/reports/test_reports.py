"""Reports: exact contents, safe to open, whole or not at all."""

from __future__ import annotations

import csv
import io
import json
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from sidscan.errors import OutputError, UsageError
from sidscan.journal import Journal
from sidscan.records import Exif, Facts, Failure, Finding, Item, Kind, Score, Stage, Status
from sidscan.reports import report, reserved, write

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
FACTS = Facts(
    10,
    "f" * 64,
    "JPEG",
    300,
    200,
    ("padded", "first_frame"),
    Exif(make="Acme", latitude=-33.5, tags={"Image Make": "Acme"}),
)
SCORED = Finding(
    "a.jpg", Kind.FILE, Status.SCORED, FACTS, "2026-01-01T00:00:00+00:00", scores=(SCORE,), views=10
)
FAILED = Finding.of_failure(
    Failure(Item("b.jpg"), Stage.DECODE, "OSError", "truncated"), "2026-01-01T00:00:00+00:00"
)


def journal_of(*findings: Finding, run: dict[str, Any] = RUN) -> Journal:
    journal = Journal(None)
    journal.note(run)
    journal.enumerate([Item(finding.name) for finding in findings], "settings")
    journal.append(findings, "settings")
    return journal


def rendered(out: Path, journal: Journal) -> str:
    write([report(str(out))], journal)
    return out.read_bytes().decode("utf-8")


def rows(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text, newline="")))


def test_csv_is_one_row_per_input(tmp_path: Path) -> None:
    scored, failed = rows(rendered(tmp_path / "r.csv", journal_of(SCORED, FAILED)))
    assert scored == {
        "path": "a.jpg",
        "status": "scored",
        "error_stage": "",
        "error_class": "",
        "error_message": "",
        "score": "0.7",
        "logit": "0.8472978603872034",
        "evidence": "moderate",
        "threshold": "0.6",
        "p_value": "",
        "crop_min": "0.6",
        "crop_max": "0.8",
        "crop_std": "0.05",
        "model": "mini",
        "model_digest": "abc",
        "calibration": "",
        "views": "10",
        "flags": "padded first_frame",
        "width": "300",
        "height": "200",
        "format": "JPEG",
        "bytes": "10",
        "sha256": "f" * 64,
        "exif_make": "Acme",
        "exif_model": "",
        "exif_lens": "",
        "exif_original_date": "",
        "exif_software": "",
        "exif_latitude": "-33.5",
        "exif_longitude": "",
        "exif_orientation": "",
        "model_choice": "asked for",
        "model_provenance": "mini: bundled",
        "runtime": "pytorch 2",
        "device": "cpu",
        "precision": "fp32",
        "decoder": "Pillow 13",
        "sidscan_version": "0.1.0",
        "scanned_at": "2026-01-01T00:00:00+00:00",
    }
    assert (failed["status"], failed["error_stage"], failed["error_class"]) == ("failed", "decode", "OSError")
    assert (failed["error_message"], failed["score"]) == ("truncated", "")
    assert (failed["model"], failed["model_digest"]) == ("mini", "abc"), "which model gave no score"


def test_further_models_have_columns_of_their_own(tmp_path: Path) -> None:
    both = replace(SCORED, scores=(SCORE, replace(SCORE, model="other", score=0.1)))
    run = {**RUN, "models": [{"name": "mini", "digest": "abc"}, {"name": "other", "digest": "def"}]}
    (row,) = rows(rendered(tmp_path / "r.csv", journal_of(both, run=run)))
    assert (row["score"], row["other.score"], row["other.model"]) == ("0.7", "0.1", "other")


def test_an_empty_run_still_has_a_header(tmp_path: Path) -> None:
    text = rendered(tmp_path / "r.csv", journal_of())
    assert text.startswith("path,status,")
    assert text.count("\r\n") == 1


@pytest.mark.parametrize(
    ("text", "cell"),
    [
        pytest.param("=HYPERLINK(1)", "'=HYPERLINK(1)", id="formula"),
        pytest.param("@SUM(1)", "'@SUM(1)", id="at"),
        pytest.param("-2+3", "'-2+3", id="minus"),
        pytest.param("\t=1", "\\x09=1", id="tab"),
        pytest.param('quote " comma, line\nend', 'quote " comma, line\\x0aend', id="csv syntax"),
        pytest.param("carriage\rreturn", "carriage\\x0dreturn", id="carriage return"),
        pytest.param("\x1b[2J\x00\u202e", "\\x1b[2J\\x00\\u202e", id="terminal"),
    ],
)
def test_text_is_safe_in_csv_and_original_in_json(tmp_path: Path, text: str, cell: str) -> None:
    facts = replace(FACTS, exif=Exif(make=text, latitude=-33.5))
    journal = journal_of(replace(SCORED, facts=facts))
    (row,) = rows(rendered(tmp_path / "r.csv", journal))
    (found,) = json.loads(rendered(tmp_path / "r.json", journal))["findings"]
    assert row["exif_make"] == cell
    assert row["exif_latitude"] == "-33.5", "numbers are untouched"
    assert found["facts"]["exif"]["make"] == text


def test_json_holds_the_run_the_counts_and_all_exif(tmp_path: Path) -> None:
    document = json.loads(rendered(tmp_path / "r.json", journal_of(SCORED, FAILED)))
    assert document["counts"] == {"enumerated": 2, "scored": 1, "failed": 1, "skipped": 0}
    assert document["run"] == {**RUN, "format": "1"}
    assert document["findings"][0]["facts"]["exif"]["tags"] == {"Image Make": "Acme"}
    assert document["findings"][0]["scores"][0]["logit"] == SCORE.logit
    assert document["findings"][1]["error"] == "OSError"


def test_jsonl_is_one_object_per_line(tmp_path: Path) -> None:
    lines = rendered(tmp_path / "r.jsonl", journal_of(SCORED, FAILED)).splitlines()
    assert [json.loads(line)["path"] for line in lines] == ["a.jpg", "b.jpg"]
    assert json.loads(lines[0])["run"]["decoder"] == "Pillow 13"


def test_a_report_that_fails_leaves_the_old_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out = tmp_path / "r.csv"
    out.write_text("the old report")

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OutputError, match=r"can't write .*No space left on device"):
        write([report(str(out))], journal_of(SCORED))
    assert out.read_text() == "the old report"
    assert list(tmp_path.iterdir()) == [out]


@pytest.mark.parametrize("name", ["report", "report.xlsx", "csv"])
def test_unknown_suffixes_are_usage_errors(name: str) -> None:
    with pytest.raises(UsageError, match="unknown kind of report"):
        report(name)


def test_places_that_cannot_be_written_are_found_before_the_scan(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="does not exist"), reserved([report(str(tmp_path / "none/r.csv"))]):
        pass
    (tmp_path / "folder.csv").mkdir()
    with pytest.raises(OutputError, match="is a folder"), reserved([report(str(tmp_path / "folder.csv"))]):
        pass


def test_reports_get_ordinary_permissions(tmp_path: Path) -> None:
    previous = os.umask(0o022)
    try:
        rendered(tmp_path / "r.csv", journal_of(SCORED))
    finally:
        os.umask(previous)
    assert (tmp_path / "r.csv").stat().st_mode & 0o777 == 0o644
