"""The closing lines of a scan that was run before: what changed since, in five lines at most."""

from __future__ import annotations

import os
import re
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from sample_images import encoded, photo
from sample_results import old_journal

from sidscan.reports.own_bytes import sha256_hex
from sidscan.review.marks_file import Entry, Kind, append_marks

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
    entry = Entry(Kind.DECISION, sha256_hex(jpeg(3)), "x", "later", "", "ada", TIME)
    append_marks(Path("r.marks.csv"), [entry], "2999-01-01T00:00:00+00:00")
    found = changes(sidscan)
    assert found[0] == "1 new, 1 gone, 1 changed bytes, 1 moved, 4 unchanged; 1 newly marked"
    assert found[4] == "  moved: images/0.jpg -> images/moved.jpg; newly marked: images/3.jpg later"
    assert len(found) == 5


def test_marks_of_copies_and_of_failed_inputs_are_named(sidscan: Run, images: Path) -> None:
    """A mark goes over by an answer; an input without bytes has its decision by name."""
    (images / "broken.jpg").write_bytes(b"not an image")
    (images / "same.jpg").write_bytes(jpeg(0))
    (images / "gone.jpg").symlink_to("nowhere")
    changes(sidscan)
    missing = "images/broken.jpg"
    entries = [
        Entry(Kind.DECISION, sha256_hex(jpeg(0)), "x", "suspicious", "", "ada", TIME),
        Entry(Kind.SAME_IMAGE, sha256_hex(jpeg(1)), "y", "", "", "ben", TIME, copy_of=sha256_hex(jpeg(0))),
        Entry(Kind.DECISION, sha256_hex(b"not an image"), missing, "later", "", "ada", TIME),
        Entry(Kind.DECISION, "", "images/gone.jpg", "later", "", "ada", TIME),
    ]
    append_marks(Path("r.marks.csv"), entries, "2999-01-01T00:00:00+00:00")
    title, line = changes(sidscan)
    assert title == "7 unchanged; 4 newly marked"
    named = "images/0.jpg suspicious, images/1.jpg suspicious, images/broken.jpg later and 1 more"
    assert line == f"  newly marked: {named}"


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
