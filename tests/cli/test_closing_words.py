"""What a scan says at its end: of patterns that left out nothing, inputs that fail alike, renamed folders."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from sample_images import folder

Run = Callable[..., Any]


@pytest.fixture
def images(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return folder(tmp_path / "images", count=2)


def closing(sidscan: Run, *arguments: object) -> list[str]:
    lines: list[str] = sidscan(
        "scan", "images", "--model", "mini", "--out", "r.csv", *arguments
    ).err.splitlines()
    return lines


@pytest.mark.parametrize(
    ("patterns", "useless"),
    [
        pytest.param(["nonsense", "*.gif"], ["nonsense", "*.gif"], id="no match"),
        pytest.param(["PRIVATE"], ["PRIVATE"], id="other capitals"),
        pytest.param(["private", "*.gif", "*.gif"], ["*.gif"], id="one matches"),
        pytest.param(["images/private", "!kept.jpg"], [], id="all match, or take back"),
    ],
)
def test_patterns_that_left_out_nothing_are_named(
    sidscan: Run, images: Path, patterns: list[str], useless: list[str]
) -> None:
    folder(images / "private", count=1)
    lines = closing(sidscan, *(word for pattern in patterns for word in ("--exclude", pattern)))
    said = [line for line in lines if "left out nothing" in line]
    assert said == [
        f"--exclude {pattern} left out nothing; check its spelling, capitals included" for pattern in useless
    ]


def test_one_reason_of_several_inputs_is_said_in_words(sidscan: Run, images: Path) -> None:
    for name in ("x.png", "y.png"):
        (images / name).touch()
    lines = closing(sidscan)
    assert "  2 failed: the file is empty" in lines
    assert "    first: images/x.png" in lines


def test_several_reasons_of_one_class_keep_its_name(sidscan: Run, images: Path) -> None:
    (images / "x.png").touch()
    (images / "y.png").write_bytes(b"nothing")
    lines = closing(sidscan)
    assert "  2 failed: UnsupportedImage" in lines
    assert "    first: images/x.png: the file is empty" in lines


def test_a_folder_is_no_report(sidscan: Run, images: Path) -> None:
    ended = sidscan("scan", "images", "--model", "mini", "--out", ".")
    assert ended.code == 7
    assert ended.err == "sidscan: . is a folder\nGive --out the name of a file.\n"


def test_a_renamed_folder_continues_by_its_old_name(sidscan: Run, images: Path) -> None:
    closing(sidscan)
    images.rename("renamed")
    refused = sidscan("scan", "renamed", "--model", "mini", "--out", "r.csv")
    assert refused.code == 7
    assert "(ln -s NEW OLD); no score is lost" in refused.err
    images.symlink_to("renamed")
    assert "2 results kept from an earlier run in r.csv.journal (--fresh starts over)" in closing(sidscan)


def test_rows_of_an_older_sidscan_are_counted(sidscan: Run, images: Path) -> None:
    closing(sidscan)
    record = sqlite3.connect("r.csv.journal")
    record.execute("UPDATE items SET finding = json_remove(finding, '$.share_scored')")
    record.commit()
    record.close()
    words = "2 results were kept from a sidscan without score_percentile and other new columns"
    assert words in closing(sidscan)
