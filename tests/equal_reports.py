"""Reports of the same images by different ways to scan them."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

TIMES = {"scanned_at"}
# Batches differ, and so do last digits.
COMPUTED = {"score", "logit", "crop_min", "crop_max", "crop_std", "copy_score_min", "copy_score_max"}


def rows(path: str | Path) -> list[dict[str, str]]:
    """The rows of a CSV report."""
    with Path(path).open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def assert_equal_reports(first: str, second: str) -> None:
    """All rows agree but for their times, and in the last digits of scores."""
    left, right = rows(first), rows(second)
    assert [row["path"] for row in left] == [row["path"] for row in right]
    for one, other in zip(left, right, strict=True):
        for name, value in one.items():
            if name in COMPUTED and value:
                assert float(value) == pytest.approx(float(other[name]), abs=1e-5)
            elif name not in TIMES:
                assert value == other[name], (one["path"], name)
