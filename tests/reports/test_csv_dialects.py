"""CSV for spreadsheets: byte order mark, semicolons, decimal commas; all dialects are read back."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from sample_images import folder
from sample_results import FACTS, FAILED, SCORED, journal_of, rendered, rows

from sidscan.records import Exif
from sidscan.reports import CSV_DIALECTS, FormatOptions, output_for, write_all
from sidscan.reports.reader import format_of
from sidscan.verify import open_report

Run = Callable[..., Any]


def written(out: Path, dialect: str, *results: Any) -> bytes:
    write_all([output_for(str(out), options=FormatOptions(csv_dialect=dialect))], journal_of(*results))
    return out.read_bytes()


def test_the_standard_is_the_default(tmp_path: Path) -> None:
    text = rendered(tmp_path / "r.csv", journal_of(SCORED, FAILED))
    assert written(tmp_path / "s.csv", "standard", SCORED, FAILED).decode() == text
    assert written(tmp_path / "e.csv", "excel", SCORED, FAILED).decode() == "\ufeff" + text


def test_german_spreadsheets_get_semicolons_and_decimal_commas(tmp_path: Path) -> None:
    name = "Bilder/=1;2,5.jpg"
    facts = replace(FACTS, exif=Exif(make="1.5", latitude=-33.5))
    result = replace(SCORED, name=name, facts=facts)
    data = written(tmp_path / "r.csv", "excel-de", result)
    assert data.startswith(b"\xef\xbb\xbfpath;status;error_stage;")
    table = list(csv.reader(io.StringIO(data.decode("utf-8-sig"), newline=""), delimiter=";"))
    row = dict(zip(*table, strict=True))
    (standard,) = rows(rendered(tmp_path / "s.csv", journal_of(result)))
    assert row["path"] == name
    assert (row["score"], row["crop_std"], row["exif_latitude"]) == ("0,7", "0,05", "-33,5")
    assert (row["width"], row["exif_make"]) == ("300", "1.5"), "whole numbers and texts stay as they are"
    numbers = {name for name, cell in row.items() if cell != standard[name]}
    scores = {"score", "logit", "threshold", "score_percentile", "crop_min", "crop_max", "crop_std"}
    assert numbers == scores | {"share_scored", "exif_latitude"}


@pytest.mark.parametrize("dialect", CSV_DIALECTS)
def test_reports_of_all_dialects_are_read_back(tmp_path: Path, dialect: str) -> None:
    path = tmp_path / "r.csv"
    long = replace(FACTS, exif=Exif(software="x" * 45_000))
    data = written(path, dialect, replace(SCORED, name="a; b,c.jpg", facts=long), FAILED)
    assert format_of(data) == "csv"
    with open_report(path) as report:
        assert [checked.row.name for checked in report.check()] == ["a; b,c.jpg", "b.jpg"]


def test_a_scan_in_a_dialect_is_replaced_and_verified(
    sidscan: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    folder(Path("images"))
    scan = ("scan", "images", "--model", "mini", "--out", "r.csv", "--csv-dialect", "excel-de")
    assert [sidscan(*scan).code, sidscan(*scan).code, sidscan("verify", "r.csv").code] == [0, 0, 0]
    piped = sidscan(*scan[:4], "--csv-dialect", "excel-de")
    assert piped.out.startswith("\ufeffpath;")
