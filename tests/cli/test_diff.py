"""`sidscan diff`: what changed between two reports or records, with exact text, files and exit codes."""

from __future__ import annotations

import csv
import html
import io
import json
import re
import shutil
import sqlite3
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from sample_images import folder
from sample_results import (
    FACTS,
    FAILED,
    OLD_REPORTS,
    RUN,
    SCORE,
    SCORED,
    journal_of,
    old_journal,
    strict,
)

from sidscan.journal import Journal
from sidscan.records import Decision, Mark, ModelRecord, ScanResult
from sidscan.reports import REPORT_FORMATS, output_for, write_all
from sidscan.reports.csv_escape import unescape_cell
from sidscan.reports.own_bytes import sha256_hex
from sidscan.review.difference_files import CSV_CELLS
from sidscan.review.difference_page import PAGE_ROWS
from sidscan.review.differences import Change
from sidscan.review.marks_file import EntryKind, MarkEntry, append_marks
from sidscan.review.wrapped import WrappedRecord
from sidscan.util.files import content_sha256

Run = Callable[..., Any]
TIME = "2026-01-01T00:00:00+00:00"
SUFFIXES = tuple(REPORT_FORMATS)
HOSTILE = (
    "=1+1.jpg",
    "</script><b>.jpg",
    "\u202egpj.a",
    "two\nlines.jpg",
    "\x1b[31m.jpg",
    "\udcff.jpg",
    "\0.jpg",
    "https://user:secret@host/a.jpg?q=1",
    1000 * "x" + ".jpg",
)


def image(name: str, content: str, score: float = 0.7, evidence: str = "moderate") -> ScanResult:
    """A result whose sha256 stands for its content."""
    facts = replace(FACTS, sha256=content.ljust(64, "0"))
    scores = (replace(SCORE, score=score, evidence=evidence),)
    return replace(
        SCORED, name=name, facts=facts, scores=scores, decoder="Pillow 13", sidscan_version="0.1.0"
    )


class Marked(WrappedRecord):
    """A record whose results have marks."""

    def __init__(self, record: Journal, marks: dict[str, Mark]) -> None:
        super().__init__(record)
        self.marks = marks

    def results(self) -> Iterator[ScanResult]:
        """The results with their marks."""
        return map(self._marked, super().results())

    def ranked(self) -> Iterator[ScanResult]:
        """The same, the strongest first."""
        return map(self._marked, super().ranked())

    def _marked(self, result: ScanResult) -> ScanResult:
        return replace(result, mark=self.marks.get(result.name))


OLD = (
    image("same.jpg", "1"),
    image("renamed.jpg", "2"),
    image("gone.jpg", "3", 0.2, "weak"),
    image("edited.jpg", "4"),
    image("scored.jpg", "5", 0.1, "weak"),
    image("broken.jpg", "6"),
    image("threads.jpg", "7"),
    image("marked.jpg", "8"),
)
NEW_RESULTS = (
    image("same.jpg", "1"),
    image("new name.jpg", "2"),
    image("new.jpg", "a", 0.95, "very strong"),
    image("copy.jpg", "1"),
    replace(FAILED, name="unread.jpg"),
    image("edited.jpg", "b", 0.9, "strong"),
    image("scored.jpg", "5", 0.9, "strong"),
    replace(FAILED, name="broken.jpg", facts=replace(FACTS, sha256="6".ljust(64, "0"))),
    image("threads.jpg", "7", 0.70005),
    image("marked.jpg", "8"),
)
NEW = tuple(  # by other weights
    replace(result, scores=tuple(replace(score, digest="def") for score in result.scores))
    for result in NEW_RESULTS
)
NEW_RUN = replace(RUN, models=(ModelRecord("mini", "def"),), device="cuda")
DECISIONS = (Decision("suspicious", "ada", TIME, "look"),)
MARKS = {"marked.jpg": Mark("suspicious", "ada", TIME, "look", DECISIONS)}
SECRETS = ("ADA", "SECRET", "token", "home/maria")
TEXT = """\
OLD old.csv: csv, 8 inputs, mini abc, sidscan 0.1.0
NEW new.csv: csv, 10 inputs, mini def, sidscan 0.1.0
matched: 6 by path, 1 by sha256
11 inputs = 3 new + 1 gone + 1 changed bytes + 1 changed status + 1 changed score + 1 newly marked + \
1 moved + 1 within tolerance + 1 unchanged
  OLD has 8 of these, NEW 10
  within tolerance: the score differs by at most 0.0001

new: 3
  0.950 very strong  new.jpg
  0.700 moderate  copy.jpg (a copy of same.jpg)
  failed  unread.jpg (truncated)

gone: 1
  0.200 weak  gone.jpg

changed bytes: 1
  0.700 moderate -> 0.900 strong  edited.jpg (also: changed score, changed evidence)

changed status: 1
  0.700 moderate -> failed  broken.jpg (truncated)

changed score: 1
  why: weights abc -> def; device cpu -> cuda
  0.100 weak -> 0.900 strong  scored.jpg (also: changed evidence)

newly marked: 1
  suspicious (by ada)  marked.jpg

moved: 1
  0.700 moderate  renamed.jpg -> new name.jpg
"""
TITLES = re.findall(r"^([a-z ]+): (\d+)$", TEXT, re.MULTILINE)


@pytest.fixture
def two_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder with old.* and new.* in every format; JSON, JSONL and CSV of NEW have a mark."""
    monkeypatch.chdir(tmp_path)
    write_all([output_for(f"old.{suffix}") for suffix in SUFFIXES], journal_of(*OLD))
    write_all(
        [output_for(f"new.{suffix}") for suffix in SUFFIXES], Marked(journal_of(*NEW, run=NEW_RUN), MARKS)
    )
    return tmp_path


@pytest.mark.usefixtures("two_runs")
def test_the_text(sidscan: Run) -> None:
    ended = sidscan("diff", "old.csv", "new.csv")
    assert (ended.code, ended.out, ended.err) == (0, TEXT, "")


@pytest.mark.usefixtures("two_runs")
@pytest.mark.parametrize("new", SUFFIXES)
@pytest.mark.parametrize("old", SUFFIXES)
def test_all_formats_say_the_same(sidscan: Run, old: str, new: str) -> None:
    found = json.loads(sidscan("diff", f"old.{old}", f"new.{new}", "--format", "json").out)
    expected = json.loads(sidscan("diff", "old.json", "new.json", "--format", "json").out)
    assert found["counts"] == expected["counts"]
    assert found["matched_by"] == {"path": 6, "path below another folder": 0, "sha256": 1}


def test_the_columns_of_csv(sidscan: Run, two_runs: Path) -> None:
    ended = sidscan("diff", "old.json", "new.json", "--out", "changes.csv")
    assert (ended.code, ended.out) == (0, "")
    assert ended.err.splitlines()[-1] == "differences: changes.csv"
    text = Path("changes.csv").read_bytes().decode()
    rows = list(csv.DictReader(io.StringIO(text, newline="")))
    assert list(rows[0]) == list(CSV_CELLS)
    changes = [row["change"] for row in rows]
    assert Counter(changes) == {title: int(count) for title, count in TITLES}
    scored = rows[changes.index("changed score")]
    assert {name: cell for name, cell in scored.items() if cell} == {
        "change": "changed score",
        "also": "changed evidence",
        "old_path": "scored.jpg",
        "new_path": "scored.jpg",
        "matched_by": "path",
        "old_status": "scored",
        "new_status": "scored",
        "old_model": "mini",
        "new_model": "mini",
        "old_score": "0.1",
        "new_score": "0.9",
        "old_evidence": "weak",
        "new_evidence": "strong",
        "why": "weights abc -> def; device cpu -> cuda",
        "old_sha256": "5".ljust(64, "0"),
        "new_sha256": "5".ljust(64, "0"),
        "differences_format": "1",
    }


@pytest.mark.usefixtures("two_runs")
def test_json_is_strict_and_adds_up(sidscan: Run) -> None:
    document = strict(sidscan("diff", "old.csv", "new.csv", "--format", "json", "--all").out)
    assert sum(document["counts"].values()) == len(document["differences"]) == 11
    assert (document["old"]["inputs"], document["new"]["inputs"]) == (8, 10)
    marked = next(each for each in document["differences"] if each["change"] == "newly marked")
    assert (marked["old"]["mark"], marked["new"]["mark"]["note"]) == (None, "look")
    scored = next(each for each in document["differences"] if each["change"] == "changed score")
    assert scored["causes"] == [
        {"fact": "weights", "old": "abc", "new": "def"},
        {"fact": "device", "old": "cpu", "new": "cuda"},
    ]


@pytest.mark.usefixtures("two_runs")
def test_the_text_lists_as_many_as_asked_for(sidscan: Run) -> None:
    few = sidscan("diff", "old.csv", "new.csv", "--top", "1").out
    assert "  0.950 very strong  new.jpg\n  ... and 2 more (--top 0 lists all)\n" in few
    assert "... and" not in sidscan("diff", "old.csv", "new.csv", "--top", "0").out
    assert "unchanged: 1\n  0.700 moderate  same.jpg\n" in sidscan("diff", "old.csv", "new.csv", "--all").out


@pytest.mark.parametrize(
    ("new", "options", "code"),
    [
        ("new.csv", (), 0),
        ("new.csv", ("--exit-code",), 8),
        ("old.json", ("--exit-code",), 0),
        ("threads.csv", ("--exit-code",), 0),
        ("threads.csv", ("--exit-code", "--tolerance", "0"), 8),
    ],
)
def test_exit_codes(sidscan: Run, two_runs: Path, new: str, options: tuple[str, ...], code: int) -> None:
    results = [
        replace(
            result,
            scores=(
                replace(SCORE, score=result.scores[0].score + 0.00005, evidence=result.scores[0].evidence),
            ),
        )
        for result in OLD
    ]
    write_all([output_for("threads.csv")], journal_of(*results))
    assert sidscan("diff", "old.csv", new, *options).code == code


@pytest.mark.usefixtures("two_runs")
def test_nothing_changed(sidscan: Run) -> None:
    ended = sidscan("diff", "old.csv", "old.json")
    assert ended.out.splitlines()[2:] == [
        "matched: 8 by path",
        "8 inputs = 8 unchanged",
        "  OLD has 8 of these, NEW 8",
    ]


@pytest.mark.usefixtures("two_runs")
@pytest.mark.parametrize("suffix", ["csv", "json", "html"])
def test_nobodys_file_is_replaced(sidscan: Run, suffix: str) -> None:
    out = Path(f"mine.{suffix}")
    out.write_text("work")
    ended = sidscan("diff", "old.csv", "new.csv", "--out", str(out))
    assert (ended.code, out.read_text()) == (7, "work")
    assert ended.err.startswith(f"sidscan: {out} is there already; it is left alone\n")
    assert sidscan("diff", "old.csv", "new.csv", "--out", str(out), "--overwrite", "--quiet").err == ""
    assert "edited.jpg" in out.read_text()


@pytest.mark.usefixtures("two_runs")
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("old.csv", "./old.csv"), "OLD and NEW are the same file"),
        (("old.csv", "new.csv", "-o", "old.csv"), "old.csv is both read and written"),
        (("old.csv", "new.csv", "-o", "c.xlsx"), "differences can't be written as c.xlsx"),
        (("old.csv", "new.csv", "-o", "c.csv", "--format", "json"), "--format is for standard output"),
        (("none.csv", "new.csv"), "can't read none.csv: No such file or directory"),
        (("old.csv", "text.txt"), "text.txt is neither a report nor a record of sidscan"),
        (("old.csv", "other.db"), "other.db is not the record of a scan"),
        (("old.csv", "cut.json"), "cut.json is damaged behind row"),
        (("old.csv", "cut.journal"), "the record cut.journal is damaged"),
    ],
)
def test_wrong_usage(sidscan: Run, arguments: tuple[str, ...], message: str) -> None:
    Path("text.txt").write_text("text")
    Path("cut.json").write_text(Path("new.json").read_text()[:-20])
    with closing(sqlite3.connect("other.db")) as database:
        database.execute("CREATE TABLE things (n)")
    Path("cut.journal").write_bytes(Path("other.db").read_bytes()[:4000])
    ended = sidscan("diff", *arguments)
    assert ended.code == 2, ended.err
    assert message in ended.err
    assert ended.out == ""


@pytest.mark.parametrize("suffix", ["csv", "json", "jsonl", "journal"])
def test_reports_and_records_of_0_1_0(
    sidscan: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, suffix: str
) -> None:
    monkeypatch.chdir(tmp_path)
    if suffix == "journal":
        old_journal(Path("0.1.0.journal"))
    else:
        shutil.copy(OLD_REPORTS / f"0.1.0.{suffix}", ".")
    before = content_sha256(Path(f"0.1.0.{suffix}"))
    rows = {row["path"]: row for row in csv.DictReader((OLD_REPORTS / "0.1.0.csv").open(newline=""))}
    new = image("/archive/images/hills.jpg", rows["images/hills.jpg"]["sha256"], 0.5, "weak")
    write_all(
        [output_for("new.csv")], journal_of(replace(new, decoder="Pillow 14.0.0", sidscan_version="0.2.0"))
    )
    ended = sidscan("diff", f"0.1.0.{suffix}", "new.csv")
    assert ended.code == 0, ended.err
    assert "1 by path below another folder" in ended.out
    assert "0.187 weak -> 0.500 weak  /archive/images/hills.jpg\n" in ended.out
    why = re.search(r"^  why: (.*)$", ended.out, re.MULTILINE)
    assert why is not None
    assert "decoder Pillow 13.0.0 -> Pillow 14.0.0; sidscan 0.1.0 -> 0.2.0; not known: " in why[1]
    assert why[1].endswith("effort")
    assert content_sha256(Path(f"0.1.0.{suffix}")) == before, "an old record stays as it is"


@pytest.fixture
def scanned(sidscan: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    folder(Path("images"), 2)
    assert sidscan("scan", "images", "--model", "mini", "--out", "r.csv").code == 0
    return tmp_path


@pytest.mark.usefixtures("scanned")
def test_records_are_compared_and_stay_as_they_are(sidscan: Run) -> None:
    shutil.copy("r.csv.journal", "old.journal")
    Path("images/photo-0.jpg").rename("images/c.jpg")
    sidscan("scan", "images", "--model", "mini", "--out", "r.csv")
    before = content_sha256(Path("old.journal")), content_sha256(Path("r.csv.journal"))
    ended = sidscan("diff", "old.journal", "r.csv.journal")
    assert ended.code == 0, ended.err
    assert "2 inputs = 1 moved + 1 unchanged\n" in ended.out
    assert before == (content_sha256(Path("old.journal")), content_sha256(Path("r.csv.journal")))


@pytest.mark.usefixtures("scanned")
def test_a_record_in_use_says_so(sidscan: Run) -> None:
    with closing(Journal(Path("r.csv.journal"))):
        ended = sidscan("diff", "r.csv", "r.csv.journal")
    assert (ended.code, ended.out) == (7, "")
    assert ended.err == "sidscan: r.csv.journal is in use by another scan\nWait for it to end.\n"


@pytest.mark.usefixtures("scanned")
def test_inputs_of_a_scan_that_did_not_end_are_not_gone(sidscan: Run) -> None:
    with closing(sqlite3.connect("r.csv.journal")) as database, database:
        database.execute("UPDATE items SET finding = NULL, status = NULL WHERE position = 2")
    out = sidscan("diff", "r.csv", "r.csv.journal").out
    assert "NEW is of a scan that did not end; inputs without a result: 1" in out
    assert "2 inputs = 1 not compared + 1 unchanged" in out
    assert "  not compared: 1 that NEW did not look at, as far as it states\n" in out
    listed = sidscan("diff", "r.csv", "r.csv.journal", "--all").out
    assert re.search(r"-> no result yet  images/photo-0.jpg$", listed, re.MULTILINE)


@pytest.mark.parametrize("suffix", ["csv", "json", "html"])
def test_hostile_names_and_messages(
    sidscan: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, suffix: str
) -> None:
    monkeypatch.chdir(tmp_path)
    old = [image(name, str(number)) for number, name in enumerate(HOSTILE)]
    new = [
        replace(FAILED, name=result.name, facts=result.facts, message="\u202ecut</p>\n=x") for result in old
    ]
    write_all([output_for("old.json")], journal_of(*old))
    write_all([output_for("new.json")], journal_of(*new))
    text = sidscan("diff", "old.json", "new.json", "--top", "0").out
    assert len(text.splitlines()) == 7 + len(HOSTILE)
    assert not re.search("[\x00-\x09\x0b-\x1f\u202e\ud800-\udfff]", text)
    assert "secret" not in text
    assert sidscan("diff", "old.json", "new.json", "--out", f"c.{suffix}").code == 0
    content = Path(f"c.{suffix}").read_bytes().decode()
    if suffix == "csv":
        rows = list(csv.DictReader(io.StringIO(content, newline="")))
        assert {unescape_cell(row["new_path"]) for row in rows} == set(HOSTILE)
        assert not [cell for row in rows for cell in row.values() if cell.startswith(("=", "+", "-", "@"))]
    elif suffix == "json":
        assert len(strict(content)["differences"]) == len(HOSTILE)
    else:
        assert "<b>" not in content
        assert "</script>" not in content
        assert html.escape("</script><b>.jpg") in content
        assert "\\u202egpj.a" in content


def test_a_private_report_is_compared_as_far_as_it_states(sidscan: Run, two_runs: Path) -> None:
    mark = Mark("suspicious", "ada", TIME, "look")
    write_all([output_for("open.csv")], Marked(journal_of(*OLD), {"marked.jpg": mark}))
    assert sidscan("redact", "open.csv", "--out", "private.csv", "--quiet").code == 0
    ended = sidscan("diff", "open.csv", "private.csv")
    assert ended.out.splitlines()[3:5] == [
        "  a private report leaves out who marked an image and their note, so notes are not compared",
        "8 inputs = 8 unchanged",
    ]


def test_several_models(sidscan: Run, two_runs: Path) -> None:
    other = replace(SCORE, model="rine", digest="r")
    run = replace(RUN, models=(ModelRecord("mini", "abc"), ModelRecord("rine", "r")))
    write_all(
        [output_for("two.csv")],
        journal_of(*(replace(result, scores=(*result.scores, other)) for result in OLD), run=run),
    )
    assert (
        "  only NEW has scores of rine, so they are not compared\n8 inputs = 8 unchanged\n"
        in sidscan("diff", "old.csv", "two.csv").out
    )


def page_policy(page: str) -> str:
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', page)
    assert policy is not None
    return policy[1]


@pytest.mark.usefixtures("two_runs")
def test_the_page(sidscan: Run) -> None:
    assert sidscan("diff", "old.csv", "new.csv", "--out", "c.html").code == 0
    page = Path("c.html").read_text(encoding="utf-8")
    assert re.fullmatch(
        r"default-src 'none'; style-src 'sha256-[\w+/=]{44}'; base-uri 'none'; form-action 'none'",
        page_policy(page),
    )
    assert not re.search(r"<script|\shref=\"(?!#)|\ssrc=|https?://", page)
    titles = re.findall(r'<h2 id="(\w+)">([^<]*)</h2>', page)
    assert [title for _, title in titles] == [": ".join(title) for title in TITLES]
    assert re.findall(r'href="#(\w+)"', page) == [name for name, _ in titles]
    assert '0.950 <span class="word e4">very strong</span>' in page
    rows_of_counts, titles_of_tables = 1 + len(Change) + 1, 7
    assert page.count("<tr>") == rows_of_counts + titles_of_tables + 9


@pytest.mark.parametrize(
    ("out", "options", "why"),
    [
        ("part.csv", ("--columns", "path,sha256"), "this report has only some columns"),
        ("part.json", ("--top", "1"), "this report shows only some rows of its run"),
        ("part.html", ("--top", "1"), "this report shows only some rows of its run"),
    ],
    ids=["columns", "rows in JSON", "rows in HTML"],
)
def test_parts_of_a_report_are_refused(
    sidscan: Run, scanned: Path, out: str, options: tuple[str, ...], why: str
) -> None:
    assert sidscan("report", "r.csv.journal", "--out", out, *options).code == 0
    ended = sidscan("diff", "r.csv", out)
    assert (ended.code, ended.err.splitlines()[0]) == (
        2,
        f"sidscan: {out}: {why}, so it can't be compared",
    )


def test_marks_of_records(sidscan: Run, scanned: Path) -> None:
    """The marks that lie beside the reports: of OLD, those that were there when its scan ended."""
    shutil.copy("r.csv.journal", "old.journal")
    entry = MarkEntry(
        EntryKind.DECISION, sha256_hex(Path("images/photo-0.jpg").read_bytes()), "x", "later", "", "ada", TIME
    )
    append_marks(Path("r.marks.csv"), [entry], "2999-01-01T00:00:00+00:00")
    assert sidscan("scan", "images", "--model", "mini", "--out", "r.csv").code == 0
    out = sidscan("diff", "old.journal", "r.csv.journal").out
    assert "2 inputs = 1 newly marked + 1 unchanged\n" in out
    assert "newly marked: 1\n  later (by ada)  images/photo-0.jpg\n" in out


def test_the_page_says_what_it_leaves_out(
    sidscan: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    write_all([output_for("old.csv")], journal_of())
    write_all(
        [output_for("new.csv")],
        journal_of(*(image(f"{n}.jpg", f"{n + 16:x}f") for n in range(PAGE_ROWS + 1))),
    )
    assert sidscan("diff", "old.csv", "new.csv", "--out", "c.html").code == 0
    page = Path("c.html").read_text()
    assert "These are the 1,000 with the strongest evidence, of 1,001. CSV and JSON list all." in page
    assert page.count('class="image"') == PAGE_ROWS


def write_csv(name: str, *results: ScanResult, marks: dict[str, Mark] | None = None) -> Path:
    path = Path(name)
    path.parent.mkdir(parents=True, exist_ok=True)
    output_for(name, overwrite=True).write(Marked(journal_of(*results), marks or {}))
    return path


@pytest.mark.parametrize("suffix", ["text", "csv", "json", "html"])
def test_private_differences_name_nobody(
    sidscan: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, suffix: str
) -> None:
    monkeypatch.chdir(tmp_path)
    failed = replace(FAILED, name="b.jpg", message="refused: https://host/b.jpg?token=1")
    old = write_csv("home/maria/old.csv", image("a.jpg", "1"), image("b.jpg", "2"), image("c.jpg", "3"))
    marks = {name: Mark("later", "ADA", TIME, f"SECRET of {name}") for name in ("a.jpg", "c.jpg")}
    new = write_csv(
        "home/maria/new.csv",
        image("a.jpg", "1"),
        failed,
        image("c.jpg", "4"),
        image("d.jpg", "5"),
        marks=marks,
    )
    texts = {}
    for option in ((), ("--private",)):
        ended = sidscan("diff", old, new, "--all", "--format", suffix, *option)
        assert ended.code == 0, ended.err
        texts[option] = ended.out
    assert "ADA" in texts[()], "without the option it is there"
    assert not [secret for secret in SECRETS if secret in texts[("--private",)]]
    assert "later" in texts[("--private",)]


@pytest.mark.parametrize("suffix", ["csv", "jsonl"])
@pytest.mark.parametrize(
    ("old", "new", "asks"),
    [
        pytest.param("abc", "ab", True, id="a part"),
        pytest.param("abc", "abd", False, id="one is new"),
        pytest.param("ab", "abc", False, id="more"),
        pytest.param("ab", "ab", False, id="equal"),
    ],
)
def test_a_part_of_a_run_is_asked_about(
    sidscan: Run, tmp_path: Path, suffix: str, old: str, new: str, asks: bool
) -> None:
    paths = []
    for side, names in (("old", old), ("new", new)):
        paths.append(tmp_path / f"{side}.{suffix}")
        results = (image(f"{name}.jpg", str(ord(name))) for name in names)
        output_for(str(paths[-1])).write(journal_of(*results))
    ended = sidscan("diff", *paths)
    words = "NEW lacks inputs and adds none: is it a report of chosen rows (--only, --top)? It does not say\n"
    assert (words in ended.out) is asks
