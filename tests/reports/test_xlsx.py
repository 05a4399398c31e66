"""Excel workbooks: texts stay texts, numbers stay numbers, and too many rows are refused."""

from __future__ import annotations

import re
import struct
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest
from sample_images import encoded, folder, photo
from sample_results import FACTS, FAILED, SCORED, full_header, journal_of, rendered, rows

from sidscan.errors import OutputError, UsageError
from sidscan.isolation.thumbnails import jpeg_thumbnails
from sidscan.journal.thumbnails import Additions
from sidscan.records import Exif
from sidscan.reports import FormatOptions, output_for
from sidscan.reports.xlsx import excel_date, jpeg_size
from sidscan.review.conditions import parse_condition
from sidscan.review.selection import Choice, SelectedRecord

pytest.importorskip("xlsxwriter")

Run = Callable[..., Any]
NAME = "{http://schemas.openxmlformats.org/spreadsheetml/2006/main}"


DATES = ("modified_at", "fetched_at", "exif_original_date_iso", "exif_gps_date_iso", "scanned_at", "mark_at")


def sheet_of(path: Path, number: int = 1) -> ET.Element:
    return part_of(path, f"worksheets/sheet{number}.xml")


def part_of(path: Path, name: str) -> ET.Element:
    with zipfile.ZipFile(path) as archive:
        return ET.fromstring(archive.read(f"xl/{name}"))


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
    texts = [{name: text for name, (_, text) in row.items() if name not in DATES} for row in table]
    assert texts == [
        {name: cell for name, cell in row.items() if cell and name not in DATES} for row in expected
    ]
    first = table[0]
    assert first["path"] == ("inlineStr", "https://a/1.jpg")
    assert first["exif_make"] == ("inlineStr", '\'=HYPERLINK("http://x")')
    assert [first[name] for name in ("score", "width", "exif_latitude")] == [
        ("number", "0.7"),
        ("number", "300"),
        ("number", "-33.5"),
    ]
    assert not list(sheet_of(tmp_path / "r.xlsx").iter(f"{NAME}f")), "no formula"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("2026-01-02T03:04:05", ("2026-01-02 03:04:05", ""), id="without an offset"),
        pytest.param("2026-01-02T03:04:05+00:00", ("2026-01-02 03:04:05", " +00:00"), id="UTC"),
        pytest.param("2026-01-02T03:04:05-03:30", ("2026-01-02 03:04:05", " -03:30"), id="west"),
        pytest.param(
            "2026-01-02T03:04:05.25+01:00", ("2026-01-02 03:04:05.250000", " +01:00"), id="fraction"
        ),
        pytest.param("2026-01-02T03:04:05.123456789", ("2026-01-02 03:04:05.123456", ""), id="nanoseconds"),
        pytest.param("9999-12-31T23:59:59", ("9999-12-31 23:59:59", ""), id="the last"),
        pytest.param("1900-02-28T00:00:00", None, id="in the year that Excel has wrong"),
        pytest.param("1826-01-01T00:00:00", None, id="before there was Excel"),
        pytest.param("2026-02-30T00:00:00", None, id="no such day"),
        pytest.param("2026-01-02", None, id="no time"),
        pytest.param("=1+1", None, id="formula"),
        pytest.param("2026-01-02T03:04:05\n", None, id="line break"),
    ],
)
def test_dates(text: str, expected: tuple[str, str] | None) -> None:
    date = excel_date(text)
    if expected is None:
        assert date is None
        return
    assert date is not None
    fraction = ".000" if "." in text else ""
    offset = f'"{expected[1]}"' if expected[1] else ""
    assert (str(date[0]), date[1]) == (expected[0], f"yyyy-mm-dd hh:mm:ss{fraction}{offset}")


def test_dates_are_dates_and_show_their_offset(tmp_path: Path) -> None:
    odd = replace(FACTS, exif=replace(FACTS.exif, original_date_iso="1800-01-01T00:00:00"))
    journal = journal_of(SCORED, replace(SCORED, name="old.jpg", facts=odd))
    output_for(str(tmp_path / "r.xlsx")).write(journal)
    _, first, old = cells(tmp_path / "r.xlsx")
    assert first["modified_at"] == ("number", "46023")
    assert first["exif_original_date_iso"][0] == "number"
    assert float(first["exif_original_date_iso"][1]) == pytest.approx(46023 + 0.25 / 86400, abs=1e-9)
    assert old["exif_original_date_iso"] == ("inlineStr", "1800-01-01T00:00:00")
    formats = {
        each.attrib["formatCode"] for each in part_of(tmp_path / "r.xlsx", "styles.xml").iter(f"{NAME}numFmt")
    }
    assert formats == {'yyyy-mm-dd hh:mm:ss" +00:00"', 'yyyy-mm-dd hh:mm:ss.000" +01:00"'}


def facts_of(path: Path) -> dict[str, str]:
    """The sheet of facts about the run."""
    table = sheet_of(path, 2).iter(f"{NAME}row")
    return dict(["".join(cell.itertext()) for cell in row] for row in table)


def test_a_second_sheet_has_what_holds_for_all_rows(tmp_path: Path) -> None:
    header = replace(full_header(), inputs=("=1+1",))
    output_for(str(tmp_path / "r.xlsx")).write(journal_of(SCORED, FAILED, run=header))
    assert facts_of(tmp_path / "r.xlsx") == {
        "sample": "a sample of 500 of 102331 images, seed 0, by folder",
        "inputs": "2",
        "scored": "1",
        "failed": "1",
        "skipped": "0",
        "model": "mini, threshold 0.6, weights abc",
        "calibration": "mini: 100 images, false-positive rate 0.05",
        "how sure": "mini, in the test of its card: finds 55 of 100 synthetic images",
        "choice of models": "asked for",
        "source of weights": "mini: bundled",
        "scanned": "'=1+1",
        "runtime": "pytorch 2, cpu, fp32",
        "crops": "ten, effort full",
        "decoder": "Pillow 13",
        "sidscan version": "0.1.0",
        "session": "2026-01-01T00:00:00+00:00 to 2026-01-01T00:00:09+00:00, finished; sidscan scan .",
        "report format": "2",
    }


def test_a_workbook_says_what_it_shows(tmp_path: Path) -> None:
    record = SelectedRecord(journal_of(SCORED, FAILED), Choice(top=1))
    output_for(str(tmp_path / "r.xlsx"), options=FormatOptions(columns=("path", "camera"))).write(record)
    assert facts_of(tmp_path / "r.xlsx")["rows shown"] == "1 of 2 results: sorted by evidence; at most 1"
    names, *table = cells(tmp_path / "r.xlsx")
    assert list(names) == ["path", "camera"]
    assert table == [{"path": ("inlineStr", "a.jpg"), "camera": ("inlineStr", "Acme")}]


def test_the_names_of_columns_stay_in_view_and_filter(tmp_path: Path) -> None:
    output_for(str(tmp_path / "r.xlsx")).write(journal_of(SCORED, FAILED))
    sheet = sheet_of(tmp_path / "r.xlsx")
    (pane,) = sheet.iter(f"{NAME}pane")
    (filtered,) = sheet.iter(f"{NAME}autoFilter")
    assert (pane.get("ySplit"), pane.get("state")) == ("1", "frozen")
    assert re.fullmatch(r"A1:[A-Z]+3", filtered.attrib["ref"])


def test_a_workbook_without_rows(tmp_path: Path) -> None:
    output_for(str(tmp_path / "r.xlsx")).write(
        SelectedRecord(journal_of(SCORED), Choice((parse_condition("path=none"),)))
    )
    assert len(cells(tmp_path / "r.xlsx")) == 1


def test_more_rows_than_a_sheet_holds_are_refused(tmp_path: Path) -> None:
    output = output_for(str(tmp_path / "r.xlsx"))
    output.check_size(1_048_575)
    with pytest.raises(
        OutputError, match=r"1,048,576 rows don't fit into .*r\.xlsx: a sheet of Excel has 1,048"
    ):
        output.check_size(1_048_576)


def test_without_the_library_its_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sidscan.reports.xlsx.find_spec", lambda name: None)
    with pytest.raises(UsageError, match=r"needs the extra xlsx\n`pip install XlsxWriter`"):
        output_for("r.xlsx")


def test_a_scan_writes_a_workbook_and_replaces_its_own(sidscan: Run, tmp_path: Path) -> None:
    images, out = folder(tmp_path / "images"), tmp_path / "r.xlsx"
    scan = ("scan", images, "--model", "mini", "--out", out, "--hash-file")
    assert [sidscan(*scan).code, sidscan(*scan).code] == [0, 0]
    assert len(cells(out)) == 4
    out.write_bytes(out.read_bytes() + b"changed")
    assert sidscan(*scan).code == 7


DRAWING = "{http://schemas.openxmlformats.org/drawingml/2006/spreadsheetDrawing}"
HOSTILE = 'a"<&>\n\x00\x1b\u202e\udcff.jpg'


def thumbnails_of(path: Path) -> list[tuple[int, str]]:
    """Row and alternative text of each image of a workbook; every part of the workbook is whole."""
    with zipfile.ZipFile(path) as archive:
        assert archive.testzip() is None
        for name in archive.namelist():
            if name.endswith((".xml", ".rels")):
                ET.fromstring(archive.read(name))
        if "xl/drawings/drawing1.xml" not in archive.namelist():
            return []
    return [
        (int(row.text or ""), name.attrib["descr"])
        for anchor in part_of(path, "drawings/drawing1.xml").iter(f"{DRAWING}twoCellAnchor")
        for row, name in zip(
            anchor.iterfind(f"{DRAWING}from/{DRAWING}row"), anchor.iter(f"{DRAWING}cNvPr"), strict=True
        )
    ]


def heights_of(path: Path) -> list[str | None]:
    """Height of each row in points; None for the default."""
    return [row.get("ht") for row in sheet_of(path).iter(f"{NAME}row")]


def media_of(path: Path) -> list[bytes]:
    with zipfile.ZipFile(path) as archive:
        return [archive.read(name) for name in archive.namelist() if name.startswith("xl/media/")]


def test_thumbnails_stand_in_the_first_column(tmp_path: Path) -> None:
    hashes = {digit: 64 * digit for digit in "abc"}
    journal = journal_of(
        replace(SCORED, name=HOSTILE, facts=replace(FACTS, sha256=hashes["a"])),
        FAILED,
        replace(SCORED, name="same.jpg", facts=replace(FACTS, sha256=hashes["a"])),
        replace(SCORED, name="none.jpg", facts=replace(FACTS, sha256=hashes["b"])),
        replace(SCORED, name="damaged.jpg", facts=replace(FACTS, sha256=hashes["c"])),
    )
    journal.add(Additions({hashes["a"]: encoded(photo(160, 90), "WEBP"), hashes["c"]: b"RIFF"}))
    output = output_for(str(tmp_path / "r.xlsx"), options=FormatOptions(xlsx_thumbnails=jpeg_thumbnails))
    output.write(journal)
    escaped = r'a"<&>\x0a\x00\x1b\u202e\udcff.jpg'
    assert thumbnails_of(tmp_path / "r.xlsx") == [(1, escaped), (3, "same.jpg")]
    assert heights_of(tmp_path / "r.xlsx") == [None, "70.5", None, "70.5", None, None]  # 94 pixels
    (media,) = media_of(tmp_path / "r.xlsx")
    assert jpeg_size(media) == (160, 90)
    names, *table = cells(tmp_path / "r.xlsx")
    assert list(names)[:2] == ["thumbnail", "path"]
    assert [row["path"][1] for row in table][1:] == ["b.jpg", "same.jpg", "none.jpg", "damaged.jpg"]
    assert facts_of(tmp_path / "r.xlsx")["thumbnails"] == "of 2 of 4 images that were scored"
    lacks = f"images without a thumbnail in {tmp_path / 'r.xlsx'}: 1,"
    why = "of which the record has none (scan with --xlsx-thumbnails makes them; no image is scored again)"
    assert output.remarks() == (f"{lacks} {why}", f"{lacks} which could not be converted")


def forged(jpeg: bytes, height: int, width: int) -> bytes:
    """A JPEG whose frame states another size."""
    at = jpeg.index(b"\xff\xc0") + 5
    return jpeg[:at] + struct.pack(">HH", height, width) + jpeg[at + 4 :]


SMALL = encoded(photo(160, 90), "JPEG")
DENSE = b"\xff\xe0\x00\x10JFIF\x00\x01\x01\x01\x00\x01\x00\x01\x00\x00"
HIDDEN = b"\xff\xc1\x00\x10Adobe\x00\x00\x00\x00" + bytes(5)


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        pytest.param(SMALL, (160, 90), id="thumbnail"),
        pytest.param(encoded(photo(161, 90), "JPEG"), None, id="too wide"),
        pytest.param(forged(SMALL, 161, 90), None, id="states too much"),
        pytest.param(forged(SMALL, 0, 90), None, id="states none"),
        pytest.param(SMALL[:100], None, id="no scan"),
        pytest.param(SMALL[:20] + SMALL[SMALL.index(b"\xff\xc0") :][:19] + SMALL[20:], None, id="two frames"),
        pytest.param(encoded(photo(9, 9), "JPEG", dpi=(1, 1)), None, id="other density"),
        pytest.param(SMALL[:20] + DENSE + SMALL[20:], None, id="another density later"),
        pytest.param(SMALL[:20] + b"\xff" + SMALL[20:], None, id="fill byte"),
        pytest.param(SMALL[:20] + b"\xff\xe1\x00\x00" + SMALL[20:], None, id="length of nothing"),
        pytest.param(SMALL[:20] + HIDDEN + SMALL[20:], None, id="frame that looks like metadata"),
        pytest.param(encoded(photo(9, 9), "PNG"), None, id="PNG"),
        pytest.param(b"", None, id="nothing"),
    ],
)
def test_only_small_jpegs_are_let_in(data: bytes, expected: tuple[int, int] | None) -> None:
    assert jpeg_size(data) == expected


def test_thumbnails_have_a_limit_of_rows(tmp_path: Path) -> None:
    output = output_for(str(tmp_path / "r.xlsx"), options=FormatOptions(xlsx_thumbnails=jpeg_thumbnails))
    output.check_size(5_000)
    with pytest.raises(
        OutputError, match=r"5,001 rows with thumbnails don't fit into .*r\.xlsx: it takes 5,000"
    ):
        output.check_size(5_001)


def test_a_scan_makes_thumbnails_for_a_workbook_and_a_report_shows_them_again(
    sidscan: Run, tmp_path: Path
) -> None:
    images, out, again = folder(tmp_path / "images"), tmp_path / "r.xlsx", tmp_path / "again.xlsx"
    scan = ("scan", images, "--model", "mini", "--out", out)
    assert sidscan(*scan).code == 0
    assert thumbnails_of(out) == []
    assert "thumbnail" not in cells(out)[0]
    ended = sidscan("report", out, "--xlsx-thumbnails", "--out", again)
    assert ended.code == 0
    assert f"images without a thumbnail in {again}: 3, of which the record has none (scan with" in ended.err
    ended = sidscan(*scan, "--xlsx-thumbnails")
    assert "3 kept images without a thumbnail or crop: read again, not scored\n" in ended.err
    assert [name for _, name in thumbnails_of(out)] == [
        row["path"][1] for row in cells(out)[1:] if row["status"][1] == "scored"
    ]
    ended = sidscan("report", out, "--xlsx-thumbnails", "--overwrite", "--out", again)
    assert "without a thumbnail" not in ended.err
    assert media_of(again) == media_of(out)
    assert len(media_of(again)) == 3
