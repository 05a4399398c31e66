"""What strangers wrote, as `sidscan report` shows it: in every format, chosen, private, from old records."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from sample_results import FACTS, FAILED, RUN, SCORED, is_formula, old_journal, rows, strict

from sidscan.journal import Journal
from sidscan.journal.keys import ReuseKeys
from sidscan.records import Exif, Item, Kind, Response, ScanResult
from sidscan.reports import BINARY_FORMATS, REPORT_FORMATS

Run = Callable[..., Any]
HOSTILE = {
    "script": "</script><script>alert(1)</script><!--",
    "bidi": "gpj.\u202eexe\u2066",
    "nul": "a\0b",
    "surrogates": "\ud800 caf\udce9",
    "formula": '=HYPERLINK("http://x")',
    "lines": "one\r\ntwo\u2028three\n",
    "condition": "evidence>=moderate' --only",
    "long": "x" * 1_000_000,
}
TEXTS = pytest.mark.parametrize("text", HOSTILE.values(), ids=list(HOSTILE))


def hostile(text: str) -> list[ScanResult]:
    """A scored URL and a file that failed, with a text in all that strangers can write."""
    exif = Exif(
        make=text, model=text, lens=text, original_date=text, software=text, latitude=1.5, tags={text: text}
    )
    response = Response(f"https://host/?{text}", headers={"content-type": text}, saved_as="saved")
    facts = replace(FACTS, exif=exif, response=response, sha256="a" * 64)
    named = text[:1000].replace("\ud800", "")  # a name is bytes: it holds no surrogate but escaped ones
    return [
        replace(SCORED, name=f"https://host/{named}", kind=Kind.URL, facts=facts),
        replace(FAILED, name=f"{named.replace(chr(0), '')}.jpg", message=text),
        SCORED,
    ]


@pytest.fixture
def record(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Path]:
    """Writes a record of `hostile` results."""
    monkeypatch.chdir(tmp_path)

    def write(text: str) -> Path:
        results, keys = hostile(text), ReuseKeys("score", "limits", "urls")
        with closing(Journal(Path("r.csv.journal"))) as journal:
            journal.set_header(replace(RUN, inputs=(text,), lists=(text,)))
            journal.register_inputs([Item(result.name, result.kind) for result in results], keys)
            journal.append(results, keys, {"a" * 64: b"RIFF no webp"})
        return Path("r.csv.journal")

    return write


def runs(cell: str) -> bool:
    """Whether a spreadsheet takes a cell for a formula; an apostrophe in front keeps it from that."""
    return is_formula(cell) and not cell.startswith("'") and not re.fullmatch(r"-[0-9.e-]+", cell)


OPTIONS: list[Any] = [
    pytest.param([], 3, id="all"),
    pytest.param(["--private"], 3, id="private"),
    pytest.param(["--sort", "-camera"], 3, id="sorted"),
    pytest.param(["--only", "score>=0", "--top", "2"], 2, id="chosen"),
    pytest.param(["--private", "--only", "path!~nothing", "--sort", "path"], 3, id="private and chosen"),
]


@TEXTS
@pytest.mark.parametrize(("options", "expected"), OPTIONS)
def test_every_format_shows_it_safely(
    sidscan: Run, record: Callable[[str], Path], text: str, options: list[str], expected: int
) -> None:
    outs = [f"--out=n.{suffix}" for suffix in (*REPORT_FORMATS, *BINARY_FORMATS, "xlsx")]
    ended = sidscan("report", record(text), *outs, *options)
    assert ended.code == 0, ended.err
    table = rows(Path("n.csv").read_bytes().decode())
    assert len(table) == expected
    assert not any(map(runs, (cell for row in table for cell in row.values())))
    assert len(strict(Path("n.json").read_text())["findings"]) == expected
    assert len([json.loads(line) for line in Path("n.jsonl").read_text().splitlines()]) == expected
    page = Path("n.html").read_text(encoding="utf-8")
    assert len(re.findall(r"<script\b", page)) == len(re.findall(r"</script>", page))
    assert "<script>alert" not in page
    for suffix in (*REPORT_FORMATS, *BINARY_FORMATS):
        verified = sidscan("verify", f"n.{suffix}")
        assert "damaged" not in verified.err, verified.err
        assert f"{expected} row" in verified.out + verified.err


@TEXTS
def test_chosen_columns_show_it_safely(sidscan: Run, record: Callable[[str], Path], text: str) -> None:
    columns = "path,sha256,exif_make,camera,error_message"
    ended = sidscan("report", record(text), "--columns", columns, "--out", "n.csv", "--out", "n.jsonl")
    assert ended.code == 0, ended.err
    table = rows(Path("n.csv").read_bytes().decode())
    assert list(table[0]) == columns.split(",")
    assert not any(map(runs, (cell for row in table for cell in row.values())))
    for line in Path("n.jsonl").read_text().splitlines():
        strict(line)
    assert "damaged" not in sidscan("verify", "n.jsonl").err + sidscan("verify", "n.csv").err


@TEXTS
def test_a_hostile_condition_is_shown_safely(sidscan: Run, record: Callable[[str], Path], text: str) -> None:
    if "\0" in text or "\ud800" in text or len(text) > 100_000:
        pytest.skip("no command line can hold it")
    ended = sidscan("report", record(text), "--only", f"path~{text}", "--out", "n.html", "--out", "n.json")
    assert ended.code == 0, ended.err
    assert "\u202e" not in ended.err
    assert "<script>alert" not in Path("n.html").read_text(encoding="utf-8")
    assert strict(Path("n.json").read_text())["selection"]["only"] == [f"path~{text}"]


@pytest.mark.parametrize("suffix", [*REPORT_FORMATS, *BINARY_FORMATS, "xlsx"])
@pytest.mark.parametrize(("options", "shown"), [([], 7), (["--private"], 7), (["--top", "2"], 2)])
def test_records_of_0_1_0_in_every_format(
    sidscan: Run, tmp_path: Path, suffix: str, options: list[str], shown: int
) -> None:
    old = old_journal(tmp_path / "old.csv.journal")
    out = tmp_path / f"n.{suffix}"
    ended = sidscan("report", old, *options, "--out", out)
    assert ended.code == 0, ended.err
    if suffix != "xlsx":
        assert f"{shown} rows" in (verified := sidscan("verify", out)).out + verified.err
