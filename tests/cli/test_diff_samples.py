"""`sidscan diff` of samples and unfinished scans: what nobody looked at is neither new nor gone."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from sample_images import folder
from sample_results import FACTS, RUN, SCORED, journal_of

from sidscan.records import SampleRecord, ScanResult
from sidscan.reports import output_for, write_all

Run = Callable[..., Any]
MINI = ("--model", "mini", "--crops", "center")
SAMPLE = "a sample of 6 of 12 images, seed 0, by folder"
SUFFIXES = ("csv", "json", "jsonl", "html")


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Twelve images in two folders, and the current folder."""
    folder(tmp_path / "images" / "a", count=8, side=64)
    folder(tmp_path / "images" / "b", count=4, side=64)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def scan(sidscan: Run, name: str, *options: str) -> None:
    """A scan into a report of each format, with a record of its own."""
    outs = [part for suffix in SUFFIXES for part in ("-o", f"{name}.{suffix}")]
    assert sidscan("scan", *MINI, "images", *outs, *options).code == 0


def counts(sidscan: Run, old: str, new: str) -> dict[str, int]:
    """Of the classes that are not empty."""
    document = json.loads(sidscan("diff", old, new, "--format", "json").out)
    return {change: number for change, number in document["counts"].items() if number}


def test_a_sample_lacks_nothing_that_is_there(sidscan: Run, desk: Path) -> None:
    scan(sidscan, "all")
    scan(sidscan, "part", "--sample", "6")
    expected = {"not compared": 6, "unchanged": 6}
    for part in SUFFIXES:
        assert counts(sidscan, "all.csv", f"part.{part}") == expected, part
        assert counts(sidscan, f"part.{part}", "all.json") == expected, part
        ended = sidscan("diff", "all.csv", f"part.{part}", "--exit-code")
        assert ended.code == 0
        assert f"  NEW is of {SAMPLE}\n" in ended.out
        assert "  not compared: 6 that NEW did not look at, as far as it states\n" in ended.out
    document = json.loads(sidscan("diff", "all.csv", "part.csv", "--format", "json", "--all").out)
    assert (document["old"]["part"], document["new"]["part"]) == (None, SAMPLE)
    assert [each["change"] for each in document["differences"]].count("not compared") == 6
    page = sidscan("diff", "all.csv", "part.csv", "--format", "html", "--all").out
    assert f"<p>  NEW is of {SAMPLE}</p>" in page
    assert "has not looked at them; nothing is known to have changed." in page


def test_samples_with_other_seeds(sidscan: Run, desk: Path) -> None:
    scan(sidscan, "one", "--sample", "6")
    scan(sidscan, "two", "--sample", "6", "--sample-seed", "1")
    for old, new in (("csv", "csv"), ("json", "html"), ("csv.journal", "csv.journal")):
        found = counts(sidscan, f"one.{old}", f"two.{new}")
        assert set(found) == {"not compared", "unchanged"}
        both = found["unchanged"]
        seen_by_one = 2 * (6 - both)
        assert found["not compared"] == (12 - both if "journal" in old else seen_by_one)


def test_a_record_of_a_sample_knows_what_is_new_and_gone(sidscan: Run, desk: Path) -> None:
    scan(sidscan, "one", "--sample", "6")
    shutil.copy("images/a/photo-0.jpg", "images/a/new.jpg")
    Path("images/b/photo-1.jpg").unlink()
    scan(sidscan, "two", "--sample", "6")
    found = counts(sidscan, "one.csv.journal", "two.csv.journal")
    assert (found["new"], found["gone"]) == (1, 1)
    assert counts(sidscan, "one.csv.journal", "two.csv").keys() <= {"new", "not compared", "unchanged"}


def image(name: str, content: str) -> ScanResult:
    """A result whose sha256 stands for its content."""
    return replace(SCORED, name=name, facts=replace(FACTS, sha256=content.ljust(64, "0")))


def test_nothing_moved_as_far_as_a_sample_knows(
    sidscan: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    write_all([output_for("all.csv")], journal_of(image("a.jpg", "1"), image("same.jpg", "2")))
    run = replace(RUN, sample=SampleRecord(2, 0, 9, 1))
    write_all([output_for("part.csv")], journal_of(image("copy.jpg", "1"), image("same.jpg", "2"), run=run))
    assert counts(sidscan, "all.csv", "part.csv") == {"new": 1, "not compared": 1, "unchanged": 1}
    assert counts(sidscan, "part.csv", "all.csv") == {"gone": 1, "not compared": 1, "unchanged": 1}
    out = sidscan("diff", "all.csv", "part.csv").out
    assert re.search(r"^new: 1\n  .* copy.jpg \(a copy of a.jpg\)$", out, re.MULTILINE)


@pytest.mark.parametrize("suffix", ["json", "html"])
def test_an_unfinished_report_lacks_nothing_either(
    sidscan: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, suffix: str
) -> None:
    monkeypatch.chdir(tmp_path)
    results = (image("a.jpg", "1"), image("b.jpg", "2"))
    write_all([output_for("all.csv")], journal_of(*results))
    record = journal_of(*results)
    record._db.execute("UPDATE items SET finding = NULL, status = NULL WHERE position = 2")
    write_all([output_for(f"part.{suffix}")], record)
    assert counts(sidscan, "all.csv", f"part.{suffix}") == {"not compared": 1, "unchanged": 1}
    assert "  NEW is of a scan that did not end\n" in sidscan("diff", "all.csv", f"part.{suffix}").out


def test_a_sample_after_a_complete_scan_says_what_was_not_looked_at(sidscan: Run, desk: Path) -> None:
    scan(sidscan, "all")
    for photo in filter(Path.is_file, Path("images").rglob("*")):
        photo.write_bytes(photo.read_bytes() + b"\0")
    Path("images/a/photo-0.jpg").unlink()
    ended = sidscan("scan", *MINI, "images", "-o", "all.csv", "--sample", "3")
    line = next(line for line in ended.err.splitlines() if line.startswith("since the scan"))
    assert line.endswith(": 1 gone, 3 changed bytes, 8 not compared"), line
