"""Marks in the HTML report: what the report holds, what the browser keeps, export and import."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from sample_results import FACTS, FAILED, SCORE, SCORED, full_header, journal_of, rendered

from sidscan.records import Exif, ScanResult
from sidscan.reports.csv_escape import escape_text, unescape_cell
from sidscan.review.annotated import AnnotatedRecord
from sidscan.review.marks import Marks
from sidscan.review.marks_csv import read_marks_csv
from sidscan.review.marks_file import EntryKind, MarkEntry

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = pytest.mark.usefixtures("browser")

Opener = Callable[..., Any]
STORED = "Object.keys(localStorage).find((name) => name !== 'sidscan:reviewer')"
NO_STORAGE = "Object.defineProperty(window, 'localStorage', {get() { throw new Error('denied'); }});"
BROKEN = "in/\udcff.jpg"


def scored(index: int) -> ScanResult:
    """Number 0 has the highest score."""
    score = replace(SCORE, logit=5.0 - index, score=0.99 - index / 100)
    facts = replace(FACTS, sha256=f"{index:064x}", exif=Exif())
    return replace(SCORED, name=f"in/{index:03d}.jpg", facts=facts, scores=(score,))


def decided(index: int, by: str, mark: str, note: str = "", day: int = 1, **changes: Any) -> MarkEntry:
    at = f"2026-01-{day:02d}T10:00:00+00:00"
    entry = MarkEntry(EntryKind.DECISION, f"{index:064x}", f"in/{index:03d}.jpg", mark, note, by, at)
    return replace(entry, **changes)


def write(path: Path, entries: Sequence[MarkEntry] = (), private: bool = False) -> Path:
    """A report of six images, two with equal bytes, and two files that can't be read."""
    unreadable = (replace(FAILED, name=BROKEN), replace(FAILED, name=BROKEN.replace("\udcff", "\udcfe")))
    twin = replace(scored(1), name="in/twin.jpg")
    results = (*map(scored, range(5)), twin, *unreadable)
    run = replace(full_header(), private=private)
    rendered(path, AnnotatedRecord(journal_of(*results, run=run), Marks(entries), copies={}))
    return path


@pytest.fixture
def report(tmp_path: Path) -> Path:
    return write(tmp_path / "r.html")


def progress(page: Page) -> str:
    words: str = page.locator("#tools [role=status]").inner_text()
    return words


def message(page: Page) -> str:
    words: str = page.locator("#message").inner_text()
    return words


def write_note(page: Page, note: str) -> None:
    page.keyboard.press("n")
    page.locator("#note").fill(note)
    page.locator("#note").blur()
    page.keyboard.press("Escape")


def export(page: Page, path: Path, name: str = "", saved: bool = True) -> list[dict[str, str]]:
    with page.expect_download() as download:
        page.get_by_role("button", name="Export marks").click()
        if name:
            page.locator("dialog input").fill(name)
            page.keyboard.press("Enter")
    download.value.save_as(path)
    if page.locator("dialog[open]").count():
        page.get_by_role("button", name="It is saved" if saved else "No", exact=True).click()
    with path.open(encoding="utf-8-sig", newline="") as file:
        return list(csv.DictReader(file))


def load(page: Page, path: Path) -> str:
    page.locator("#message").evaluate("node => { node.textContent = ''; }")
    page.locator("input[type=file]").set_input_files(path)
    page.locator("#message:not(:empty)").wait_for()
    return message(page)


def test_marks_are_kept_exported_and_imported(open_page: Opener, report: Path, tmp_path: Path) -> None:
    with open_page(report) as page:
        page.keyboard.press("2")
        write_note(page, "=1+1, seen")
        assert progress(page) == "1 of 8 marked, 2 not exported"
        page.reload()
        assert progress(page) == "1 of 8 marked, 2 not exported"
        assert message(page).startswith("2 decisions in this browser are not in this report, and count here.")
        rows = export(page, tmp_path / "marks.csv", name=" Anna ")
        assert "Marks exported as marks.csv" in message(page)
        assert progress(page) == "1 of 8 marked"
        page.keyboard.press("3")
        (first, *_) = export(page, tmp_path / "again.csv")
        assert (first["mark"], first["mark_by"]) == ("later", "Anna"), "the name is asked for once"
    lines = [(row["sha256"], row["path"], row["mark"], row["note"], row["mark_by"]) for row in rows]
    assert lines == [
        (f"{0:064x}", "in/000.jpg", "cleared", "", "Anna"),
        (f"{1:064x}", "in/001.jpg", "none", "'=1+1, seen", "Anna"),
        (f"{1:064x}", "in/twin.jpg", "none", "'=1+1, seen", "Anna"),
    ]
    assert len({row["report_id"] for row in rows}) == 1
    entries = read_marks_csv(tmp_path / "marks.csv", "", "").entries
    assert [(entry.mark, entry.note, entry.by) for entry in entries] == [
        ("cleared", "", "Anna"),
        ("", "=1+1, seen", "Anna"),
    ]
    with open_page(report) as page:
        assert load(page, tmp_path / "marks.csv").startswith("3 marks imported.")
        assert progress(page) == "1 of 8 marked"


NOTES = ["=1+1", "two\nlines", "\\x41 as it is", "a;=1, b", "'quoted'", '"', "\u207c1", "bidi \u202e text"]


@pytest.mark.parametrize("note", [*NOTES, "</script>", "\u00e9" * 500_000], ids=lambda note: ascii(note[:20]))
def test_notes_come_back_as_they_were(open_page: Opener, report: Path, tmp_path: Path, note: str) -> None:
    with open_page(report) as page:
        write_note(page, note)
        csv.field_size_limit(1 << 24)
        (row,) = export(page, tmp_path / "marks.csv", name="Anna")
    assert unescape_cell(row["note"]) == note
    assert escape_text(note) == row["note"]
    (entry,) = read_marks_csv(tmp_path / "marks.csv", "", "").entries
    assert entry.note == note
    write(tmp_path / "next.html", [entry])
    with open_page(tmp_path / "next.html") as page:
        page.keyboard.press("Enter")
        assert page.locator(".decisions .said").count() == 1
        page.keyboard.press("Escape")
        again = export(page, tmp_path / "again.csv")
    assert [(each["note"], each["mark_by"]) for each in again] == [(row["note"], "Anna")]


def test_decisions_of_the_report_are_shown_filtered_and_exported(open_page: Opener, tmp_path: Path) -> None:
    settled = decided(3, "Chief", "cleared", day=3)
    entries = [
        *(decided(0, "Anna", "suspicious", "six fingers"), decided(0, "Ben", "cleared", day=2)),
        *(decided(1, "Anna", "later"), replace(settled, kind=EntryKind.SETTLEMENT)),
    ]
    with open_page(write(tmp_path / "r.html", entries)) as page:
        assert progress(page) == "4 of 8 marked", "equal bytes share a mark"
        assert page.locator("#rows").get_by_text("\u2260 conflict").count() == 1
        page.get_by_role("checkbox", name="conflict").check()
        assert page.locator("#rows .name").all_inner_texts()[0].strip() == "in/000.jpg"
        page.locator("#rows [data-place]").first.click()
        detail = page.locator("#detail").inner_text()
        assert "People's marks differ. Your mark does not decide it" in detail
        assert "Anna: suspicious, 2026-01-01 10:00:00 UTC\nsix fingers" in detail.replace("\n\n", "\n")
        assert "Ben: cleared, 2026-01-02 10:00:00 UTC" in detail
        page.keyboard.press("Escape")
        rows = export(page, tmp_path / "marks.csv")
    assert [(row["path"], row["mark_by"], row["mark"], row["mark_at"]) for row in rows] == [
        ("in/000.jpg", "Anna", "suspicious", "2026-01-01T10:00:00Z"),
        ("in/000.jpg", "Ben", "cleared", "2026-01-02T10:00:00Z"),
        ("in/001.jpg", "Anna", "later", "2026-01-01T10:00:00Z"),
        ("in/twin.jpg", "Anna", "later", "2026-01-01T10:00:00Z"),
        ("in/003.jpg", "Chief", "cleared", "2026-01-03T10:00:00Z"),
    ]
    marks = Marks(entries)
    assert all(marks.knows(entry) for entry in read_marks_csv(tmp_path / "marks.csv", "", "").entries)


def test_what_is_carried_over_from_a_copy_is_exported_of_the_image_it_was_made_of(
    open_page: Opener, tmp_path: Path
) -> None:
    said = decided(3, "Ben", "", kind=EntryKind.SAME_IMAGE, copy_of=f"{0:064x}", day=4)
    entries = [decided(0, "Anna", "suspicious", "six fingers", day=2), said]
    path = write(tmp_path / "r.html", entries)
    with open_page(path) as page:
        assert page.locator("#rows").get_by_text("\u25b2 suspicious").count() == 2
        rows = export(page, tmp_path / "marks.csv")
        assert [(row["path"], row["mark_by"]) for row in rows] == [("in/000.jpg", "Anna")]
        own = {"by": "Anna", "mark": "later", "note": "", "at": "2026-01-01T10:00:00Z", "path": "in/003.jpg"}
        page.keyboard.press("1")
        store(page, [[f"{3:064x}", [{**own, "exported": False}]]])
        open_again(page, path)
        rows = export(page, tmp_path / "marks.csv")
    assert [(row["path"], row["mark_by"], row["mark"]) for row in rows] == [
        ("in/000.jpg", "Anna", "suspicious"),
        ("in/003.jpg", "Anna", "later"),
    ], "what a person said of the copy itself is not lost, though a later decision shows"


def test_a_report_that_only_carries_decisions_has_nothing_to_export(
    open_page: Opener, tmp_path: Path
) -> None:
    said = decided(3, "Ben", "", kind=EntryKind.SAME_IMAGE, copy_of="e" * 64)
    entries = [replace(decided(0, "Anna", "suspicious"), sha256="e" * 64), said]
    with open_page(write(tmp_path / "r.html", entries)) as page:
        assert page.locator("#rows").get_by_text("\u25b2 suspicious").count() == 1
        page.get_by_role("button", name="Export marks").click()
        assert message(page).startswith("No image is marked, so there is nothing to export.")


def test_what_somebody_else_decided_is_not_overruled_but_differs(open_page: Opener, tmp_path: Path) -> None:
    with open_page(write(tmp_path / "r.html", [decided(0, "Anna", "suspicious")])) as page:
        page.keyboard.press("2")
        assert page.locator("#rows").get_by_text("\u2260 conflict").count() == 1
        page.keyboard.press("u")
        assert page.locator("#rows").get_by_text("\u25b2 suspicious").count() == 1
        page.keyboard.press("2")
        rows = export(page, tmp_path / "marks.csv", name="Ben")
        assert [(row["mark_by"], row["mark"]) for row in rows] == [("Anna", "suspicious"), ("Ben", "cleared")]


def test_a_person_changes_their_own_mark(open_page: Opener, tmp_path: Path) -> None:
    entry = decided(0, "Anna", "suspicious", at="2999-01-01T00:00:00+00:00")
    with open_page(write(tmp_path / "r.html", [entry])) as page:
        page.evaluate("localStorage.setItem('sidscan:reviewer', 'anna')")
        page.reload()
        page.keyboard.press("2")
        assert page.locator("#rows").get_by_text("\u2713 cleared").count() == 1
        (row,) = export(page, tmp_path / "marks.csv")
    assert (row["mark"], row["mark_by"]) == ("cleared", "anna")
    assert row["mark_at"] == "2999-01-01T00:00:01Z", "later than a mark whose clock was wrong"


def stored(page: Page) -> list[list[Any]]:
    """What the browser keeps of the report."""
    kept: str = page.evaluate(f"localStorage.getItem({STORED})")
    return json.loads(kept)  # type: ignore[no-any-return]


def store(page: Page, kept: list[list[Any]]) -> None:
    page.evaluate(f"kept => localStorage.setItem({STORED}, kept)", json.dumps(kept))


def open_again(page: Page, path: Path) -> None:
    page.goto("about:blank")
    page.goto(path.as_uri())


def test_a_mark_that_is_removed_after_its_export_is_exported_as_none(
    open_page: Opener, report: Path, tmp_path: Path
) -> None:
    with open_page(report) as page:
        page.keyboard.press("1")
        page.keyboard.press("u")
        assert progress(page) == "0 of 8 marked", "what nobody exported leaves nothing"
        page.keyboard.press("1")
        export(page, tmp_path / "marks.csv", name="Anna")
        page.keyboard.press("u")
        assert progress(page) == "0 of 8 marked, 1 not exported"
        (row,) = export(page, tmp_path / "marks.csv")
        assert (row["path"], row["mark"]) == ("in/000.jpg", "none")
        assert stored(page)[0][1][0]["exported"] is True


def test_newer_decisions_of_the_browser_count_and_older_ones_go(open_page: Opener, tmp_path: Path) -> None:
    path = write(tmp_path / "r.html")
    with open_page(path) as page:
        page.keyboard.press("1")
        page.keyboard.press("1")
        export(page, tmp_path / "marks.csv", name="Anna")
        entries = read_marks_csv(tmp_path / "marks.csv", "", "").entries
        future = replace(entries[1], mark="cleared", at="2999-01-01T00:00:00+00:00")
        gone = replace(entries[0], sha256="e" * 64)
        write(path, [entries[0], future])
        entry = {"by": "Anna", "mark": "later", "note": "", "at": gone.at, "path": "in/gone.jpg"}
        store(page, [*stored(page), ["e" * 64, [entry]]])
        open_again(page, path)
        assert progress(page) == "3 of 8 marked, 1 not exported"
        assert page.locator("#rows").get_by_text("\u2713 cleared").count() == 2
        assert "1 of the images are not in this report" in message(page)
        rows = export(page, tmp_path / "again.csv")
    assert [(row["path"], row["mark"]) for row in rows] == [
        ("in/000.jpg", "suspicious"),
        ("in/001.jpg", "cleared"),
        ("in/twin.jpg", "cleared"),
        ("in/gone.jpg", "later"),
    ]


def test_a_settlement_ends_what_was_exported_before(open_page: Opener, tmp_path: Path) -> None:
    path = write(tmp_path / "r.html")
    with open_page(path) as page:
        page.keyboard.press("1")
        export(page, tmp_path / "marks.csv", name="Anna")
        chief = decided(0, "Chief", "cleared", at="2999-01-01T00:00:00+00:00")
        write(path, [replace(chief, kind=EntryKind.SETTLEMENT)])
        open_again(page, path)
        assert page.locator("#rows").get_by_text("\u2713 cleared").count() == 1
        page.keyboard.press("1")
        assert page.locator("#rows").get_by_text("\u2260 conflict").count() == 1


HEAD = "sha256,path,mark,note,mark_by,mark_at,report_id"
ROW = f"{2:064x},in/002.jpg,suspicious,,Ben,2026-02-01T08:00:00Z,0123456789abcdef"
IMPORTS = {
    "as exported": (f"\ufeff{HEAD}\r\n{ROW}\r\n", "1 mark imported"),
    "semicolons, times without T and Z": (
        f"{HEAD}\n{ROW}\n".replace(",", ";").replace("T08:00:00Z", " 08:00"),
        "1 mark imported",
    ),
    "an older one": (f"{HEAD}\n{ROW.replace('Ben', 'Anna').replace('2:', '1:')}\n{ROW}\n", "2 marks"),
    "not in this report": (f"{HEAD}\n{ROW}\n{ROW.replace('2,in', 'f,in')}\n", "1 for images"),
    "German dates": (
        f"{HEAD}\n{ROW.replace('2026-02-01T08:00:00Z', '01.02.2026 08:00')}\n",
        "Nothing was imported: row 2 of this file can't be read right. Its time 01.02.2026 08:00 is not as",
    ),
    "another word": (f"{HEAD}\n{ROW.replace('suspicious', '<b>')}\n", "Its mark <b> is none of suspicious"),
    "cut": (f"{HEAD}\n{ROW[:80]}", "It has 3 cells, and the first row names 7 columns."),
    "cut in quotes": (f'{HEAD}\n"{ROW[:60]}', "This file holds no marks"),
    "of another report": (f"{HEAD}\n{ROW.replace('2,in', 'f,in')}\n", "None of the images in this"),
    "something else": ("a,b\n1,2\n", "This file holds no marks"),
}


@pytest.mark.parametrize("name", IMPORTS)
def test_imports_are_read_right_or_refused(
    open_page: Opener, report: Path, tmp_path: Path, name: str
) -> None:
    content, words = IMPORTS[name]
    (tmp_path / "marks.csv").write_text(content, encoding="utf-8", newline="")
    with open_page(report) as page:
        said = load(page, tmp_path / "marks.csv")
        assert words in said
        shown = page.locator("#rows").get_by_text("\u25b2 suspicious").count()
        assert shown == said[0].isdigit()


def test_an_older_import_of_a_person_is_left_out(open_page: Opener, report: Path, tmp_path: Path) -> None:
    (tmp_path / "new.csv").write_text(f"{HEAD}\n{ROW}\n")
    (tmp_path / "old.csv").write_text(
        f"{HEAD}\n{ROW.replace('02-01', '01-01').replace('suspicious', 'later')}\n"
    )
    with open_page(report) as page:
        load(page, tmp_path / "new.csv")
        assert load(page, tmp_path / "old.csv").startswith("0 marks imported; 1 left out, since later ones")
        assert page.locator("#rows").get_by_text("\u25b2 suspicious").count() == 1


def test_without_storage_marks_work_and_the_page_says_so(
    open_page: Opener, report: Path, tmp_path: Path
) -> None:
    with open_page(report, script=NO_STORAGE) as page:
        assert (
            message(page) == "This browser keeps no marks for a file. Export them before you close the page."
        )
        page.keyboard.press("1")
        (row,) = export(page, tmp_path / "marks.csv", name="Anna")
        assert row["mark"] == "suspicious"


@pytest.mark.parametrize("exported", ["no", "cancelled", "yes"])
def test_it_asks_before_marks_are_lost(
    open_page: Opener, report: Path, tmp_path: Path, exported: str
) -> None:
    asked: list[str] = []
    with open_page(report) as page:
        page.on("dialog", lambda dialog: asked.append(dialog.type))
        page.locator("#list").click(position={"x": 1, "y": 1})
        page.keyboard.press("Escape")
        page.keyboard.press("1")
        if exported != "no":
            export(page, tmp_path / "marks.csv", name="Anna", saved=exported == "yes")
            assert progress(page).endswith("1 not exported") == (exported == "cancelled")
        page.close(run_before_unload=True)
        page.context.new_page().wait_for_timeout(300)
    assert asked == ([] if exported == "yes" else ["beforeunload"])


def test_files_whose_names_are_no_text_do_not_share_a_mark(
    open_page: Opener, report: Path, tmp_path: Path
) -> None:
    with open_page(report) as page:
        page.locator("#list").focus()
        page.keyboard.press("G")
        page.keyboard.press("3")
        (row,) = export(page, tmp_path / "marks.csv", name="Anna")
        assert progress(page) == "1 of 8 marked"
    (entry,) = read_marks_csv(tmp_path / "marks.csv", "", "").entries
    assert (row["sha256"], entry.path) in {("", BROKEN), ("", "in/\udcfe.jpg")}
    with open_page(report) as page:
        assert load(page, tmp_path / "marks.csv").startswith("1 mark imported")
        assert progress(page) == "1 of 8 marked"


def test_private_reports_show_no_names_and_hand_on_nobodys_mark(open_page: Opener, tmp_path: Path) -> None:
    entries = [decided(0, "Anna", "suspicious", "Maria"), decided(0, "Ben", "cleared")]
    path = write(tmp_path / "r.html", entries, private=True)
    assert not [word for word in ("Anna", "Maria", "Ben") if word in path.read_text(encoding="utf-8")]
    with open_page(path) as page:
        assert page.locator("#rows").get_by_text("\u2260 conflict").count() == 1
        page.keyboard.press("Enter")
        assert "somebody (names are left out): cleared" in page.locator("#detail").inner_text()
        page.keyboard.press("1")
        page.keyboard.press("Escape")
        rows = export(page, tmp_path / "marks.csv", name="Cem")
    assert [(row["mark_by"], row["mark"]) for row in rows] == [("Cem", "suspicious")]


def test_marks_of_the_first_version_of_the_page_are_kept(open_page: Opener, report: Path) -> None:
    before = [[f"{0:064x}", {"mark": "later", "note": "", "at": "2026-01-01T10:00:00Z"}]]
    with open_page(report) as page:
        page.keyboard.press("1")
        store(page, before)
        open_again(page, report)
        assert page.locator("#rows").get_by_text("\u25f7 later").count() == 1
