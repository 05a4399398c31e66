"""`--sample`, `--budget`, `--until`: a part is scanned, every report says so, and the next scan goes on."""

from __future__ import annotations

import csv
import json
import re
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from sample_images import folder

Run = Callable[..., Any]
MINI = ("--model", "mini", "--crops", "center")


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Twelve images in four folders, and a text."""
    folder(tmp_path / "images" / "a", count=8, side=64)
    folder(tmp_path / "images" / "b", count=4, side=64)
    (tmp_path / "images" / "notes.txt").write_text("no image")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def rows(name: str) -> list[dict[str, str]]:
    with Path(name).open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def scored(name: str = "r.csv") -> set[str]:
    return {row["path"] for row in rows(name) if row["status"] == "scored"}


def scan(sidscan: Run, *arguments: str) -> Any:
    return sidscan("scan", *MINI, "images", "-o", "r.csv", *arguments)


def test_a_sample_says_in_every_report_that_it_is_one(sidscan: Run, desk: Path) -> None:
    ended = scan(sidscan, "--sample", "6", *("-o", "r.json", "-o", "r.jsonl", "-o", "r.html", "-o", "r.xlsx"))
    assert ended.code == 0
    words = "a sample of 6 of 12 images, seed 0, by folder"
    assert f"part: {words}\n" in ended.err
    assert "13 inputs = 6 scored + 0 failed + 1 skipped + 6 not looked at\n" in ended.err
    assert (
        f"{words}: 6 inputs not looked at\n"
        "  6 images of a sample say too little for an estimate for all images\n"
        "  (a larger --sample, or none, goes on; no image is scored again)\n"
    ) in ended.err
    assert [row["sample"] for row in rows("r.csv")] == [words] * 7
    record = {"size": 6, "seed": 0, "images": 12, "folders": 4, "mixed": True}
    report = json.loads(Path("r.json").read_text())
    assert report["run"]["sample"] == record
    assert report["run"]["finished"] is None
    assert report["run"]["sessions"][-1]["ending"] == "sampled"
    assert report["counts"] == {"enumerated": 13, "scored": 6, "failed": 0, "skipped": 1}
    lines = Path("r.jsonl").read_text().splitlines()
    assert [json.loads(line)["run"]["sample"] for line in lines] == [record] * 7
    page = Path("r.html").read_text(encoding="utf-8")
    assert f"<strong>This page shows a part of the images: {words}.</strong>" in page
    assert "13 inputs = 6 scored + 0 failed + 1 skipped + 6 not looked at." in page
    assert "<title>sidscan report: images (a sample)</title>" in page
    with zipfile.ZipFile("r.xlsx") as workbook:
        assert words in workbook.read("xl/worksheets/sheet2.xml").decode()


def test_a_larger_sample_and_then_all_go_on(sidscan: Run, desk: Path) -> None:
    scan(sidscan, "--sample", "3")
    small = scored()
    ended = scan(sidscan, "--sample", "7")
    assert "4 results kept from an earlier run" in ended.err  # three images and the text
    assert len(small) == 3
    assert small < scored()
    assert len(scored()) == 7
    ended = scan(sidscan)
    assert "8 results kept from an earlier run" in ended.err
    assert "13 inputs = 12 scored + 0 failed + 1 skipped\n" in ended.err
    assert "sample" not in ended.err
    assert {row["sample"] for row in rows("r.csv")} == {""}


def test_results_from_before_stay_and_are_not_of_the_sample(sidscan: Run, desk: Path) -> None:
    scan(sidscan, "--sample", "7")
    before = scored()
    ended = scan(sidscan, "--sample", "2")
    assert ended.code == 0
    assert scored() == before
    assert "  5 more images had a result before, or were looked at out of turn\n" in ended.err


def test_a_sample_of_all_is_a_whole_scan(sidscan: Run, desk: Path) -> None:
    ended = scan(sidscan, "--sample", "12")
    assert "sample" not in ended.err
    assert len(rows("r.csv")) == 13


@pytest.mark.parametrize("order", [("--sample", "5"), ()], ids=["of a sample", "of all"])
def test_a_budget_stops_within_one_batch_and_goes_on(
    sidscan: Run, desk: Path, order: tuple[str, ...]
) -> None:
    """The first batches hold one image, two, four ..."""
    seen: set[str] = set()
    for _ in range(2):
        ended = scan(sidscan, *order, "--budget", "1ms", "--batch", "1", "-o", "r.json")
        assert ended.code == 9
        assert seen < scored()
        assert len(scored()) == len(seen) + 1, "the batch under way is finished, and no other"
        seen = scored()
    report = json.loads(Path("r.json").read_text())
    assert [session["ending"] for session in report["run"]["sessions"]] == ["stopped", "stopped"]
    of = "of 5 of 12 images" if order else ", as large as time allows, of 12 images"
    assert f"a sample{of.removeprefix(' ') if not order else ' ' + of}, seed 0, by folder: 10" in ended.err
    assert report["run"]["sample"]["size"] == (5 if order else None)
    ended = scan(sidscan, *order, "--budget", "1h")
    assert ended.code == 0
    assert len(scored()) == (5 if order else 12)
    assert seen < scored()
    assert ("sample" in ended.err.partition("kept from")[2]) == bool(order)


def test_until_a_time_to_come_scans_all_and_says_when(sidscan: Run, desk: Path) -> None:
    ended = scan(sidscan, "--until", "2999-12-31T18:00")
    assert ended.code == 0
    assert "until: 2999-12-31 18:00\n" in ended.err
    assert "13 inputs = 12 scored + 0 failed + 1 skipped\n" in ended.err


def test_time_that_has_passed_is_refused_before_anything_is_read(sidscan: Run, desk: Path) -> None:
    ended = scan(sidscan, "--until", "2020-01-01T00:00")
    assert ended.code == 2
    assert "2020-01-01T00:00 has passed. Write a time to come." in ended.err
    assert not Path("r.csv").exists()


def test_a_report_from_the_record_of_a_sample_says_so(sidscan: Run, desk: Path) -> None:
    scan(sidscan, "--sample", "6", "--private")
    ended = sidscan("report", "r.csv", "-o", "again.csv")
    assert "a sample of 6 of 12 images, seed 0, by folder: 6 inputs not looked at\n" in ended.err
    assert Path("again.csv").read_bytes() == Path("r.csv").read_bytes()


def test_a_budget_stops_in_a_compressed_tar_and_says_so(sidscan: Run, desk: Path) -> None:
    with tarfile.open("images.tgz", "w:gz") as archive:
        archive.add("images")
    stop = ("--budget", "1ms", "--batch", "1")
    assert sidscan("scan", *MINI, "images.tgz", "-o", "r.csv", *stop).code == 9
    ended = sidscan("scan", *MINI, "images.tgz", "-o", "r.csv", *stop)
    assert ended.code == 9
    words = "as many of 12 images as time allows, in the order of the inputs"
    assert re.search(
        rf"{words}: 1[01] inputs not looked at\n  \(the same command goes on; no image", ended.err
    )
    assert {row["sample"] for row in rows("r.csv")} == {words}
    ended = sidscan("scan", *MINI, "images.tgz", "-o", "r.csv", "--budget", "1h")
    assert ended.code == 0
    assert len(scored()) == 12
    assert {row["sample"] for row in rows("r.csv")} == {""}
