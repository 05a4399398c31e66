"""Copies in a scan: columns, closing lines, the table, and which scans look for them."""

from __future__ import annotations

import csv
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image, ImageOps
from sample_images import scene

Run = Callable[..., Any]


@pytest.fixture
def images(tmp_path: Path) -> Path:
    """Three copies of an image, two equal files, and one that is alone."""
    folder = tmp_path / "images"
    folder.mkdir()
    scene(1).save(folder / "a.png")
    scene(1).save(folder / "b.jpg", quality=60)
    ImageOps.mirror(scene(1)).save(folder / "c.png")
    scene(2).save(folder / "d.png")
    shutil.copy(folder / "d.png", folder / "e.png")
    scene(3).save(folder / "f.png")
    return folder


def rows(path: Path) -> dict[str, dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return {Path(row["path"]).name: row for row in csv.DictReader(file)}


def test_columns_and_closing_lines(sidscan: Run, tmp_path: Path, images: Path) -> None:
    ended = sidscan("scan", images, "--model", "mini", "--find-copies", "--out", tmp_path / "r.csv")
    found = rows(tmp_path / "r.csv")
    group = {name: row for name, row in found.items() if name[0] in "abc"}
    strongest = max(group.values(), key=lambda row: float(row["score"]))["path"]
    assert {row["copy_group"] for row in group.values()} == {strongest}
    assert {row["copy_count"] for row in group.values()} == {"3"}
    scores = sorted(float(row["score"]) for row in group.values())
    assert {(float(row["copy_score_min"]), float(row["copy_score_max"])) for row in group.values()} == {
        (scores[0], scores[-1])
    }
    turned = [row["copy_transform"] for row in group.values()]
    assert sorted(turned) in (["", "", "mirrored"], ["", "mirrored", "mirrored"])
    assert (found["d.png"]["same_as"], found["e.png"]["same_as"]) == ("", str(images / "d.png"))
    assert found["f.png"]["copy_group"] == ""
    lines = ended.err.splitlines()
    assert "1 image has the same bytes as an earlier image, and its score" in lines
    assert "copies: 3 files show 1 image, though their bytes differ" in lines
    assert len(lines[lines.index("highest evidence:") + 1 : -1]) == 3, "one for each image"


def test_a_plain_scan_finds_equal_bytes_alone(sidscan: Run, tmp_path: Path, images: Path) -> None:
    ended = sidscan("scan", images, "--model", "mini", "--out", tmp_path / "r.csv")
    found = rows(tmp_path / "r.csv")
    assert {name for name, row in found.items() if row["copy_group"]} == {"d.png", "e.png"}
    assert {row["perceptual_hash"] for row in found.values()} == {""}
    assert "copies:" not in ended.err
    again = sidscan("scan", images, "--model", "mini", "--find-copies", "--out", tmp_path / "r.csv")
    assert "5 kept images without a hash: read again, not scored\n" in again.err
    assert all(len(row["perceptual_hash"]) == 64 for row in rows(tmp_path / "r.csv").values())
    assert "copies: 3 files show 1 image, though their bytes differ\n" in again.err


def test_thumbnails_bring_copies_along(sidscan: Run, tmp_path: Path, images: Path) -> None:
    sidscan("scan", images, "--model", "mini", "--out", tmp_path / "r.html", "--out", tmp_path / "r.csv")
    assert all(len(row["perceptual_hash"]) == 64 for row in rows(tmp_path / "r.csv").values())
    sidscan(
        "scan",
        images,
        "--model",
        "mini",
        "--html-thumbs",
        "none",
        "--out",
        tmp_path / "p.html",
        "--out",
        tmp_path / "p.csv",
    )
    assert not any(row["perceptual_hash"] for row in rows(tmp_path / "p.csv").values())


def test_blank_pages_are_no_copies(sidscan: Run, tmp_path: Path) -> None:
    folder = tmp_path / "pages"
    folder.mkdir()
    for number in range(3):
        Image.new("RGB", (300 + number, 400), "white").save(folder / f"{number}.png")
    ended = sidscan("scan", folder, "--model", "mini", "--find-copies", "--out", tmp_path / "r.csv")
    assert {row["copy_group"] for row in rows(tmp_path / "r.csv").values()} == {""}
    assert "copies:" not in ended.err
    assert "no perceptual hash" not in ended.err
