"""Cells of a CSV report: never a formula in any spreadsheet, no control characters, exactly reversible."""

from __future__ import annotations

import csv
import io
import os
import random
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sample_results import is_formula

from sidscan.reports.csv_escape import escape_cell, unescape_cell


@pytest.mark.parametrize(
    ("text", "cell"),
    [
        pytest.param("images/a.jpg", "images/a.jpg", id="ordinary"),
        pytest.param("", "", id="empty"),
        pytest.param("写真 50% (1) #2 & 'b'.jpg", "写真 50% (1) #2 & 'b'.jpg", id="ordinary, any script"),
        pytest.param("24-70mm f/2.8", "24-70mm f/2.8", id="minus inside"),
        pytest.param("a, b; c", "a, b; c", id="separators before letters"),
        pytest.param("=1+1", "'=1+1", id="equals"),
        pytest.param("+1", "'+1", id="plus"),
        pytest.param("-rf.jpg", "'-rf.jpg", id="a path that begins with minus"),
        pytest.param("@SUM(1)", "'@SUM(1)", id="at"),
        pytest.param("=cmd|' /C calc'!A0", "'=cmd|' /C calc'!A0", id="dde"),
        pytest.param("  =1", "'  =1", id="space"),
        pytest.param("\u00a0=1", "'\u00a0=1", id="no-break space"),
        pytest.param("\u3000\u2003=1", "'\u3000\u2003=1", id="wide spaces"),
        pytest.param('"=1"', '\'"=1"', id="quote"),
        pytest.param("\uff1d1", "'\uff1d1", id="full-width equals"),
        pytest.param("\uff0b1", "'\uff0b1", id="full-width plus"),
        pytest.param("\uff0d1", "'\uff0d1", id="full-width minus"),
        pytest.param("\uff20SUM(1)", "'\uff20SUM(1)", id="full-width at"),
        pytest.param("\u22121", "'\u22121", id="minus sign"),
        pytest.param("'=1", "''=1", id="leading apostrophe"),
        pytest.param("'tis.jpg", "''tis.jpg", id="leading apostrophe, not a formula"),
        pytest.param("\t=1", "\\x09=1", id="tab"),
        pytest.param("\r=1", "\\x0d=1", id="carriage return"),
        pytest.param("\x00=1", "\\x00=1", id="nul"),
        pytest.param("\u200b=1", "\\u200b=1", id="zero width"),
        pytest.param("\ufeff=1", "\\ufeff=1", id="byte order mark"),
        pytest.param("a\n=1", "a\\x0a=1", id="line break"),
        pytest.param("a;=1", "a;\\x3d1", id="semicolon"),
        pytest.param('a";"=1', 'a";"\\x3d1', id="semicolon and quotes"),
        pytest.param("a, \uff0d1", "a, \\uff0d1", id="comma, space, full-width"),
        pytest.param("a|@x;=y", "a|\\x40x;\\x3dy", id="two of them"),
        pytest.param("\x1b]0;x\x07\x9b2J", "\\x1b]0;x\\x07\\x9b2J", id="terminal"),
        pytest.param("a\u202egpj.exe", "a\\u202egpj.exe", id="right-to-left override"),
        pytest.param("a\U000e0041\U000e007f", "a\\U000e0041\\U000e007f", id="tags"),
        pytest.param("C:\\reports\\xmas\\u2.jpg", "C:\\reports\\xmas\\u2.jpg", id="ordinary backslashes"),
        pytest.param("C:\\x1b.jpg", "C:\\x5cx1b.jpg", id="backslash that reads as an escape"),
        pytest.param("caf\udce9.jpg", "caf\\udce9.jpg", id="not utf-8"),
    ],
)
def test_a_cell_is_safe_and_reversible(text: str, cell: str) -> None:
    assert escape_cell(text) == cell
    assert unescape_cell(cell) == text


def test_a_path_that_is_not_utf8_is_reversible() -> None:
    name = b"=\\udce9;=\xe9\xff\x1b\n'.jpg"
    assert os.fsencode(unescape_cell(escape_cell(os.fsdecode(name)))) == name


def test_no_text_breaks_out_of_its_cell_under_any_separator() -> None:
    alphabet = (
        " =+-@\"',;|\\x3du00eU0016\t\r\n\x00\x1b\x7f\x85\xa0\u200b\u2028\u202e\ufeff\uff1d\uff0b\uff20\udce9"
    )
    chance = random.Random(1)
    for _ in range(20_000):
        text = "".join(chance.choices(alphabet, k=chance.randint(0, 12)))
        cell = escape_cell(text)
        assert unescape_cell(cell) == text
        assert not re.search(r"[\x00-\x1f\x7f-\x9f\u200b\u2028\u202e\ufeff\ud800-\udfff]", cell), text
        assert cell.startswith("'") or not is_formula(cell), text
        assert not any(is_formula(part) for part in re.split(r"[,;|]", cell)[1:]), text


def test_the_documented_way_to_unescape_works() -> None:
    lines = (
        (Path(__file__).parents[2] / "docs" / "reference" / "report-text.md")
        .read_text(encoding="utf-8")
        .splitlines()
    )
    start = lines.index("    def original(cell):")
    namespace: dict[str, Any] = {"re": re}
    exec("\n".join(line[4:] for line in lines[start : start + 4]), namespace)
    chance = random.Random(2)
    for _ in range(2000):
        text = "".join(chance.choices("\\xu0U1b=;'\x1b\udce9\U000e0041 \n", k=8))
        assert namespace["original"](escape_cell(text)) == text


def test_escaped_texts_stay_distinct() -> None:
    texts = ["=1", "'=1", "''=1", "\\x3d1", "\x1b", "\\x1b", "\\x5cx1b", ";=", ";\\x3d", "\udce9", "\\udce9"]
    assert len({escape_cell(text) for text in texts}) == len(texts)


def test_a_csv_of_cells_is_one_line_per_row() -> None:
    out = io.StringIO(newline="")
    csv.writer(out).writerow([escape_cell('a\r\n"=b",c'), escape_cell("\u2028d")])
    assert out.getvalue().splitlines() == ['"a\\x0d\\x0a""=b"",c",\\u2028d']


def units(cell: str) -> int:
    """The length of a cell as Excel counts it."""
    return len(cell.encode("utf-16-le")) // 2


MARK = "...[cut: 45000 characters, all in JSON]"


@pytest.mark.parametrize(
    ("text", "cell"),
    [
        pytest.param("a" * 32_767, "a" * 32_767, id="as long as a cell"),
        pytest.param("a" * 45_000, "a" * (32_767 - len(MARK)) + MARK, id="longer"),
        pytest.param("=" + "a" * 44_999, "'=" + "a" * (32_765 - len(MARK)) + MARK, id="formula"),
        pytest.param("\U0001f600" * 16_383, "\U0001f600" * 16_383, id="two units each"),
        pytest.param("\U0001f600" * 45_000, "\U0001f600" * ((32_767 - len(MARK)) // 2) + MARK, id="emoji"),
        pytest.param("\x1b" * 45_000, "\\x1b" * ((32_767 - len(MARK)) // 4) + MARK, id="escapes"),
    ],
)
def test_a_cell_holds_no_more_than_excel_takes(text: str, cell: str) -> None:
    assert escape_cell(text) == cell
    assert units(cell) <= 32_767


@given(st.text(min_size=1), st.integers(0, 40_000))
def test_a_cut_cell_is_the_start_of_the_text_and_a_mark(text: str, padding: int) -> None:
    long = "b" * padding + text * 20_000
    cell = escape_cell(long)
    assert units(cell) <= 32_767
    kept, dots, mark = cell.rpartition("...[cut: ")
    if units(cell) < 32_700 and not dots:
        assert unescape_cell(cell) == long
    if dots:
        assert mark == f"{len(long)} characters, all in JSON]"
        assert long.startswith(unescape_cell(kept))
        assert not is_formula(cell)
