"""Every format holds the same: all columns of a record with every kind of value."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from reports.test_typed_formats import TWO_MODELS, check_same_rows
from reports.test_xlsx import DATES, cells
from sample_results import FACTS, SCORE, SCORED, journal_of, results_of_every_status, rows

from sidscan.archives import zstandard
from sidscan.records import Copies, JsonObject, Mark, Response, RunHeader, SampleRecord, ScanResult
from sidscan.records.localization import Localization, LocalizerRecord
from sidscan.reports import output_for, write_all
from sidscan.reports.columns import ReportColumn, RowReader, Value, report_columns
from sidscan.reports.json import exact_name
from sidscan.reports.private import private_header, private_result
from sidscan.reports.typed_rows import plain
from sidscan.review.wrapped import WrappedRecord

CREDITS = ("byline", "credit", "source", "caption", "copyright")
SUFFIXES = ("csv", "json", "jsonl", "jsonl.zst", "parquet", "db", "xlsx")
HEADER = replace(TWO_MODELS, localizer=LocalizerRecord("l"), sample=SampleRecord(5, 0, 9, 2))


class Joined(WrappedRecord):
    """A record with marks, copies and maps, which a journal alone does not hold."""

    def __init__(self, found: Sequence[ScanResult], header: RunHeader) -> None:
        super().__init__(journal_of(*found, run=header))
        self._found = found

    def results(self) -> Iterator[ScanResult]:
        return iter(self._found)


def every_kind_of_value() -> list[ScanResult]:
    other = replace(
        SCORE, model=HEADER.models[1].name, score=0.2, inconclusive=("small", "flat"), p_value=0.1
    )
    exif = replace(
        FACTS.exif,
        model="M",
        lens="L",
        original_date="2026:01:01",
        software="S",
        longitude=-2.5,
        orientation=6,
    )
    assert FACTS.provenance is not None
    stated: dict[str, Any] = dict.fromkeys(CREDITS, "=it")
    facts = replace(
        FACTS,
        exif=exif,
        provenance=replace(FACTS.provenance, checked="c2patool", **stated),
        response=Response("https://h/", ("https://g/",), 200, headers={"last-modified": "then"}),
        perceptual_hash="0f" * 32,
        lossless=False,
        jpeg_quality=90,
        preview_width=10,
        preview_height=5,
    )
    score = replace(SCORE, cautions=("screenshot",), p_value=0.25, percentile=99.5, model_input="whole image")
    full = replace(SCORED, name="full.jpg", facts=facts, scores=(score,), share_scored=0.5)
    region = Localization(
        *("l", "d", "tiles"),
        region=(1, 2, 30, 40),
        area=0.5,
        maximum=0.9,
        tiles=4,
        flags=("f",),
        p99=0.8,
        agreement=0.5,
        region_area=0.1,
        scale=2,
        contrast=0.5,
        alarm_contrast=0.4,
        alarm_area=0.2,
        threshold=0.5,
    )
    missing = Localization("l", "d", "tiles", message="too large")
    return [
        *results_of_every_status(),
        full,
        replace(SCORED, name=os.fsdecode(b"caf\xe9/\xff.jpg"), scores=(SCORE, other)),
        replace(SCORED, name="map.jpg", localization=region),
        replace(SCORED, name="map_missing.jpg", localization=missing),
        replace(SCORED, name="mark.jpg", mark=Mark("later", "ada", "2026-01-01T00:00:00+00:00", "=n\n\0")),
        replace(SCORED, name="copy.jpg", copies=Copies("a.jpg", "a.jpg", 3, "mirrored", 2, 0.1, 0.7)),
        replace(
            SCORED, name='=1+1,"\n\u202e.jpg', facts=replace(FACTS, bytes=2**53 - 1, modified_at="long ago")
        ),
    ]


WITHHELD = {
    *("exif_gps_date_iso", "exif_latitude", "exif_longitude", "mark_by", "note", "provenance_says"),
    *(f"iptc_{name}" for name in CREDITS),
}


def bare(name: str) -> str:
    return name.rpartition(".")[2]


def result_of(raw: JsonObject) -> ScanResult:
    return ScanResult.from_dict({**raw, "name": exact_name(raw["path"], raw["path_bytes"])})


def values(column: ReportColumn, found: Sequence[ScanResult]) -> list[Value]:
    return [plain(column.value(result)) for result in found]


@pytest.mark.parametrize("private", [False, True])
def test_every_format_holds_every_column(tmp_path: Path, private: bool) -> None:
    found, header = every_kind_of_value(), HEADER
    if private:
        found, header = list(map(private_result, found)), private_header(header)
    write_all([output_for(str(tmp_path / f"r.{suffix}")) for suffix in SUFFIXES], Joined(found, header))
    check_same_rows(tmp_path, header)

    document = json.loads((tmp_path / "r.json").read_text())
    read = [result_of(raw) for raw in document["findings"]]
    stated = report_columns(RunHeader.from_dict(document["run"]))
    columns = report_columns(header)
    assert [column.name for column in stated] == [column.name for column in columns]
    of_values = {column.name: values(column, found) for column in columns}
    for column in stated:
        assert values(column, read) == of_values[column.name], column.name
    filled = {
        bare(name) for name, cells in of_values.items() if any(cell not in (None, ()) for cell in cells)
    }
    assert {bare(column.name) for column in columns} - filled == (WITHHELD if private else set())

    lines = (tmp_path / "r.jsonl").read_bytes()
    by_line = [result_of(raw) for raw in map(json.loads, lines.splitlines())]
    for column in columns:
        if column.of in ("image", "score"):
            assert values(column, by_line) == of_values[column.name], column.name
    with (tmp_path / "r.jsonl.zst").open("rb") as file, zstandard.unpacked(file) as stream:
        assert stream.read() == lines

    _, *sheet = cells(tmp_path / "r.xlsx")
    for row, other in zip(sheet, rows((tmp_path / "r.csv").read_bytes().decode()), strict=True):
        for name, cell in other.items():
            if cell and name not in DATES and name.isascii() and "\0" not in cell and "\u202e" not in cell:
                assert row[name][1].replace("\r", "") == cell.replace("\r", "") or "_x00" in row[name][1]


def test_rows_are_read_as_single_cells_are_whatever_the_row_before_holds() -> None:
    columns = report_columns(HEADER)
    reader = RowReader(columns, str)
    found = [*every_kind_of_value(), *results_of_every_status()]
    for before in found:
        for result in (before, SCORED, before):
            assert reader.cells(result) == [column.cell(result) for column in columns]
