"""The same command again, as a user meets it: nothing of theirs is replaced, and what was done stays done.

`benchmarks/resume_situations.py` has more of these, as a table.
"""

from __future__ import annotations

import csv
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from sample_images import folder

from sidscan.sources import strays

Run = Callable[..., Any]
MINI = ("--model", "mini", "--crops", "center")
OTHER_SIDSCAN = "import sidscan._version\nsidscan._version.__version__ = '9.9.9'\n"
OTHER_PILLOW = "import PIL.Image\nPIL.__version__ = '12.9.9'\n"
WITHOUT_STRAY_FOLDERS = "from sidscan.sources import strays\nstrays.stray_folder = lambda name: ''\n"
POISON = """
import os
from sidscan.images import items
load = items.load_file
def load_file(item, limit):
    if "photo-0" in item.name:
        os._exit(7)
    return load(item, limit)
items.load_file = load_file
"""


class Ended(NamedTuple):
    """How a command ended."""

    code: int
    err: str


def scan(desk: Path, *arguments: str, at_start: str = "") -> Ended:
    """A scan of ``images`` in a process of its own, which first runs ``at_start``, as do its workers."""
    (desk / "site").mkdir(exist_ok=True)
    (desk / "site" / "sitecustomize.py").write_text(at_start)
    done = subprocess.run(
        [sys.executable, "-P", "-m", "sidscan", "scan", *MINI, *(arguments or ("images",)), "-o", "r.csv"],
        cwd=desk,
        env={**os.environ, "PYTHONPATH": str(desk / "site"), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    return Ended(done.returncode, done.stderr)


def rows(desk: Path) -> dict[str, dict[str, str]]:
    with (desk / "r.csv").open(encoding="utf-8", newline="") as file:
        return {row["path"]: row for row in csv.DictReader(file)}


@pytest.fixture
def desk(tmp_path: Path) -> Path:
    """A folder with three images and their report."""
    folder(tmp_path / "images")
    assert scan(tmp_path).code == 0
    return tmp_path


def test_an_edited_report_is_left_alone_and_nothing_is_lost(desk: Path) -> None:
    report = desk / "r.csv"
    report.write_bytes(report.read_bytes().replace(b"\r\n", b",my note\r\n"))
    edited = report.read_bytes()
    refused = scan(desk)
    assert refused.code == 7
    assert refused.err == (
        "sidscan: r.csv was changed after sidscan wrote it; it is left alone\n"
        "Rename it to keep it and run the same command again; or choose another --out, or replace it with "
        "--overwrite.\n"
    )
    assert report.read_bytes() == edited
    report.rename(desk / "mine.csv")
    again = scan(desk)
    assert (again.code, len(rows(desk))) == (0, 3)
    assert "3 results kept from an earlier run in r.csv.journal" in again.err
    report.write_bytes(edited)
    assert scan(desk, "images", "--overwrite").code == 0
    assert report.read_bytes() != edited


def test_the_report_of_another_folder_is_left_alone(desk: Path) -> None:
    (desk / "r.csv.journal").unlink()
    before = (desk / "r.csv").read_bytes()
    refused = scan(desk, "images/nested")
    assert refused.code == 7
    assert refused.err == (
        "sidscan: r.csv belongs to another run; it is left alone\n"
        "Choose another --out, or replace it with --overwrite.\n"
    )
    assert (desk / "r.csv").read_bytes() == before


@pytest.mark.parametrize("name", ["./images", "images/../images/.", "{desk}/images"])
def test_one_folder_has_many_names(desk: Path, name: str) -> None:
    name = name.format(desk=desk)
    again = scan(desk, name)
    assert "3 results kept" in again.err
    assert "not used" not in again.err
    assert all(path.startswith(f"{name}/") for path in rows(desk))


def test_another_version_of_sidscan_keeps_scores_and_rows_name_theirs(desk: Path) -> None:
    before = rows(desk)
    again = scan(desk, at_start=OTHER_SIDSCAN)
    assert "3 results kept" in again.err
    assert rows(desk) == before
    assert "9.9.9" not in {row["sidscan_version"] for row in rows(desk).values()}


@pytest.mark.parametrize("first", ["pytorch", "auto"])
def test_another_runtime_is_named_and_scores_again(desk: Path, sidscan: Run, first: str) -> None:
    """A record that PyTorch made is continued by the bundled graph, and the other way round."""
    second = {"pytorch": "auto", "auto": "pytorch"}[first]
    runs = [
        sidscan("scan", desk / "images", *MINI, "--device", "cpu", "--runtime", name, "-o", desk / "two.csv")
        for name in (first, second, second)
    ]
    before, now = (run.err.partition("runtime: ")[2].partition(",")[0] for run in runs[:2])
    assert {before.split()[0], now.split()[0]} == {"pytorch", "onnxruntime"}
    assert f"3 earlier results not used:\n  3 made with runtime {before} (now {now}): " in runs[1].err
    assert "3 results kept from an earlier run" in runs[2].err
    assert [run.code for run in runs] == [0, 0, 0]


@pytest.mark.parametrize("keep_old", [False, True])
def test_another_pillow_is_named(desk: Path, keep_old: bool) -> None:
    decoder = next(iter(rows(desk).values()))["decoder"]
    again = scan(desk, "images", *(["--keep-old"] if keep_old else []), at_start=OTHER_PILLOW)
    assert again.code == 0
    if keep_old:
        assert f"  3 of them read by {decoder}; each row says so\n" in again.err
        assert {row["decoder"] for row in rows(desk).values()} == {decoder}
        return
    assert (
        f"3 earlier results not used:\n  3 read by {decoder} (now Pillow 12.9.9): images/nested/photo-2.jpg, "
        "images/photo-0.jpg, images/photo-1.jpg\n  (--keep-old keeps such scores)\n"
    ) in again.err
    assert {row["decoder"] for row in rows(desk).values()} == {"Pillow 12.9.9"}


def test_a_folder_that_is_not_mounted_is_an_error(desk: Path) -> None:
    before = (desk / "r.csv").read_bytes()
    (desk / "images").rename(desk / "disk")
    (desk / "images").mkdir()
    refused = scan(desk)
    assert refused.code == 5
    assert refused.err == (
        "sidscan: the folder images is empty\n"
        "Is its disk mounted? Hidden files need --hidden; --allow-empty accepts an empty folder.\n"
    )
    assert (desk / "r.csv").read_bytes() == before
    (desk / "images").rmdir()
    (desk / "disk").rename(desk / "images")
    assert "3 results kept" in scan(desk).err


def test_a_listed_folder_that_is_gone_is_an_error_unless_that_is_accepted(desk: Path) -> None:
    folder(desk / "more")
    (desk / "names").write_text("images\nmore\n")
    names = ("--list", "names")
    assert scan(desk, *names).code == 0
    (desk / "more").rename(desk / "disk")
    refused = scan(desk, *names)
    assert refused.code == 5
    assert refused.err == (
        f"sidscan: {desk / 'more'} is gone or can't be listed, and an earlier run has results below it\n"
        "Is its disk mounted? --allow-empty accepts that its images are gone.\n"
    )
    accepted = scan(desk, *names, "--allow-empty")
    assert (accepted.code, len(rows(desk))) == (3, 4)
    assert "  3 whose input is gone or no longer named: more/" in accepted.err
    (desk / "disk").rename(desk / "more")
    assert "6 results kept" in scan(desk, *names).err


def test_an_image_that_kills_its_reader_is_tried_in_three_scans(tmp_path: Path) -> None:
    folder(tmp_path / "images", count=1)
    tried = []
    for _ in range(4):
        ended = scan(tmp_path, at_start=POISON)
        tried.append("1 input that failed is tried again" in ended.err)
        assert ended.code == 3
    assert tried == [False, True, True, False]
    (row,) = rows(tmp_path).values()
    assert row["error_message"] == (
        "the process that read it ended with exit status 7; 3 scans tried it, and only --retry-failed tries "
        "it again"
    )
    assert scan(tmp_path, "images", "--retry-failed").code == 0


def test_an_excluded_folder_is_not_a_vanished_one(desk: Path) -> None:
    folder(desk / "images" / "sub")
    assert scan(desk).code == 0
    excluded = scan(desk, "images", "--exclude", "sub")
    assert excluded.code == 0
    assert "3 earlier results not used:\n  3 excluded by --exclude sub: images/sub/" in excluded.err
    assert "6 results kept" in scan(desk).err


def test_excluded_files_are_found_again(desk: Path) -> None:
    assert scan(desk).code == 0
    excluded = scan(desk, "images", "--exclude", "photo-1.jpg")
    assert "  1 excluded by --exclude photo-1.jpg: images/photo-1.jpg\n" in excluded.err
    again = scan(desk).err
    assert "3 results kept" in again
    assert "not used" not in again


def test_a_folder_of_thumbnails_that_an_earlier_version_read_is_not_a_vanished_one(desk: Path) -> None:
    folder(desk / "images" / "@eaDir")
    assert scan(desk, at_start=WITHOUT_STRAY_FOLDERS).code == 0
    now = scan(desk)
    assert now.code == 0
    assert f"  3 {strays.THUMBNAIL_FOLDER}: images/@eaDir/" in now.err


@pytest.mark.parametrize("first", ["images", "link"])
def test_another_name_through_a_link_is_named_as_such(desk: Path, sidscan: Run, first: str) -> None:
    (desk / "link").symlink_to("images")
    second = "link" if first == "images" else "images"
    assert sidscan("scan", desk / first, "--model", "mini", "--out", desk / "f.csv").code == 0
    refused = sidscan("scan", desk / second, "--model", "mini", "--out", desk / "f.csv")
    assert refused.code == 7
    assert "it reached the same files by other names, through a link" in refused.err
