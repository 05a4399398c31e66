"""The line and the bar that say how long a scan takes."""

from __future__ import annotations

import csv
from collections.abc import Callable
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytest
from sample_images import folder

from sidscan.cli import time_left
from sidscan.cli.time_left import time_left_line
from sidscan.pipeline import scan as running
from sidscan.scoring import pace

Run = Callable[..., Any]
EVENING = datetime(2026, 12, 31, 17, 30, tzinfo=timezone.utc)


@pytest.mark.parametrize(
    ("images", "seconds", "line"),
    [
        (1, 31, "1 image left: about 31 seconds, until 17:30 (by the first 100)"),
        (9900, 14 * 60, "9900 images left: about 14 minutes, until 17:44 (by the first 100)"),
        (9900, 200, "9900 images left: about 3.3 minutes, until 17:33 (by the first 100)"),
        (9900, 5400, "9900 images left: about 1.5 hours, until 19:00 (by the first 100)"),
        (10**6, 90_000, "1000000 images left: about 25 hours, until 2027-01-01 18:30 (by the first 100)"),
    ],
    ids=["seconds", "minutes", "few minutes", "hours", "days"],
)
def test_words(images: int, seconds: float, line: str) -> None:
    assert time_left_line(images, seconds, 100, EVENING) == line


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Estimates after few images, of few seconds."""
    monkeypatch.setattr(pace, "FIRST", 3)
    monkeypatch.setattr(pace, "_FEWEST", 3)
    monkeypatch.setattr(time_left, "_SHORTEST", 0)
    monkeypatch.setattr(time_left, "_EVERY", 0)
    monkeypatch.setattr(running, "_FIRST", 6)
    monkeypatch.setattr(running, "_FEWEST_TO_SPREAD", 10)


@pytest.mark.usefixtures("quick")
def test_a_scan_says_it_once_and_reports_keep_the_order(sidscan: Run, tmp_path: Path) -> None:
    images = folder(tmp_path / "images", count=24, side=64)
    scan = ("scan", images, "--model", "mini", "--crops", "center", "--batch", "2", "--workers", "1")
    ended = sidscan(*scan, "-o", tmp_path / "r.csv")
    assert ended.code == 0
    assert ended.err.count("left: about ") == 1
    with (tmp_path / "r.csv").open(newline="") as file:
        paths = [row["path"] for row in csv.DictReader(file)]
    assert sorted(paths) == sorted(map(str, images.rglob("*.jpg")))
    assert paths == [str(images / "nested" / "photo-23.jpg"), *sorted(map(str, images.glob("*.jpg")))]
    assert "left: about" not in sidscan(*scan, "-o", tmp_path / "q.csv", "--quiet").err


@pytest.mark.usefixtures("quick")
def test_rows_that_are_streamed_keep_the_order_of_the_inputs(sidscan: Run, tmp_path: Path) -> None:
    images = folder(tmp_path / "images", count=24, side=64)
    ended = sidscan("scan", images, "--model", "mini", "--crops", "center", "--format", "jsonl")
    first = [line.partition(",")[2].partition(",")[0] for line in ended.out.splitlines()]
    assert first == sorted(first)
    assert len(first) == 24
