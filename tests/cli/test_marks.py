"""``sidscan marks``, and marks in later reports of the same images."""

from __future__ import annotations

import csv
import io
import json
import re
import sqlite3
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from sample_images import encoded, photo, scene
from sample_results import rows

from sidscan.review.marks import Marks
from sidscan.review.marks_file import read_marks_file

Run = Callable[..., Any]
NAMES = ("a.png", "b.png", "sub/c.png")
HEAD = ("sha256", "path", "mark", "note", "mark_by", "mark_at", "report_id")


@pytest.fixture
def images(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for seed, name in enumerate(NAMES):
        path = Path("in") / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(encoded(photo(240, 230, seed), "PNG"))


def scan(sidscan: Run, *options: str, outs: tuple[str, ...] = ("r.csv", "r.html")) -> Any:
    named = [part for out in outs for part in ("--out", out)]
    return sidscan("scan", "in", "--model", "mini", *named, *options)


def report(name: str = "r.csv") -> dict[str, dict[str, str]]:
    return {row["path"]: row for row in rows(Path(name).read_text())}


def mark(name: str, by: str, marks: dict[str, str], note: str = "", day: int = 1) -> None:
    """Write marks of some paths as the page exports them."""
    found = report()
    with Path(name).open("w", newline="", encoding="utf-8-sig") as file:
        writer = csv.writer(file)
        writer.writerow(HEAD)
        for path, word in marks.items():
            at = f"2026-01-{day:02d}T10:00:00Z"
            writer.writerow((found[path]["sha256"], path, word, note, by, at, "0123456789abcdef"))


def joined(name: str = "r.csv") -> dict[str, tuple[str, str, str, str]]:
    return {
        path: (row["mark"], row["mark_by"], row["mark_at"], row["note"])
        for path, row in report(name).items()
        if row["mark"] or row["note"]
    }


@pytest.mark.usefixtures("images")
def test_marks_join_later_reports_after_renames_and_moves(sidscan: Run) -> None:
    scan(sidscan)
    mark("marks.csv", "Anna", {"in/a.png": "suspicious", "in/b.png": "cleared"}, note="=1+1")
    imported = sidscan("marks", "import", "marks.csv", "r.csv")
    assert (imported.code, imported.out) == (0, "")
    assert imported.err == (
        "2 decisions added to r.marks.csv\n"
        "to write them into the report, run the same scan again; no image is scored again\n"
    )
    Path("in/a.png").rename("in/renamed.png")
    Path("in/b.png").rename("in/sub/b.png")
    again = scan(sidscan)
    assert "marks: 1 suspicious, 1 cleared (r.marks.csv)" in again.err
    at = "2026-01-01T10:00:00+00:00"
    assert joined() == {
        "in/renamed.png": ("suspicious", "Anna", at, "'=1+1"),
        "in/sub/b.png": ("cleared", "Anna", at, "'=1+1"),
    }
    assert "r.marks.csv" not in report()


@pytest.mark.usefixtures("images")
def test_marks_of_images_that_are_gone_are_kept_and_come_back(sidscan: Run) -> None:
    scan(sidscan)
    mark("marks.csv", "Anna", {"in/a.png": "suspicious"})
    sidscan("marks", "import", "marks.csv", "r.csv")
    Path("in/a.png").rename("away.png")
    gone = scan(sidscan)
    assert "marks: none of an image in this report (r.marks.csv)" in gone.err
    assert "  1 marked image is not in this report; the marks are kept" in gone.err
    listed = sidscan("marks", "list", "r.csv")
    assert listed.out == (
        "suspicious: in/a.png (not in this report)\n"
        "  2026-01-01T10:00:00+00:00 Anna: suspicious\n"
        "1 image, 0 conflicts; 1 of them not in this report\n"
    )
    Path("away.png").rename("in/back.png")
    scan(sidscan)
    assert [(path, row[0]) for path, row in joined().items()] == [("in/back.png", "suspicious")]


@pytest.mark.usefixtures("images")
def test_two_people_who_differ_are_a_conflict_until_it_is_settled(sidscan: Run) -> None:
    scan(sidscan)
    mark("anna.csv", "Anna", {"in/a.png": "suspicious", "in/b.png": "cleared"}, note="six fingers")
    mark("ben.csv", "Ben", {"in/a.png": "cleared", "in/b.png": "cleared"}, day=2)
    imported = sidscan("marks", "import", "anna.csv", "ben.csv", "r.csv", "--quiet")
    assert (imported.code, imported.err) == (0, "conflict: in/a.png (Anna: suspicious; Ben: cleared)\n")
    assert "  people's marks differ: in/a.png" in scan(sidscan).err
    at = "2026-01-02T10:00:00+00:00"
    assert joined() == {
        "in/a.png": ("conflict", "Anna: suspicious; Ben: cleared", at, "Anna: six fingers"),
        "in/b.png": ("cleared", "Anna, Ben", at, "Anna: six fingers"),
    }
    mark("chief.csv", "", {"in/a.png": "suspicious"}, day=3)
    settled = sidscan("marks", "import", "chief.csv", "r.csv", "--by", "Chief", "--settle")
    assert (settled.code, "conflict" in settled.err) == (0, False)
    scan(sidscan)
    assert joined()["in/a.png"] == ("suspicious", "Chief", "2026-01-03T10:00:00+00:00", "")
    assert sidscan("marks", "import", "anna.csv", "ben.csv", "r.csv").err == (
        "0 decisions added to r.marks.csv, 4 known already\n"
    )
    assert "settles what others decided before" in sidscan("marks", "list", "r.csv").out


@pytest.mark.usefixtures("images")
def test_all_formats_hold_the_marks(sidscan: Run) -> None:
    outs = ("r.csv", "r.json", "r.jsonl", "r.html")
    scan(sidscan, outs=outs)
    mark("marks.csv", "Anna", {"in/a.png": "suspicious"}, note="</script>\u202e")
    sidscan("marks", "import", "marks.csv", "r.json")
    scan(sidscan, outs=outs)
    decision = {
        "mark": "suspicious",
        "by": "Anna",
        "at": "2026-01-01T10:00:00+00:00",
        "note": "</script>\u202e",
        "settles": False,
        "copy_of": None,
    }
    whole = {name: decision[name] for name in ("mark", "by", "at", "note")} | {"decisions": [decision]}
    results = json.loads(Path("r.json").read_text())["findings"]
    lines = [json.loads(line) for line in Path("r.jsonl").read_text().splitlines()]
    assert [result["mark"] for result in results] == [whole, None, None]
    assert [line["mark"] for line in lines] == [whole, None, None]
    assert joined()["in/a.png"][3] == "</script>\\u202e"


@pytest.mark.usefixtures("images")
def test_reports_of_other_names_and_standard_output_show_them_too(sidscan: Run) -> None:
    scan(sidscan, outs=("r.csv",))
    mark("marks.csv", "Anna", {"in/a.png": "later"})
    sidscan("marks", "import", "marks.csv", "r.csv")
    scan(sidscan, "--journal", "r.csv.journal", outs=("other.csv",))
    assert joined("other.csv")["in/a.png"][0] == "later"
    printed = scan(sidscan, "--journal", "r.csv.journal", "--format", "jsonl", outs=("-",)).out
    assert [(json.loads(line)["mark"] or {}).get("mark") for line in printed.splitlines()] == [
        "later",
        None,
        None,
    ]


@pytest.mark.usefixtures("images")
def test_private_reports_show_marks_without_names_and_notes(sidscan: Run) -> None:
    scan(sidscan)
    mark("anna.csv", "Anna", {"in/a.png": "suspicious"}, note="of Maria")
    mark("ben.csv", "Ben", {"in/a.png": "cleared"})
    sidscan("marks", "import", "anna.csv", "ben.csv", "r.csv")
    scan(sidscan)
    sidscan("redact", "r.csv", "--out", "redacted.csv")
    scan(sidscan, "--private")
    for name in ("r.csv", "redacted.csv"):
        assert joined(name)["in/a.png"] == ("conflict", "", "2026-01-01T10:00:00+00:00", "")
    assert not [word for word in (b"Anna", b"Maria") if word in Path("r.html").read_bytes()]


@pytest.mark.usefixtures("images")
def test_a_damaged_file_stops_a_scan_before_it_begins(sidscan: Run) -> None:
    scan(sidscan)
    mark("marks.csv", "Anna", {"in/a.png": "suspicious"})
    sidscan("marks", "import", "marks.csv", "r.csv")
    before = Path("r.csv").read_bytes()
    edited = Path("r.marks.csv").read_bytes().replace(b"suspicious", b"cleared")
    Path("r.marks.csv").write_bytes(edited)
    message = "sidscan: r.marks.csv is damaged: line 2 or one before it was changed, or is missing"
    for ended in (scan(sidscan), sidscan("marks", "import", "marks.csv", "r.csv")):
        assert (ended.code, message in ended.err) == (7, True)
    assert (Path("r.csv").read_bytes(), Path("r.marks.csv").read_bytes()) == (before, edited)


REFUSED: dict[str, tuple[tuple[str, ...], str]] = {
    "nobody": (("nobody.csv", "r.csv"), "row 2 of nobody.csv: it does not say who decided\nName the person"),
    "another report": (
        ("other.csv", "r.csv"),
        "none of the 1 images that other.csv marks is in r.csv\nName the report that they were marked in",
    ),
    "one bad file": (("marks.csv", "nobody.csv", "r.csv"), "row 2 of nobody.csv"),
    "report first": (("r.csv", "marks.csv"), "marks.csv is not a report of sidscan"),
    "no marks": (("in/a.png", "r.csv"), "the marks in in/a.png are not UTF-8 text"),
}


@pytest.mark.parametrize("name", REFUSED)
@pytest.mark.usefixtures("images")
def test_refused_and_nothing_is_written(sidscan: Run, name: str) -> None:
    scan(sidscan)
    mark("marks.csv", "Anna", {"in/a.png": "suspicious"})
    mark("nobody.csv", "", {"in/a.png": "suspicious"})
    Path("other.csv").write_text(f"sha256,mark,mark_by\n{64 * '0'},cleared,Anna\n")
    arguments, message = REFUSED[name]
    ended = sidscan("marks", "import", *arguments)
    assert (ended.code, ended.err.startswith(f"sidscan: {message}")) == (2, True), ended.err
    assert not Path("r.marks.csv").exists()


@pytest.mark.usefixtures("images")
def test_marks_of_other_images_are_kept_if_asked(sidscan: Run) -> None:
    scan(sidscan)
    Path("other.csv").write_text(f"sha256,mark,mark_by,mark_at\n{64 * '0'},cleared,Anna,2999-01-01T00:00Z\n")
    kept = sidscan("marks", "import", "other.csv", "r.csv", "--keep-unknown")
    assert kept.code == 0
    assert f"  1 is of an image that the report lacks: {64 * '0'}\n" in kept.err
    assert (
        "  1 with a time that is yet to come: a clock was wrong; the time of this import counts instead\n"
        in kept.err
    )


@pytest.mark.usefixtures("images")
def test_an_emptied_marks_file_is_not_taken_for_no_marks(sidscan: Run) -> None:
    scan(sidscan)
    mark("marks.csv", "Anna", {"in/a.png": "suspicious"})
    sidscan("marks", "import", "marks.csv", "r.csv")
    Path("r.marks.csv").write_bytes(b"")
    for ended in (
        scan(sidscan),
        *(sidscan("marks", *words, "r.csv") for words in (["list"], ["import", "marks.csv"])),
    ):
        assert ended.code == 7
        assert "sidscan: r.marks.csv is empty, so the marks that it held are lost; it is left" in ended.err
    assert Path("r.marks.csv").read_bytes() == b""


@pytest.mark.usefixtures("images")
def test_a_clock_that_was_ahead_beats_no_later_decision(sidscan: Run) -> None:
    scan(sidscan)
    found = report()["in/a.png"]["sha256"]
    Path("ahead.csv").write_text(f"sha256,mark,mark_by,mark_at\n{found},suspicious,Fritz,2999-01-01T00:00Z\n")
    Path("now.csv").write_text(f"sha256,mark,mark_by\n{found},cleared,Fritz\n")
    sidscan("marks", "import", "ahead.csv", "r.csv")
    time.sleep(1.1)  # times are kept to the second
    sidscan("marks", "import", "now.csv", "r.csv")
    assert sidscan("marks", "list", "r.csv").out.startswith("cleared: in/a.png\n")
    scan(sidscan)
    assert joined()["in/a.png"][:2] == ("cleared", "Fritz")


@pytest.mark.usefixtures("images")
def test_an_import_says_what_does_not_count(sidscan: Run) -> None:
    scan(sidscan)
    mark("chief.csv", "Chief", {"in/a.png": "cleared"}, day=3)
    sidscan("marks", "import", "chief.csv", "r.csv", "--settle")
    mark("dora.csv", "Dora", {"in/a.png": "suspicious"}, day=2)
    late = sidscan("marks", "import", "dora.csv", "r.csv")
    assert late.err.splitlines()[:2] == [
        "1 decision added to r.marks.csv",
        "  1 does not count, since the same person decided later or somebody settled it later: in/a.png",
    ]
    assert "conflict" not in late.err


@pytest.mark.usefixtures("images")
def test_a_report_without_marks_has_none_to_list(sidscan: Run) -> None:
    scan(sidscan)
    listed = sidscan("marks", "list", "r.csv")
    assert (listed.code, listed.err) == (
        2,
        "sidscan: r.csv has no marks: there is no r.marks.csv\nImport some: `sidscan marks import`.\n",
    )


@pytest.fixture
def copied(sidscan: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A marked image, then only a copy of it that was saved again, and two other images."""
    monkeypatch.chdir(tmp_path)
    Path("in").mkdir()
    for seed in range(3):
        scene(seed).save(f"in/{seed}.png")
    scan(sidscan, "--find-copies", outs=("r.csv",))
    mark("marks.csv", "Anna", {"in/0.png": "suspicious"}, note="six fingers")
    sidscan("marks", "import", "marks.csv", "r.csv")
    scene(0).save("in/copy.jpg", quality=75)
    Path("in/0.png").unlink()


@pytest.mark.usefixtures("copied")
def test_a_wrong_answer_is_taken_back(sidscan: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    scan(sidscan, "--find-copies", outs=("r.csv",))
    assert sidscan("marks", "confirm", "r.csv", "--again").err == "no question was answered yet\n"
    sidscan("marks", "confirm", "r.csv", "--yes", "--by", "Ben")
    asked = sidscan("marks", "confirm", "r.csv", "--again").out
    assert re.fullmatch(
        r"answered before: in/0\.png \(suspicious by Anna\) looks like\n"
        r"  in/copy\.jpg \(\d+ of 256 bits differ\)\n  Ben said on \S+: same image\n",
        asked,
    )
    monkeypatch.setattr("sidscan.cli.console.is_terminal", lambda _: True)
    monkeypatch.setattr("sys.stdin", io.StringIO("n\n"))
    ended = sidscan("marks", "confirm", "r.csv", "--again", "--by", "Anna")
    assert "0 copies confirmed, 1 denied, in r.marks.csv\nto write the marks into the report" in ended.err
    scan(sidscan, "--find-copies", outs=("r.csv",))
    assert joined() == {}
    sidscan("marks", "confirm", "r.csv", "--again", "--yes", "--by", "Ben")
    scan(sidscan, "--find-copies", outs=("r.csv",))
    assert joined()["in/copy.jpg"][:2] == ("suspicious", "Anna"), "the last answer counts"


@pytest.mark.usefixtures("copied")
def test_a_mark_that_a_copy_shows_is_not_a_decision_on_the_copy(sidscan: Run) -> None:
    scan(sidscan, "--find-copies", outs=("r.csv",))
    sidscan("marks", "confirm", "r.csv", "--yes", "--by", "Ben")
    scan(sidscan, "--find-copies", outs=("r.csv",))
    Path("shown.csv").write_bytes(Path("r.csv").read_bytes())
    before = Path("r.marks.csv").read_bytes()
    assert "0 decisions added to r.marks.csv, 1 known already" in (
        sidscan("marks", "import", "shown.csv", "r.csv").err
    )
    assert Path("r.marks.csv").read_bytes() == before


@pytest.mark.usefixtures("images")
def test_hashes_that_an_import_could_not_read_are_said_and_added_by_the_next(sidscan: Run) -> None:
    scene(0).save("in/a.png")
    scan(sidscan, "--find-copies", outs=("r.csv", "r.html"))
    mark("marks.csv", "Anna", {"in/a.png": "suspicious"})
    with closing(sqlite3.connect("r.csv.journal")) as used:
        used.execute("BEGIN EXCLUSIVE")
        first = sidscan("marks", "import", "marks.csv", "r.html")
        confirm = sidscan("marks", "confirm", "r.html")
        used.rollback()
    said = (
        "copies of marked images are not looked for: r.csv.journal is in use by another scan; "
        "run this again afterwards\n"
    )
    assert said in first.err
    assert confirm.err == said
    assert Marks(read_marks_file(Path("r.marks.csv"))).perceptual_hash(found_hash()[0]) == ""
    again = sidscan("marks", "import", "marks.csv", "r.html")
    assert "0 decisions added to r.marks.csv, 1 known already, 1 perceptual hash added to these" in again.err
    sha256, perceptual_hash = found_hash()
    marks = Marks(read_marks_file(Path("r.marks.csv")))
    assert marks.perceptual_hash(sha256) == perceptual_hash
    assert len(marks.decisions(sha256)) == 1
    kept = Path("r.marks.csv").read_bytes()
    sidscan("marks", "import", "marks.csv", "r.html")
    assert Path("r.marks.csv").read_bytes() == kept


def found_hash() -> tuple[str, str]:
    row = report()["in/a.png"]
    return row["sha256"], row["perceptual_hash"]


QUESTION = re.compile(
    r"to be confirmed: in/0\.png \(suspicious by Anna\) looks like\n"
    r"  in/copy\.jpg \(\d+ of 256 bits differ\)\n"
)


@pytest.mark.usefixtures("copied")
def test_a_mark_goes_to_a_copy_only_if_somebody_says_so(sidscan: Run) -> None:
    again = scan(sidscan, "--find-copies", outs=("r.csv",))
    line = "1 image without a mark looks like a marked one; to be confirmed: sidscan marks confirm"
    assert f"  {line} REPORT --by NAME\n" in again.err
    assert joined() == {}
    listed = sidscan("marks", "confirm", "r.csv")
    assert (listed.code, bool(QUESTION.fullmatch(listed.out))) == (0, True)
    assert listed.err.startswith("nothing was recorded: run this on a terminal, or add --yes or --no")
    assert QUESTION.search(sidscan("marks", "list", "r.csv").out)
    confirmed = sidscan("marks", "confirm", "r.csv", "--yes", "--by", "Ben")
    assert confirmed.err.startswith("1 copy confirmed, 0 denied, in r.marks.csv\n")
    scan(sidscan, "--find-copies", outs=("r.csv", "r.json"))
    assert joined()["in/copy.jpg"] == ("suspicious", "Anna", "2026-01-01T10:00:00+00:00", "six fingers")
    results = {each["path"]: each for each in json.loads(Path("r.json").read_text())["findings"]}
    assert results["in/copy.jpg"]["mark"]["decisions"][0]["copy_of"] == "in/0.png"
    assert sidscan("marks", "confirm", "r.csv").err == (
        "no image of this report is in question; --again asks what was answered\n"
    )
    assert "decided of in/0.png, whose copy this is, as Ben said on" in sidscan("marks", "list", "r.csv").out


@pytest.mark.usefixtures("copied")
def test_what_was_denied_is_not_asked_again(sidscan: Run) -> None:
    scan(sidscan, "--find-copies", outs=("r.csv",))
    nobody = sidscan("marks", "confirm", "r.csv", "--no")
    assert (nobody.code, nobody.err.splitlines()[0]) == (2, "sidscan: it is not said who answers")
    assert "0 copies confirmed, 1 denied" in sidscan("marks", "confirm", "r.csv", "--no", "--by", "Ben").err
    assert "to be confirmed" not in scan(sidscan, "--find-copies", outs=("r.csv",)).err
    assert joined() == {}
    assert "other image," in Path("r.marks.csv").read_text()


@pytest.mark.usefixtures("copied")
@pytest.mark.parametrize(("option", "same"), [("--yes", True), ("--no", False)])
def test_answers_stand_beside_copies_in_reports(sidscan: Run, option: str, same: bool) -> None:
    scene(0).save("in/0.png")
    scan(sidscan, "--find-copies", outs=("r.csv",))
    sidscan("marks", "confirm", "r.csv", option, "--by", "Ben")
    sidscan("report", "r.csv", "--out", "r.json")
    sidscan("report", "r.csv", "--out", "p.json", "--private")
    sidscan("redact", "r.json", "--out", "redacted.json")
    for name, by in (("r.json", "Ben"), ("p.json", ""), ("redacted.json", "")):
        found = {row["path"]: row["copies"] for row in json.loads(Path(name).read_text())["findings"]}
        assert {path: copies["count"] for path, copies in found.items() if copies} == {
            "in/0.png": 2,
            "in/copy.jpg": 2,
        }, "the group stays as it is measured"
        for path, other in (("in/0.png", "in/copy.jpg"), ("in/copy.jpg", "in/0.png")):
            (answer,) = found[path]["answers"]
            assert (answer["path"], answer["same"], answer["by"]) == (other, same, by)


@pytest.mark.usefixtures("copied")
@pytest.mark.parametrize(
    ("typed", "said"),
    [
        ("y", "1 copy confirmed, 0 denied"),
        ("n", "0 copies confirmed, 1 denied"),
        ("", "0 copies confirmed, 0"),
    ],
)
def test_a_terminal_asks(sidscan: Run, monkeypatch: pytest.MonkeyPatch, typed: str, said: str) -> None:
    scan(sidscan, "--find-copies", outs=("r.csv",))
    monkeypatch.setattr("sidscan.cli.console.is_terminal", lambda _: True)
    monkeypatch.setattr("sys.stdin", io.StringIO(f"{typed}\n"))
    ended = sidscan("marks", "confirm", "r.csv", "--by", "Ben")
    assert QUESTION.search(ended.err)
    assert said in ended.err


@pytest.mark.usefixtures("images")
def test_without_perceptual_hashes_nothing_can_be_asked(sidscan: Run) -> None:
    scan(sidscan, outs=("r.csv",))
    ended = sidscan("marks", "confirm", "r.csv", "--yes", "--by", "Anna")
    assert (ended.code, ended.err) == (
        0,
        "this report has no perceptual hashes; scan again with --find-copies\n",
    )


@pytest.mark.usefixtures("copied")
def test_hashes_of_an_html_report_are_in_its_record(sidscan: Run) -> None:
    scan(sidscan, "--find-copies", outs=("r.html",))
    assert QUESTION.fullmatch(sidscan("marks", "confirm", "r.html").out)


@pytest.mark.usefixtures("copied")
def test_each_copy_is_asked_by_itself(sidscan: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    scene(0).save("in/second.jpg", quality=60)
    scan(sidscan, "--find-copies", outs=("r.csv",))
    monkeypatch.setattr("sidscan.cli.console.is_terminal", lambda _: True)
    monkeypatch.setattr("sys.stdin", io.StringIO("y\nn\n"))
    ended = sidscan("marks", "confirm", "r.csv", "--by", "Ben")
    assert "1 copy confirmed, 1 denied, in r.marks.csv\n" in ended.err
    scan(sidscan, "--find-copies", outs=("r.csv",))
    assert len(joined()) == 1


@pytest.mark.usefixtures("copied")
def test_a_file_that_was_saved_again_is_told_from_its_earlier_bytes(sidscan: Run) -> None:
    Path("in/copy.jpg").unlink()
    scene(0).resize((200, 150)).save("in/0.png")
    scan(sidscan, "--find-copies", outs=("r.csv",))
    asked = sidscan("marks", "confirm", "r.csv").out
    assert asked.startswith("to be confirmed: the earlier bytes of in/0.png (suspicious by Anna) look like\n")
    listed = sidscan("marks", "list", "r.csv").out
    assert listed.startswith("suspicious: in/0.png (its earlier bytes, not those in this report)\n")


@pytest.mark.usefixtures("images")
def test_a_conflict_has_the_path_that_the_report_knows(sidscan: Run) -> None:
    scan(sidscan)
    found = report()["in/a.png"]["sha256"]
    Path("two.csv").write_text(f"sha256,mark,mark_by\n{found},suspicious,Anna\n{found},cleared,Ben\n")
    imported = sidscan("marks", "import", "two.csv", "r.csv")
    assert "conflict: in/a.png (Anna: suspicious; Ben: cleared)\n" in imported.err


@pytest.mark.usefixtures("images")
def test_marks_beside_a_report_that_no_scan_writes_are_warned_of(sidscan: Run) -> None:
    scan(sidscan)
    mark("marks.csv", "Anna", {"in/a.png": "suspicious"})
    Path("last_week.csv").write_bytes(Path("r.csv").read_bytes())
    imported = sidscan("marks", "import", "marks.csv", "last_week.csv")
    assert imported.err == (
        "1 decision added to last_week.marks.csv\n"
        "warning: no record in its folder names last_week.csv, so no scan writes these marks into it; "
        "import them into the report that the scan writes\n"
    )


NOT_READ: dict[str, tuple[tuple[str, ...], int, str]] = {
    "a folder without rights": (
        ("import", "marks.csv", "ro/r.csv"),
        7,
        "Allow writing there: marks lie beside their report.",
    ),
    "a workbook": (
        ("import", "marks.csv", "r.xlsx"),
        2,
        "sidscan: r.xlsx is a workbook, which can't be read back\nName another report of the same scan",
    ),
    "no file": (("list", "nope.csv"), 2, "sidscan: can't read nope.csv: No such file or directory"),
    "a record": (
        ("list", "r.csv.journal"),
        2,
        "sidscan: r.csv.journal is the record of a scan, not a report",
    ),
}


@pytest.mark.parametrize("name", NOT_READ)
@pytest.mark.usefixtures("images")
def test_what_is_no_report_or_not_writable_says_what_to_do(
    sidscan: Run, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    scan(sidscan, outs=("r.csv", "r.xlsx"))
    mark("marks.csv", "Anna", {"in/a.png": "suspicious"})
    Path("ro").mkdir()
    Path("ro/r.csv").write_bytes(Path("r.csv").read_bytes())
    arguments, code, message = NOT_READ[name]
    if "ro/r.csv" in arguments:
        sidscan("marks", "import", "marks.csv", "r.csv")
        Path("ro/r.marks.csv").write_bytes(Path("r.marks.csv").read_bytes())
        Path("ro/r.marks.csv").chmod(0o444)
        mark("marks.csv", "Ben", {"in/a.png": "cleared"})
    ended = sidscan("marks", *arguments)
    assert (ended.code, message in ended.err) == (code, True), ended.err
