"""`sidscan evaluate report REPORT --manifest`: images are matched by their bytes."""

from __future__ import annotations

import csv
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

from sample_images import encoded, photo

from sidscan.training.evaluation.scan_scores import join_scan
from sidscan.training.evaluation.testsets import find_test_sets

Run = Callable[..., Any]


def test_bytes_decide_and_not_the_name(sidscan: Run, tmp_path: Path) -> None:
    data, report = tmp_path / "in", tmp_path / "r.csv"
    data.mkdir()
    for number in range(6):
        (data / f"{number}.png").write_bytes(encoded(photo(230, 230, number), "PNG"))
    rows = (f"in/{number}.png,{'real' if number < 3 else 'synthetic'}" for number in range(6))
    (tmp_path / "m.csv").write_text("\n".join(["path,label", *rows]), encoding="utf-8")
    assert sidscan("scan", data, "--model", "mini", "--crops", "center", "--out", report).code == 0
    with report.open(encoding="utf-8", newline="") as file:
        scores = [float(row["score"]) for row in csv.DictReader(file)]

    (data / "0.png").write_bytes((data / "1.png").read_bytes())  # the name of another image
    (data / "5.png").write_bytes(encoded(photo(230, 230, 9), "PNG"))  # bytes that nobody scanned
    joined = join_scan(report, find_test_sets(tmp_path / "m.csv", "manifest"))
    assert (joined.absent, joined.changed, joined.unlabelled, joined.by_name) == (0, 1, 2, 0)
    table = joined.table.set_index("path")["score"]
    assert table[:5].tolist() == [scores[1], *scores[1:5]]
    assert math.isnan(table["in/5.png"])

    arguments = ("evaluate", "report", report, "--manifest", tmp_path / "m.csv", "--no-plots")
    ended = sidscan(*arguments, "--bootstrap", "0", "--out", tmp_path / "o")
    assert ended.code == 3, ended.err
    assert f"1 image of {tmp_path / 'm.csv'} changed since the scan (other bytes), left out\n" in ended.err
    assert f"2 rows of {report} without a label, left out\n" in ended.err
    assert "| 3 | 2 | 1 |" in ended.out  # real, synthetic, unreadable
