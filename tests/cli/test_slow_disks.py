"""Disks that sleep, phones and shares: each file is read once, in order, and the first may take longer."""

from __future__ import annotations

import csv
import os
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from sample_images import folder

from sidscan.cli import time_left
from sidscan.pipeline.readers import read_item
from sidscan.records import DecodedImage, Failure, Item, ItemReader
from sidscan.sources.mounts import SlowPlace
from sidscan.util.threads import available_cores

Run = Callable[..., Any]
MINI = ("--model", "mini", "--crops", "center")
# Reading hangs until a number of workers have tried, as a disk does that needs half a minute.
ASLEEP = """
import os, time
from sidscan.images import items
load = items.load_file
tries = open(os.environ["TMPDIR"] + "/tries", "ab", buffering=0)  # what reads images opens no file to write
def load_file(item, limit):
    tries.write(b"x")
    if os.path.getsize(tries.name) <= {tries}:
        time.sleep(60)
    return load(item, limit)
items.load_file = load_file
"""


def scan_asleep(tmp_path: Path, tries: int) -> dict[str, dict[str, str]]:
    folder(tmp_path / "images", count=2, side=64)
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "sitecustomize.py").write_text(ASLEEP.format(tries=tries))
    timing = ("--item-timeout", "5", "--workers", "1", "-o", "r.csv")
    done = subprocess.run(
        [sys.executable, "-P", "-m", "sidscan", "scan", "images", *MINI, *timing],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(tmp_path / "site"), "TMPDIR": str(tmp_path)},
        capture_output=True,
        check=False,
    )
    assert done.returncode in (0, 3), done.stderr
    with (tmp_path / "r.csv").open(newline="") as file:
        return {Path(row["path"]).name: row for row in csv.DictReader(file)}


@pytest.mark.skipif(sys.platform == "win32", reason="workers get TMPDIR")
def test_the_first_read_gets_the_time_twice(tmp_path: Path) -> None:
    assert {row["status"] for row in scan_asleep(tmp_path, tries=1).values()} == {"scored"}


@pytest.mark.skipif(sys.platform == "win32", reason="workers get TMPDIR")
def test_a_disk_that_does_not_wake_up_has_a_row_that_says_so(tmp_path: Path) -> None:
    rows = scan_asleep(tmp_path, tries=2)
    assert rows["photo-1.jpg"]["status"] == "timeout"
    assert rows["photo-1.jpg"]["error_message"] == (
        "not read after twice 5 s; the disk may be waking up, or does not answer; try again, or raise the "
        "limit with --item-timeout"
    )
    assert rows["photo-0.jpg"]["status"] == "scored"


def test_each_image_is_opened_once(sidscan: Run, tmp_path: Path) -> None:
    images, opened = folder(tmp_path / "images", count=5, side=64), list[str]()
    active = True

    def note(event: str, arguments: tuple[Any, ...]) -> None:
        if active and event == "open" and isinstance(arguments[0], str) and arguments[0].endswith(".jpg"):
            opened.append(arguments[0])

    sys.addaudithook(note)
    ended = sidscan("scan", images, *MINI, "--no-isolation", "--workers", "1", "-o", tmp_path / "r.csv")
    active = False
    assert ended.code == 0
    assert Counter(opened) == dict.fromkeys(map(str, images.rglob("*.jpg")), 1)
    assert opened == [str(images / "nested" / "photo-4.jpg"), *sorted(map(str, images.glob("*.jpg")))]


def test_a_phone_is_read_one_file_at_a_time_and_a_share_is_not(
    sidscan: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    images = folder(tmp_path / "images", side=64)
    for one, report in ((True, "phone.json"), (False, "share.json")):
        place = SlowPlace(str(images), "fuse.test", one)
        monkeypatch.setattr("sidscan.pipeline.opening.slow_places", lambda _, place=place: [place])
        ended = sidscan("scan", images, *MINI, "-o", tmp_path / report)
        assert f"{place}\n" in ended.err
        workers = (tmp_path / report).read_text().partition('"workers": ')[2].partition(",")[0]
        assert (workers == "1") == (one or available_cores() == 1)


def test_a_scan_says_what_it_may_be_waiting_for(
    sidscan: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(time_left, "_PATIENCE", 0.001)

    def reading_slowly(item: Item, read: ItemReader) -> DecodedImage | Failure:
        time.sleep(0.2)
        return read_item(item, read)

    monkeypatch.setattr("sidscan.pipeline.scan.read_item", reading_slowly)
    ended = sidscan("scan", folder(tmp_path / "images", side=64), *MINI, "-o", tmp_path / "r.csv")
    line = "nothing was read in 0.001 seconds: the disk may be waking up, or a share is slow\n"
    assert ended.err.count(line) == 1
