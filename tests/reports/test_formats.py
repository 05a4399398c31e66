"""The format number of reports: reports of sidscan 0.1.0 are read, reports of newer versions are refused."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import re
from collections.abc import Callable, Iterator
from contextlib import closing, nullcontext
from pathlib import Path
from typing import Any, TextIO

import pytest
from sample_results import FAILED, OLD_REPORTS, SCORED, journal_of, old_journal, rendered, rows

from sidscan.errors import OutputError, UsageError
from sidscan.journal import Journal
from sidscan.records import RunRecord
from sidscan.reports import REPORT_FORMATS, output_for, reserve_all
from sidscan.reports.base import REPORT_FORMAT_NUMBER, ReportFormat, report_format
from sidscan.reports.reader import ReportRow, checked_row, format_of
from sidscan.reports.sha256sums import sums_line, sums_path
from sidscan.verify import RowStatus, open_report

Run = Callable[..., Any]
FORMATS_OF_0_1_0 = ("csv", "json", "jsonl")  # a format that came later has no reports of format 1
OLD_NAMES = [
    "images/=1+1.jpg",
    "images/cut.jpg",
    "images/hills.jpg",
    "images/notes.jpg",
    "images/notes.txt",
    "images/thumbnail.jpg",
    "https://***@127.0.0.1:9/a.jpg",
]


@pytest.mark.parametrize("suffix", FORMATS_OF_0_1_0)
def test_reports_of_format_1_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, suffix: str) -> None:
    monkeypatch.chdir(tmp_path)
    Path("images").mkdir()
    Path("images/notes.jpg").write_bytes(b"not an image\n")
    Path("images/=1+1.jpg").write_bytes(b"changed")
    with open_report(OLD_REPORTS / f"0.1.0.{suffix}") as report:
        checked = list(report.check())
    assert (report.kind, report.rows) == (suffix, 7)
    assert [row.row.name for row in checked] == OLD_NAMES
    assert [row.status for row in checked] == [
        RowStatus.CHANGED,
        RowStatus.MISSING,
        RowStatus.MISSING,
        RowStatus.UNCHANGED,
        RowStatus.NOT_RECORDED,
        RowStatus.MISSING,
        RowStatus.URL,
    ]


@pytest.mark.parametrize("suffix", FORMATS_OF_0_1_0)
def test_reports_of_format_1_are_recognised(tmp_path: Path, suffix: str) -> None:
    out = tmp_path / f"r.{suffix}"
    out.write_bytes((OLD_REPORTS / f"0.1.0.{suffix}").read_bytes())
    with (
        pytest.raises(OutputError, match="belongs to another run"),
        reserve_all([output_for(str(out))]),
    ):
        pass


def with_columns_of_format_1(text: str) -> str:
    """A CSV report without the columns that came later; the others are in the order of format 1."""
    names = next(csv.reader((OLD_REPORTS / "0.1.0.csv").open(encoding="utf-8", newline="")))
    table, file = rows(text), io.StringIO(newline="")
    assert [name for name in table[0] if name in names] == names
    writer = csv.DictWriter(file, names, extrasaction="ignore", lineterminator="\r\n")
    writer.writeheader()
    writer.writerows(table)
    return file.getvalue()


@pytest.mark.parametrize("suffix", FORMATS_OF_0_1_0)
@pytest.mark.parametrize("change", ["", "edited"])
def test_a_record_of_0_1_0_has_no_hashes_so_the_hash_file_tells(
    tmp_path: Path, suffix: str, change: str
) -> None:
    out = tmp_path / f"r.{suffix}"
    out.write_bytes((OLD_REPORTS / f"0.1.0.{suffix}").read_bytes())
    with closing(Journal(old_journal(tmp_path / "r.journal"))) as journal:
        recorded = journal.output_digests
        with (
            pytest.raises(OutputError, match="has no hash in the record, which an earlier version"),
            reserve_all([output_for(str(out))], recorded),
        ):
            pass
        digest = hashlib.sha256(out.read_bytes() + change.encode()).hexdigest()
        sums_path(out).write_bytes(sums_line(out, digest))
        expected = pytest.raises(OutputError) if change else nullcontext()
        with expected, reserve_all([output_for(str(out))], recorded):
            pass


def to_format_1(text: str, suffix: str) -> str:
    """A current report without the changes of format 2, and without what was added to it since."""
    text = text.replace("UnsupportedImage", "UnsupportedPicture")
    if suffix == "csv":
        return with_columns_of_format_1(text)
    text = text.replace('"format": "2", "started"', '"format": "1", "started"')  # the record's
    text = text.replace(', "cascade": null', "").replace(', "effort": "full"', "")
    text = text.replace(', "unread_tags": 0', "").replace(', "options": null', "")
    for added in (
        "modified_at",
        "original_date_iso",
        "gps_date_iso",
        "preview_width",
        "preview_height",
        "highest_crop",
        "percentile",
        "share_scored",
        "lossless",
        "perceptual_hash",
        "provenance",
        "traces",
    ):
        text = text.replace(f', "{added}": null', "")
    text = (
        text.replace(', "crop_scores": []', "")
        .replace(', "model_input": ""', "")
        .replace(', "view": ""', "")
        .replace(', "reliability": {}', "")
        .replace(', "sample": null', "")
        .replace(', "listing_complete": true', "")
        .replace(', "localizer": null', "")
    )
    text = re.sub(r', "decoder": (?:null|"[^"]*"), "sidscan_version": (?:null|"0.1.0")(?=[,}])', "", text)
    text = text.replace(', "mark": null, "copies": null, "localization": null', "").replace(
        ', "cautions": []', ""
    )
    return text.replace('{"format": 2, ', "{")


@pytest.mark.parametrize("suffix", FORMATS_OF_0_1_0)
def test_format_2_adds_its_number_and_renames_one_error_class(tmp_path: Path, suffix: str) -> None:
    journal = Journal(old_journal(tmp_path / "0.1.0.journal"))
    text = rendered(tmp_path / f"r.{suffix}", journal)
    before = (OLD_REPORTS / f"0.1.0.{suffix}").read_bytes().decode()
    if suffix == "csv":  # each row names the decoder of its own format
        before = before.replace("Pillow 13.0.0 pillow-heif 1.8.1", "Pillow 13.0.0")
    assert to_format_1(text, suffix) == before
    assert (text.count("UnsupportedImage"), text.count("UnsupportedPicture")) == (2, 0)


def with_number(suffix: str, number: int | str) -> Callable[[str], str]:
    if suffix == "csv":
        return lambda text: re.sub(",2\r\n$", f",{number}\r\n", text)
    return lambda text: text.replace('{"format": 2,', f'{{"format": {number},')


@pytest.mark.parametrize("suffix", FORMATS_OF_0_1_0)
def test_a_report_of_a_newer_sidscan_is_refused_but_not_as_damaged(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"r.{suffix}"
    text = rendered(path, journal_of(SCORED, FAILED))
    path.write_bytes(with_number(suffix, 3)(text).encode())
    assert format_of(path.read_bytes()) == suffix, "it may be replaced like any report of sidscan"
    with pytest.raises(UsageError) as error, open_report(path):
        pass
    assert str(error.value).splitlines() == [
        f"{path} was written by a newer sidscan: its format number is 3, this version reads up to 2",
        "Install the current sidscan: `pip install --upgrade sidscan`.",
    ]


@pytest.mark.parametrize(
    ("suffix", "number", "message"),
    [
        pytest.param("csv", "", "is damaged behind row 1: it is not as sidscan writes it", id="csv, empty"),
        pytest.param("csv", "two", "is damaged behind row 1: it is not as", id="csv, text"),
        pytest.param("csv", "0", "row 1: its format number is not a positive integer", id="csv, zero"),
        pytest.param("json", '"2"', "is not a report of sidscan", id="json, text"),
        pytest.param("json", "0", "is not a report of sidscan", id="json, zero"),
        pytest.param("jsonl", "2.5", "is not a report of sidscan", id="jsonl, fraction"),
        pytest.param("jsonl", "null", "is not a report of sidscan", id="jsonl, null"),
    ],
)
def test_an_invalid_format_number_is_damage(tmp_path: Path, suffix: str, number: str, message: str) -> None:
    path = tmp_path / f"r.{suffix}"
    text = rendered(path, journal_of(SCORED, FAILED))
    path.write_bytes(with_number(suffix, number)(text).encode())
    with pytest.raises(UsageError, match=re.escape(message)), open_report(path):
        pass


def test_lines_of_both_formats_may_share_a_file(tmp_path: Path) -> None:
    path = tmp_path / "r.jsonl"
    text = rendered(path, journal_of(SCORED))
    path.write_bytes((OLD_REPORTS / "0.1.0.jsonl").read_bytes() + text.encode())
    with open_report(path) as report:
        assert report.rows == 8


def test_every_row_states_the_format_number(tmp_path: Path) -> None:
    journal = journal_of(SCORED, FAILED)
    csv_rows = rows(rendered(tmp_path / "r.csv", journal))
    lines = rendered(tmp_path / "r.jsonl", journal).splitlines()
    assert [row["report_format"] for row in csv_rows] == [str(REPORT_FORMAT_NUMBER)] * 2
    assert [json.loads(line)["format"] for line in lines] == [REPORT_FORMAT_NUMBER] * 2


def test_a_run_of_sidscan_0_1_0_continues(
    sidscan: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    old_journal(Path("r.csv.journal"))
    Path("images").mkdir()
    Path("images/notes.jpg").write_bytes(b"not an image\n")
    ended = sidscan("scan", "images/notes.jpg", "--model", "mini", "--out", "r.csv", "--out", "r.json")
    assert (ended.code, ended.err.count("Traceback")) == (3, 0), ended.err
    (row,) = rows(Path("r.csv").read_text())
    assert (row["path"], row["error_class"], row["report_format"]) == (
        "images/notes.jpg",
        "UnsupportedImage",
        "2",
    )
    run = json.loads(Path("r.json").read_text())["run"]
    assert run["private"] is True, "a private report stays private"
    assert [session["findings"] for session in run["sessions"]] == [7, 1]


def test_a_format_is_one_class_that_a_decorator_registers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(REPORT_FORMATS, "txt", REPORT_FORMATS["csv"])  # monkeypatch undoes the registration

    @report_format("txt")
    class TextReport(ReportFormat):
        def render(self, record: RunRecord, file: TextIO) -> None:
            file.write("sidscan\n")
            for result in record.results():
                file.write(f"{result.name}\t{result.facts.sha256 or ''}\n")

        def recognises(self, head: bytes) -> bool:
            return head.startswith(b"sidscan\n")

        def rows(self, lines: Iterator[str]) -> Iterator[ReportRow]:
            next(lines)
            for line in lines:
                name, sha256 = line.removesuffix("\n").split("\t")
                yield checked_row(name, sha256 or None, None)

    path = tmp_path / "r.txt"
    assert rendered(path, journal_of(SCORED, FAILED)) == f"sidscan\na.jpg\t{'f' * 64}\nb.jpg\t\n"
    with open_report(path) as report, reserve_all([output_for(str(path), overwrite=True)]):
        assert (report.kind, report.rows) == ("txt", 2)
        assert [row.row for row in report.check()] == [ReportRow("a.jpg", "f" * 64), ReportRow("b.jpg", None)]
