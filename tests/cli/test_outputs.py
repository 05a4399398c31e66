"""Where `sidscan scan` writes: never over a foreign file, never over the output of a running scan."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from sample_images import folder

from sidscan.reports import output_for, reserve_all

Run = Callable[..., Any]


def test_a_scan_does_not_scan_its_outputs(sidscan: Run, tmp_path: Path) -> None:
    images = folder(tmp_path / "images", count=1)
    for _ in range(2):
        ended = sidscan("scan", images, "--out", images / "r.csv", "--hash-file", "--hidden")
        assert ended.code == 0
        assert "1 input = 1 scored + 0 failed + 0 skipped\n" in ended.err
    assert sorted(path.name for path in images.iterdir()) == [
        *("nested", "r.csv", "r.csv.journal", "r.csv.sha256")
    ]


def test_a_foreign_file_is_not_overwritten_by_a_report(sidscan: Run, tmp_path: Path) -> None:
    images, out = folder(tmp_path / "images", count=1), tmp_path / "r.csv"
    out.write_text("name,marks\n")
    ended = sidscan("scan", images, "--out", out)
    assert ended.code == 7
    assert ended.err == (
        f"sidscan: {out} is there and was not written by sidscan; it is left alone\n"
        "Choose another --out, or replace it with --overwrite.\n"
    )
    assert out.read_text() == "name,marks\n"
    assert not Path(f"{out}.journal").exists()
    assert sidscan("scan", images, "--out", out, "--overwrite").code == 0
    assert out.read_text().startswith("path,status,")


def test_two_scans_with_separate_journals_never_share_a_report(sidscan: Run, tmp_path: Path) -> None:
    images, out = folder(tmp_path / "images", count=1), tmp_path / "r.csv"
    with reserve_all([output_for(str(out))]):
        ended = sidscan("scan", images, "--out", out, "--journal", tmp_path / "other.journal")
    assert ended.code == 7
    assert ended.err.startswith("sidscan: r.csv is being written by another scan\nWait for it to end")
