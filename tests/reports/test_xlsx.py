"""Excel workbooks: texts stay texts, numbers stay numbers, and too many rows are refused."""

from __future__ import annotations

import re
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest
from sample_images import folder
from sample_results import FACTS, FAILED, SCORED, journal_of, rendered, rows

from sidscan.errors import OutputError, UsageError
from sidscan.records import Exif
from sidscan.reports import output_for

pytest.importorskip("xlsxwriter")

Run = Callable[..., Any]
NAME = "{http://schemas.openxmlformats.org/spreadsheetml/2006/main}"


def sheet_of(path: Path) -> ET.Element:
    with zipfile.ZipFile(path) as archive:
        return ET.fromstring(archive.read("xl/worksheets/sheet1.xml"))


def cells(path: Path) -> list[dict[str, tuple[str, str]]]:
    """Every row of a workbook: type and text of its cells, by column."""
    table = [
        {
            re.sub("[0-9]", "", cell.attrib["r"]): (cell.get("t", "number"), "".join(cell.itertext()))
            for cell in row
        }
        for row in sheet_of(path).iter(f"{NAME}row")
    ]
    return [{table[0][column][1]: cell for column, cell in row.items()} for row in table]


def test_a_workbook_has_the_cells_of_the_csv_report(tmp_path: Path) -> None:
    facts = replace(FACTS, exif=Exif(make='=HYPERLINK("http://x")', software="x" * 45_000, latitude=-33.5))
    journal = journal_of(replace(SCORED, name="https://a/1.jpg", facts=facts), FAILED)
    rendered(tmp_path / "r.csv", journal)
    output_for(str(tmp_path / "r.xlsx")).write(journal)
    names, *table = cells(tmp_path / "r.xlsx")
    expected = rows((tmp_path / "r.csv").read_bytes().decode())
    assert list(names) == list(expected[0])
    texts = [{name: text for name, (_, text) in row.items()} for row in table]
    assert texts == [{name: cell for name, cell in row.items() if cell} for row in expected]
    first = table[0]
    assert first["path"] == ("inlineStr", "https://a/1.jpg")
    assert first["exif_make"] == ("inlineStr", '\'=HYPERLINK("http://x")')
    assert [first[name] for name in ("score", "width", "exif_latitude")] == [
        ("number", "0.7"),
        ("number", "300"),
        ("number", "-33.5"),
    ]
    assert not list(sheet_of(tmp_path / "r.xlsx").iter(f"{NAME}f")), "no formula"


def test_the_names_of_columns_stay_in_view_and_filter(tmp_path: Path) -> None:
    output_for(str(tmp_path / "r.xlsx")).write(journal_of(SCORED, FAILED))
    sheet = sheet_of(tmp_path / "r.xlsx")
    (pane,) = sheet.iter(f"{NAME}pane")
    (filtered,) = sheet.iter(f"{NAME}autoFilter")
    assert (pane.get("ySplit"), pane.get("state")) == ("1", "frozen")
    assert re.fullmatch(r"A1:[A-Z]+3", filtered.attrib["ref"])


def test_more_rows_than_a_sheet_holds_are_refused(tmp_path: Path) -> None:
    output = output_for(str(tmp_path / "r.xlsx"))
    output.check_size(1_048_575)
    with pytest.raises(
        OutputError, match=r"1,048,576 rows don't fit into .*r\.xlsx: a sheet of Excel has 1,048"
    ):
        output.check_size(1_048_576)


def test_without_the_library_its_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sidscan.reports.xlsx.find_spec", lambda name: None)
    with pytest.raises(UsageError, match=r"needs the extra xlsx\n`pip install 'sidscan\[xlsx\]'`"):
        output_for("r.xlsx")


def test_a_scan_writes_a_workbook_and_replaces_its_own(sidscan: Run, tmp_path: Path) -> None:
    images, out = folder(tmp_path / "images"), tmp_path / "r.xlsx"
    scan = ("scan", images, "--model", "mini", "--out", out, "--hash-file")
    assert [sidscan(*scan).code, sidscan(*scan).code] == [0, 0]
    assert len(cells(out)) == 4
    out.write_bytes(out.read_bytes() + b"changed")
    assert sidscan(*scan).code == 7
