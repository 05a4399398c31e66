"""Reports: exact contents, safe to open, whole or not at all."""

from __future__ import annotations

import csv
import io
import json
import os
import re
import sys
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest
from sample_results import FACTS, FAILED, RUN, SCORE, SCORED, journal_of, rendered, rows, strict

from sidscan.errors import OutputError, UsageError
from sidscan.records import Exif, ModelRecord, SessionRecord
from sidscan.reports import output_for, reserve_all, write_all
from sidscan.reports.csv_escape import unescape_cell


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
        "inconclusive": "",
        "cautions": "",
        "threshold": "0.6",
        "p_value": "",
        "score_percentile": "61.5",
        "crop_min": "0.6",
        "crop_max": "0.8",
        "crop_std": "0.05",
        "highest_crop": "top left",
        "model_input": "",
        "model": "mini",
        "model_digest": "abc",
        "calibration": "",
        "views": "10",
        "share_scored": "0.5",
        "flags": "padded first_frame",
        "width": "300",
        "height": "200",
        "format": "JPEG",
        "jpeg_quality": "",
        "preview_width": "",
        "preview_height": "",
        "lossless": "",
        "perceptual_hash": "",
        "bytes": "10",
        "modified_at": "2026-01-01T00:00:00+00:00",
        "sha256": "f" * 64,
        "same_as": "",
        "copy_group": "",
        "copy_distance": "",
        "copy_transform": "",
        "copy_count": "",
        "copy_score_min": "",
        "copy_score_max": "",
        "mark": "",
        "mark_by": "",
        "mark_at": "",
        "note": "",
        "final_url": "",
        "redirects": "",
        "http_status": "",
        "fetched_at": "",
        "content_type": "",
        "last_modified": "",
        "saved_as": "",
        "provenance": "ai_edited",
        "provenance_strength": "plain",
        "provenance_by": "google-edited c2pa-missing",
        "provenance_says": "Google AI",
        "provenance_checked": "",
        "traces": "trailing_data",
        "iptc_byline": "Erika",
        "iptc_credit": "",
        "iptc_source": "",
        "iptc_caption": "'=a caption",
        "iptc_copyright": "",
        "exif_make": "Acme",
        "exif_model": "",
        "exif_lens": "",
        "exif_original_date": "",
        "exif_original_date_iso": "2026-01-01T00:00:00.25+01:00",
        "exif_gps_date_iso": "2026-01-01T00:00:00+00:00",
        "exif_software": "",
        "exif_latitude": "-33.5",
        "exif_longitude": "",
        "exif_orientation": "",
        "model_choice": "asked for",
        "model_provenance": "mini: bundled",
        "runtime": "pytorch 2",
        "device": "cpu",
        "precision": "fp32",
        "effort": "full",
        "sample": "",
        "decoder": "Pillow 13",
        "sidscan_version": "0.1.0",
        "scanned_at": "2026-01-01T00:00:00+00:00",
        "report_format": "2",
    }
    assert (failed["status"], failed["error_stage"], failed["error_class"]) == ("failed", "decode", "OSError")
    assert (failed["error_message"], failed["score"]) == ("truncated", "")
    assert (failed["model"], failed["model_digest"]) == ("mini", "abc"), "the model that gave no score"


def test_each_further_model_has_its_own_columns(tmp_path: Path) -> None:
    both = replace(SCORED, scores=(SCORE, replace(SCORE, model="other", score=0.1)))
    run = replace(RUN, models=(ModelRecord("mini", "abc"), ModelRecord("other", "def")))
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
def test_text_is_escaped_in_csv_and_unchanged_in_json(tmp_path: Path, text: str, cell: str) -> None:
    facts = replace(FACTS, exif=Exif(make=text, latitude=-33.5))
    journal = journal_of(replace(SCORED, facts=facts))
    (row,) = rows(rendered(tmp_path / "r.csv", journal))
    (result,) = json.loads(rendered(tmp_path / "r.json", journal))["findings"]
    assert row["exif_make"] == cell
    assert row["exif_latitude"] == "-33.5", "numbers are untouched"
    assert result["facts"]["exif"]["make"] == text


def test_json_contains_the_run_the_counts_and_all_exif(tmp_path: Path) -> None:
    document = json.loads(rendered(tmp_path / "r.json", journal_of(SCORED, FAILED)))
    assert document["counts"] == {"enumerated": 2, "scored": 1, "failed": 1, "skipped": 0}
    assert list(document) == ["format", "run", "counts", "findings"]
    assert document["format"] == 2
    assert document["run"] == {
        "sidscan_version": "0.1.0",
        "format": "2",
        "started": None,
        "models": [
            {
                "name": "mini",
                "digest": "abc",
                "threshold": None,
                "files": {},
                "provenance": {},
                "abstention": {},
                "cascade": None,
                "cautions": [],
                "view": "",
            }
        ],
        "model_choice": "asked for",
        "model_provenance": "mini: bundled",
        "runtime": "pytorch 2",
        "device": "cpu",
        "precision": "fp32",
        "precision_choice": "",
        "graph": "",
        "decoder": "Pillow 13",
        "crops": "ten",
        "effort": "full",
        "inputs": [],
        "lists": [],
        "calibrations": {},
        "reliability": {},
        "private": False,
        "sample": None,
        "listing_complete": True,
        "localizer": None,
        "finished": None,
        "sessions": [],
    }
    assert document["findings"][0]["facts"]["exif"]["tags"] == {"Image Make": "Acme"}
    assert document["findings"][0]["scores"][0]["logit"] == SCORE.logit
    assert document["findings"][1]["error"] == "OSError"


def test_jsonl_is_one_object_per_line(tmp_path: Path) -> None:
    lines = rendered(tmp_path / "r.jsonl", journal_of(SCORED, FAILED)).splitlines()
    assert [json.loads(line)["path"] for line in lines] == ["a.jpg", "b.jpg"]
    assert [next(iter(json.loads(line).items())) for line in lines] == [("format", 2)] * 2
    assert json.loads(lines[0])["run"]["decoder"] == "Pillow 13"


def test_a_report_that_fails_leaves_the_old_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out = tmp_path / "r.csv"
    out.write_text("the old report")

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OutputError, match=r"can't write .*No space left on device"):
        write_all([output_for(str(out))], journal_of(SCORED))
    assert out.read_text() == "the old report"
    assert list(tmp_path.iterdir()) == [out]


@pytest.mark.parametrize("name", ["report", "report.ods", "csv"])
def test_unknown_suffixes_are_usage_errors(name: str) -> None:
    with pytest.raises(UsageError, match="unknown kind of report"):
        output_for(name)


@pytest.mark.parametrize(
    ("name", "message"), [("none/r.csv", "does not exist"), ("folder.csv", "is a folder")]
)
def test_unwritable_files_are_refused_before_the_scan(tmp_path: Path, name: str, message: str) -> None:
    (tmp_path / "folder.csv").mkdir()
    with pytest.raises(OutputError, match=message), reserve_all([output_for(str(tmp_path / name))]):
        pass


def test_reports_get_ordinary_permissions(tmp_path: Path) -> None:
    previous = os.umask(0o022)
    try:
        rendered(tmp_path / "r.csv", journal_of(SCORED))
    finally:
        os.umask(previous)
    assert (tmp_path / "r.csv").stat().st_mode & 0o777 == 0o644


def nested(depth: int) -> list[object] | str:
    return [nested(depth - 1)] if depth else "end"


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        pytest.param("\x7f\x1b\u202e\u2028", "\x7f\x1b\u202e\u2028", id="text stays as it is"),
        pytest.param("caf\udce9 \ud800", "caf\\udce9 \\ud800", id="lone surrogates"),
        pytest.param(2**53 - 1, 2**53 - 1, id="largest integer"),
        pytest.param(2**64, "18446744073709551616", id="huge integer"),
        pytest.param(-(2**53), "-9007199254740992", id="huge negative integer"),
        pytest.param([1.5, True, None], [1.5, True, None], id="plain values"),
        pytest.param({"a\udce9": 1, "a\\udce9": 2}, {"a\\udce9": 1, "a\\udce9'": 2}, id="keys that collide"),
    ],
)
@pytest.mark.parametrize("suffix", ["json", "jsonl"])
def test_json_is_strict(tmp_path: Path, value: object, expected: object, suffix: str) -> None:
    facts = replace(FACTS, exif=Exif(tags={"tag": value}))
    text = rendered(tmp_path / f"r.{suffix}", journal_of(replace(SCORED, facts=facts)))
    assert text.isascii()
    assert "\x7f" not in text
    result = strict(text)["findings"][0] if suffix == "json" else strict(text)
    assert result["facts"]["exif"]["tags"]["tag"] == expected


def test_the_nesting_of_json_is_limited(tmp_path: Path) -> None:
    facts = replace(FACTS, exif=Exif(tags={"tag": nested(200)}))
    text = rendered(tmp_path / "r.json", journal_of(replace(SCORED, facts=facts)))
    value, depth = strict(text), 0
    value = value["findings"][0]["facts"]["exif"]["tags"]["tag"]
    while isinstance(value, list):
        value, depth = value[0], depth + 1
    assert depth < 32
    assert value.count("[") == 200 - depth, "everything else is kept as text"


def test_header_values_beyond_strict_json_become_text(tmp_path: Path) -> None:
    session = SessionRecord(limits={"rate": float("inf")})
    header = replace(RUN, inputs=("caf\udce9",), sessions=(session,))
    run = strict(rendered(tmp_path / "r.json", journal_of(run=header)))["run"]
    assert (run["inputs"], run["sessions"][0]["limits"]["rate"]) == (["caf\\udce9"], "inf")


def test_a_name_that_is_not_utf8_is_stated_exactly(tmp_path: Path) -> None:
    name = b"-caf\xe9\n.jpg"
    journal = journal_of(replace(SCORED, name=os.fsdecode(name)), replace(FAILED, name="plain.jpg"))
    first, second = strict(rendered(tmp_path / "r.json", journal))["findings"]
    assert bytes.fromhex(first["path_bytes"]) == name
    assert first["path"] == "-caf\\udce9\n.jpg"
    assert (second["path"], second["path_bytes"]) == ("plain.jpg", None)
    (row, _) = rows(rendered(tmp_path / "r.csv", journal))
    assert row["path"] == "'-caf\\udce9\\x0a.jpg"
    assert os.fsencode(unescape_cell(row["path"])) == name


def test_column_names_are_not_formulas(tmp_path: Path) -> None:
    name = "=cmd|' /C calc'!A0.safetensors"
    both = replace(SCORED, scores=(SCORE, replace(SCORE, model=name, score=0.1)))
    run = replace(RUN, models=(ModelRecord("mini", "abc"), ModelRecord(name, "def")))
    text = rendered(tmp_path / "r.csv", journal_of(both, run=run))
    header = next(csv.reader(io.StringIO(text, newline="")))
    assert f"'{name}.score" in header
    assert not any(cell.startswith("=") for cell in header)
    assert rows(text)[0][f"'{name}.model"] == f"'{name}"


def test_error_messages_are_not_formulas(tmp_path: Path) -> None:
    failed = replace(FAILED, message='=HYPERLINK("http://x")\n=2', error="@E")
    (row,) = rows(rendered(tmp_path / "r.csv", journal_of(failed)))
    assert row["error_message"] == '\'=HYPERLINK("http://x")\\x0a=2'
    assert row["error_class"] == "'@E"


@pytest.mark.parametrize("suffix", ["csv", "json", "jsonl"])
def test_a_report_on_a_terminal_does_not_move_the_cursor(
    monkeypatch: pytest.MonkeyPatch, suffix: str
) -> None:
    facts = replace(FACTS, exif=Exif(make="\x1b[2J\r\x7f\u202e"))
    reading_end, terminal = os.openpty()
    with os.fdopen(terminal, "w", encoding="utf-8", newline="") as screen:
        monkeypatch.setattr(sys, "stdout", screen)
        write_all([output_for("-", suffix)], journal_of(replace(SCORED, facts=facts)))
    parts = []
    with suppress(OSError):  # Linux raises OSError at the end; each read returns a line or two
        while part := os.read(reading_end, 1 << 16):
            parts.append(part)
    shown = b"".join(parts).decode()
    os.close(reading_end)
    assert re.fullmatch(r"([^\x00-\x1f\x7f-\x9f\u202e]*\r\n)+", shown), "the terminal itself adds CR"
    assert "\\x0d\r\n" not in shown
    assert "\\x1b[2J" in shown or "\\u001b[2J" in shown
