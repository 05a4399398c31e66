"""Exported marks, as they are and as spreadsheets save them again: read right, or refused."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from sidscan.errors import UsageError
from sidscan.review.marks_csv import ImportedMarks, read_marks_csv
from sidscan.review.marks_file import EntryKind, MarkEntry

NOW = "2026-03-01T12:00:00+00:00"
A, B = 64 * "a", 64 * "b"
HEAD = "sha256,path,mark,note,mark_by,mark_at,report_id"
ID = "0123456789abcdef"
TIME = "2026-02-01T08:00:00Z"
ROW = f"{A},in/a.jpg,suspicious,,Anna,2026-02-01T08:00:00Z,{ID}"
ENTRY = MarkEntry(
    *(EntryKind.DECISION, A, "in/a.jpg", "suspicious", "", "Anna", "2026-02-01T08:00:00+00:00"),
    imported_from="marks.csv",
)


def read(tmp_path: Path, text: str | bytes, by: str = "", settle: bool = False) -> ImportedMarks:
    path = tmp_path / "marks.csv"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return read_marks_csv(path, by, NOW, settle)


READ_RIGHT: dict[str, tuple[str, MarkEntry]] = {
    "as exported": (f"\ufeff{HEAD}\r\n{ROW}\r\n", ENTRY),
    "LibreOffice: LF, no mark of order": (f"{HEAD}\n{ROW}\n", ENTRY),
    "Excel in Germany: semicolons": (f"\ufeff{HEAD}\r\n{ROW}\r\n".replace(",", ";"), ENTRY),
    "tabs": (f"{HEAD}\r\n{ROW}\r\n".replace(",", "\t"), ENTRY),
    "all cells quoted": (
        f"{HEAD}\n{ROW}\n".replace(",", '","').replace("\n", '"\n"')[:-1].join(['"', ""]),
        ENTRY,
    ),
    "no last line break": (f"{HEAD}\n{ROW}", ENTRY),
    "empty rows": (f"{HEAD}\n,,,,,,\n{ROW}\n\n,,,,,,\n", ENTRY),
    "time without T and Z": (f"{HEAD}\n{ROW}\n".replace("T08:00:00Z", " 08:00"), ENTRY),
    "another offset": (f"{HEAD}\n{ROW}\n".replace("08:00:00Z", "10:00:00+02:00"), ENTRY),
    "fractions": (f"{HEAD}\n{ROW}\n".replace("00Z", "00.123Z"), ENTRY),
    "capitals": (f"{HEAD}\n{ROW}\n".replace("suspicious", "Suspicious").replace(A, A.upper()), ENTRY),
    "report id as a number": (f"{HEAD}\n{ROW}\n".replace(ID, '"1,23457E+15"'), ENTRY),
    "columns of sidscan 0.3": (f"{HEAD}\n{ROW}\n".replace("mark_at", "marked_at"), ENTRY),
    "other columns too": (f"{HEAD},mine\n{ROW},x\n", ENTRY),
    "no time": (f"{HEAD}\n{ROW}\n".replace("2026-02-01T08:00:00Z", ""), replace(ENTRY, at=NOW)),
    "taken back": (f"{HEAD}\n{ROW}\n".replace("suspicious", "none"), replace(ENTRY, mark="")),
    "formula": (f"{HEAD}\n{ROW}\n".replace("suspicious,", "suspicious,'=1+1"), replace(ENTRY, note="=1+1")),
    "bidi": (
        f"{HEAD}\n{ROW}\n".replace("suspicious,", "suspicious,\\u202ex"),
        replace(ENTRY, note="\u202ex"),
    ),
    "undecodable path": (f"{HEAD}\n{ROW}\n".replace("in/a", "\\udcff"), replace(ENTRY, path="\udcff.jpg")),
    "long note": (
        f"{HEAD}\n{ROW}\n".replace("suspicious,", "suspicious," + 10**6 * "x"),
        replace(ENTRY, note=10**6 * "x"),
    ),
    "an image without bytes": (f"{HEAD}\n{ROW}\n".replace(A, ""), replace(ENTRY, sha256="")),
}


@pytest.mark.parametrize("name", READ_RIGHT)
def test_read_right(tmp_path: Path, name: str) -> None:
    text, entry = READ_RIGHT[name]
    assert read(tmp_path, text) == ImportedMarks((entry,), blank=0)


def with_row(before: str, after: str) -> str:
    assert before in ROW
    return f"{HEAD}\n{ROW.replace(before, after)}\n"


REFUSED: dict[str, tuple[str | bytes, str]] = {
    "empty": ("", "holds no marks: its first line names no columns sha256 and mark"),
    "a picture": (b"\x89PNG\r\n\x1a\n\xff\xd8", "are not UTF-8 text"),
    "Excel's CSV, Latin 1": (with_row("in/a", "in/\u00e4").encode("latin-1"), "are not UTF-8 text"),
    "Unicode text": (f"{HEAD}\n{ROW}\n".encode("utf-16"), "are not UTF-8 text"),
    "another table": ("path,score\na,1\n", "holds no marks"),
    "a column twice": (f"{HEAD},mark\n{ROW},x\n", "has two columns mark"),
    "dates as Germans write them": (with_row(TIME, "01.02.2026 08:00"), "its time '01.02.2026 08:00'"),
    "dates as Americans write them": (with_row(TIME, "2/1/26 8:00"), "its time '2/1/26 8:00'"),
    "no such time": (with_row("08:00:00Z", "25:00:00Z"), "is no time"),
    "a date alone": (with_row("T08:00:00Z", ""), "its time '2026-02-01' is not as"),
    "a sha256 as a number": (with_row(A, "1.2E+63"), "row 2 of .*its sha256 '1.2e\\+63' is not 64"),
    "another word": (with_row("suspicious", "fishy"), "its mark 'fishy' is none of suspicious, cl"),
    "cut in a cell": (f"{HEAD}\n{ROW[:-3]}", "report_id '0123456789abc' is not 16 .* was the file cut"),
    "cut between cells": (f"{HEAD}\n{ROW[:80]}", "row 2 .* has 3 cells, and the first row names 7 columns"),
    "cut in quotes": (f'{HEAD}\n{A},"in/a', "row .* can't be read"),
    "a note that spilled over": (f"{HEAD}\n{ROW}\nrest of it\n", "row 3 .* has 1 cells"),
    "no image": (with_row(f"{A},in/a.jpg", ","), "names no image"),
    "nobody": (with_row("Anna", ""), "row 2 of .* does not say who decided\nName the person with --by NAME."),
    "equal bytes, other words": (
        f"{HEAD}\n{ROW}\n{ROW.replace('suspicious', 'cleared').replace('in/a', 'in/b')}\n",
        "row 3 of .*: row 2 is of the same image, person and time, and says something else",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refused(tmp_path: Path, name: str) -> None:
    text, message = REFUSED[name]
    with pytest.raises(UsageError, match=message):
        read(tmp_path, text)


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"can't read the marks in .*none.csv: No such file"):
        read_marks_csv(tmp_path / "none.csv", "", NOW)


def test_by_names_whoever_a_row_does_not_name(tmp_path: Path) -> None:
    other = ROW.replace("Anna", "").replace(A, B)
    found = read(tmp_path, f"{HEAD}\n{ROW}\n{other}\n", by="Ben")
    assert [entry.by for entry in found.entries] == ["Anna", "Ben"]


def test_rows_without_a_decision_are_counted(tmp_path: Path) -> None:
    found = read(tmp_path, f"{HEAD}\n{ROW}\n{B},in/b.jpg,,,,,\n")
    assert (len(found.entries), found.blank) == (1, 1)


def test_equal_bytes_are_one_decision(tmp_path: Path) -> None:
    assert read(tmp_path, f"{HEAD}\n{ROW}\n{ROW.replace('in/a', 'in/b')}\n").entries == (ENTRY,)


def test_a_settlement_is_one(tmp_path: Path) -> None:
    found = read(tmp_path, f"{HEAD}\n{ROW}\n", settle=True)
    assert found.entries == (replace(ENTRY, kind=EntryKind.SETTLEMENT),)
