"""The closing lines of a scan that was run before: what changed since, in five lines at most."""

from __future__ import annotations

import os
import re
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from sample_images import encoded, photo
from sample_results import old_journal

from sidscan.reports.own_bytes import sha256_hex
from sidscan.review.marks_file import EntryKind, MarkEntry, append_marks

Run = Callable[..., Any]
SINCE = r"since the scan that ended at 20\d\d-[\dT:+-]+: "
TIME = "2026-01-01T00:00:00+00:00"


@pytest.fixture
def images(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of four images in the current folder."""
    monkeypatch.chdir(tmp_path)
    folder = Path("images")
    folder.mkdir()
    for number in range(4):
        (folder / f"{number}.jpg").write_bytes(jpeg(number))
    return folder


def jpeg(number: int) -> bytes:
    return encoded(photo(240, 240, number), "JPEG", quality=90)


def changes(sidscan: Run, *options: str) -> list[str]:
    """What a scan says of changes; scores are left out."""
    ended = sidscan("scan", "images", "--model", "mini", "--out", "r.csv", *options)
    assert ended.code in (0, 3), ended.err
    lines = ended.err.splitlines()
    starts = [number for number, line in enumerate(lines) if re.search(SINCE, line)]
    if not starts:
        return []
    found = [re.sub(SINCE, "", lines[starts[0]])]
    for line in lines[starts[0] + 1 :]:
        if not line.startswith("  "):
            break
        found.append(re.sub(r" [01]\.\d+ (very )?\w+", "", line))
    return found


def test_a_first_scan_says_nothing(sidscan: Run, images: Path) -> None:
    assert changes(sidscan) == []


def test_one_line_if_nothing_changed(sidscan: Run, images: Path) -> None:
    changes(sidscan)
    assert changes(sidscan) == ["nothing changed 4 unchanged"]


def test_changes_are_named(sidscan: Run, images: Path) -> None:
    changes(sidscan)
    (images / "0.jpg").rename(images / "moved.jpg")
    (images / "1.jpg").unlink()
    (images / "2.jpg").write_bytes(jpeg(7))
    (images / "new.jpg").write_bytes(jpeg(8))
    assert changes(sidscan) == [
        "1 new, 1 gone, 1 changed bytes, 1 moved, 1 unchanged",
        "  new: images/new.jpg",
        "  gone: images/1.jpg",
        "  changed bytes: images/2.jpg ->",
        "  moved: images/0.jpg -> images/moved.jpg",
    ]
    assert changes(sidscan) == ["nothing changed 4 unchanged"]


def test_other_bytes_of_the_same_size_and_time_are_named(sidscan: Run, images: Path) -> None:
    """They are noticed when the image of a kept result is read again, and scored again."""
    image, size = images / "2.jpg", 1 << 16
    image.write_bytes(jpeg(2).ljust(size, b"\0"))
    changes(sidscan)
    before = image.stat()
    image.write_bytes(jpeg(7).ljust(size, b"\0"))
    os.utime(image, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert changes(sidscan) == ["nothing changed 4 unchanged"]
    assert changes(sidscan, "--find-copies") == [
        "1 changed bytes, 3 unchanged",
        "  changed bytes: images/2.jpg ->",
    ]
    assert changes(sidscan, "--find-copies") == ["nothing changed 4 unchanged"]


def test_other_scores_say_why(sidscan: Run, images: Path) -> None:
    changes(sidscan)
    title, line = changes(sidscan, "--effort", "fast")
    assert title == "4 changed score"
    assert re.fullmatch(
        r"  changed score \(effort full -> fast; crops 10 -> 1\): (images/\d\.jpg ->, ){2}images/\d\.jpg -> "
        r"and 1 more",
        line,
    )


def test_at_most_five_lines(sidscan: Run, images: Path) -> None:
    for number in range(4, 7):
        (images / f"{number}.jpg").write_bytes(jpeg(number))
    changes(sidscan)
    (images / "0.jpg").rename(images / "moved.jpg")
    (images / "1.jpg").unlink()
    (images / "2.jpg").write_bytes(jpeg(17))
    (images / "new.jpg").write_bytes(jpeg(18))
    entry = MarkEntry(EntryKind.DECISION, sha256_hex(jpeg(3)), "x", "later", "", "ada", TIME)
    append_marks(Path("r.marks.csv"), [entry], "2999-01-01T00:00:00+00:00")
    found = changes(sidscan)
    assert found[0] == "1 new, 1 gone, 1 changed bytes, 1 newly marked, 1 moved, 3 unchanged"
    marked = "newly marked: images/3.jpg later (by ada)"
    assert found[4] == f"  {marked}; moved: images/0.jpg -> images/moved.jpg"
    assert len(found) == 5


def test_marks_of_copies_and_of_failed_inputs_are_named(sidscan: Run, images: Path) -> None:
    """A mark goes over by an answer; an input without bytes has its decision by name."""
    (images / "broken.jpg").write_bytes(b"not an image")
    (images / "same.jpg").write_bytes(jpeg(0))
    (images / "gone.jpg").symlink_to("nowhere")
    changes(sidscan)
    missing = "images/broken.jpg"
    entries = [
        MarkEntry(EntryKind.DECISION, sha256_hex(jpeg(0)), "x", "suspicious", "", "ada", TIME),
        MarkEntry(
            EntryKind.SAME_IMAGE, sha256_hex(jpeg(1)), "y", "", "", "ben", TIME, copy_of=sha256_hex(jpeg(0))
        ),
        MarkEntry(EntryKind.DECISION, sha256_hex(b"not an image"), missing, "later", "", "ada", TIME),
        MarkEntry(EntryKind.DECISION, "", "images/gone.jpg", "later", "", "ada", TIME),
    ]
    append_marks(Path("r.marks.csv"), entries, "2999-01-01T00:00:00+00:00")
    title, line = changes(sidscan)
    assert title == "5 newly marked, 2 unchanged"
    assert re.fullmatch(r"  newly marked: (images/\w+\.jpg \w+ \(by ada\)(, )?){3} and 2 more", line)


def test_quiet_says_nothing(sidscan: Run, images: Path) -> None:
    changes(sidscan)
    (images / "1.jpg").unlink()
    assert sidscan("scan", "images", "--model", "mini", "--out", "r.csv", "--quiet").err == ""


def test_an_interruption_between_is_not_the_scan_before(sidscan: Run, images: Path) -> None:
    """As if it was interrupted: one result is missing, and the run has no end."""
    changes(sidscan)
    (images / "1.jpg").unlink()
    (images / "2.jpg").write_bytes(jpeg(7))
    (images / "new.jpg").write_bytes(jpeg(8))
    changes(sidscan)
    with closing(sqlite3.connect("r.csv.journal")) as database, database:
        database.execute("UPDATE header SET value = 'null' WHERE key = 'finished'")
        database.execute(
            "UPDATE items SET finding = NULL, status = NULL WHERE name = ?", (b"images/new.jpg",)
        )
    (images / "3.jpg").write_bytes(jpeg(9))
    (images / "1.jpg").write_bytes(jpeg(1))
    assert changes(sidscan)[0] == "1 new, 2 changed bytes, 2 unchanged"


def test_a_scan_that_never_ended_is_nothing_to_compare_with(sidscan: Run, images: Path) -> None:
    changes(sidscan)
    with closing(sqlite3.connect("r.csv.journal")) as database, database:
        database.execute("UPDATE header SET value = 'null' WHERE key = 'finished'")
        database.execute("DELETE FROM header WHERE key = 'previous_run'")
        database.execute("UPDATE items SET finding = NULL, status = NULL WHERE position = 1")
    assert changes(sidscan) == []


def test_fresh_forgets_the_scan_before(sidscan: Run, images: Path) -> None:
    changes(sidscan)
    (images / "1.jpg").unlink()
    changes(sidscan)
    assert changes(sidscan, "--fresh") == []


def test_a_private_scan_keeps_no_folder_of_the_scan_before(
    sidscan: Run, images: Path, tmp_path: Path
) -> None:
    changes(sidscan)
    (images / "1.jpg").unlink()
    assert changes(sidscan, "--private")[1:] == ["  gone: images/1.jpg"]
    data = Path("r.csv.journal").read_bytes()
    assert str(tmp_path).encode() not in data


def test_the_record_of_0_1_0(sidscan: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    old_journal(Path("r.csv.journal"))
    Path("images").mkdir()
    Path("images/hills.jpg").write_bytes(jpeg(1))
    found = changes(sidscan)
    assert found[0] == "6 gone, 1 changed bytes"
    assert "  changed bytes: images/hills.jpg ->" in found


def test_results_of_a_scan_without_a_report_count_too(sidscan: Run, images: Path) -> None:
    sidscan("scan", "images", "--model", "mini", "--format", "csv")
    (images / "1.jpg").unlink()
    assert changes(sidscan) == ["1 gone, 3 unchanged", "  gone: images/1.jpg"]


def test_a_moved_archive_is_the_same(sidscan: Run, images: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    changes(sidscan)
    (images / "1.jpg").unlink()
    Path("elsewhere").mkdir()
    for name in ("images", "r.csv", "r.csv.journal"):
        shutil.move(name, "elsewhere")
    monkeypatch.chdir("elsewhere")
    assert changes(sidscan) == ["1 gone, 3 unchanged", "  gone: images/1.jpg"]


@pytest.fixture
def archive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of images below two others, in the current folder."""
    monkeypatch.chdir(tmp_path)
    folder = Path("images")
    for number in range(12):
        image = folder / "ab"[number % 2] / f"{number}.jpg"
        image.parent.mkdir(parents=True, exist_ok=True)
        image.write_bytes(jpeg(number))
    return folder


def mark(number: int, mark: str, at: str, **fields: str) -> None:
    """Record a decision on an image; what is recorded in 2999 is new for the next scan."""
    time = f"{at}-01-01T00:00:00+00:00"
    entry = MarkEntry(
        EntryKind.DECISION, sha256_hex(jpeg(number)), "x", mark, fields.get("note", ""), "ada", TIME
    )
    append_marks(Path("r.marks.csv"), [replace(entry, at=time if at < "2026" else TIME)], time)


def nothing(archive: Path) -> None:
    pass


def some_moved(archive: Path) -> None:
    for number in (0, 2):
        (archive / f"a/{number}.jpg").rename(archive / f"b/{number}.jpg")


def newly_marked(archive: Path) -> None:
    mark(0, "suspicious", "2999")
    mark(3, "later", "2999")
    (archive / "a/same.jpg").write_bytes(jpeg(3))


def marks_changed(archive: Path) -> None:
    mark(10, "cleared", "2999")
    mark(11, "", "2999")


def moved_and_marked(archive: Path) -> None:
    some_moved(archive)
    mark(0, "suspicious", "2999")


def all_kinds(archive: Path) -> None:
    """Of each kind one, and inputs of which several kinds are true."""
    (archive / "new.jpg").write_bytes(jpeg(20))
    mark(20, "later", "2999")
    (archive / "b/1.jpg").unlink()
    (archive / "a/2.jpg").write_bytes(jpeg(21))
    mark(21, "later", "2999")
    (archive / "b/3.jpg").write_bytes(b"not an image")
    (archive / "b/5.jpg").rename(archive / "moved.jpg")
    (archive / "b/7.jpg").rename(archive / "moved and marked.jpg")
    mark(7, "suspicious", "2999")
    (archive / "a/10.jpg").rename(archive / "moved and marked otherwise.jpg")
    mark(4, "suspicious", "2999", note="look at the hands")
    marks_changed(archive)


ALSO = " (1 of the others newly marked, too; 2 of the others moved, too)"


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (nothing, "nothing changed 12 unchanged"),
        (some_moved, "2 moved, 10 unchanged"),
        (newly_marked, "1 new, 2 newly marked, 10 unchanged"),
        (marks_changed, "2 changed mark, 10 unchanged"),
        (moved_and_marked, "1 newly marked, 1 moved, 10 unchanged (1 of the others moved, too)"),
        (
            all_kinds,
            "1 new, 1 gone, 2 changed bytes, 2 newly marked, 2 changed mark, 1 moved, 4 unchanged" + ALSO,
        ),
    ],
    ids=["nothing", "some-moved", "newly-marked", "marks-changed", "moved-and-marked", "all-kinds"],
)
def test_counts_are_those_of_diff(
    sidscan: Run, archive: Path, change: Callable[[Path], None], expected: str
) -> None:
    mark(10, "suspicious", "2025")
    mark(11, "suspicious", "2025")
    changes(sidscan, "--out", "r.json")
    kinds = ("csv", "json", "csv.journal")
    for kind in kinds:
        shutil.copy(f"r.{kind}", f"old.{kind}")
    change(archive)
    rescan = changes(sidscan, "--out", "r.json")[0]
    assert rescan == expected
    found = {kind: counted(sidscan("diff", f"old.{kind}", f"r.{kind}").out) for kind in kinds}
    assert found == dict.fromkeys(kinds, rescan.removeprefix("nothing changed "))


def counted(text: str) -> str:
    """The counts of `sidscan diff` as a rescan writes them."""
    counts: str = re.findall(r"inputs = (.*)", text)[0]
    also = "; ".join(re.findall(r"\d+ of the others .*, too", text))
    return counts.replace(" + ", ", ") + (f" ({also})" if also else "")


def test_a_private_scan_does_not_say_who_marked(sidscan: Run, archive: Path) -> None:
    """Nor does it compare notes, as `sidscan diff` of private reports does not."""
    mark(1, "later", "2025", note="first")
    changes(sidscan, "--private")
    mark(1, "later", "2999", note="second")
    mark(2, "later", "2999")
    assert changes(sidscan, "--private") == [
        "1 newly marked, 11 unchanged",
        "  newly marked: images/a/2.jpg later",
    ]


def test_other_marks_of_other_classes_are_named(sidscan: Run, archive: Path) -> None:
    changes(sidscan)
    (archive / "new.jpg").write_bytes(jpeg(20))
    mark(20, "later", "2999")
    (archive / "a/2.jpg").write_bytes(jpeg(21))
    mark(21, "cleared", "2999")
    assert changes(sidscan)[1:] == [
        "  new: images/new.jpg (marked: later (by ada))",
        "  changed bytes: images/a/2.jpg -> (newly marked: cleared (by ada))",
    ]
