"""``--only``, ``--sort``, ``--top`` and ``--columns`` of ``sidscan scan``."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from sample_images import folder
from sample_results import rows

Run = Callable[..., Any]


def test_reports_of_a_scan_show_the_rows_that_are_chosen(
    sidscan: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    images, out = folder(tmp_path / "images"), tmp_path / "r.csv"
    scan = ("scan", images, "--model", "mini", "--out", out)
    ended = sidscan(*scan, "--top", "2", "--columns", "path,logit")
    assert "reports show 2 of 3 results: sorted by evidence; at most 2\n" in ended.err
    first, second = (float(row["logit"]) for row in rows(out.read_text()))
    assert first > second
    ended = sidscan(*scan)
    assert ended.code == 0, "the next scan replaces its own report"
    assert len(rows(out.read_text())) == 3
    assert "reports show" not in ended.err


@pytest.mark.parametrize("options", [["--only", "scor>1"], ["--columns", "pth"], ["--sort", "wdth"]])
def test_unknown_columns_are_refused_before_a_model_is_loaded(
    sidscan: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: list[str]
) -> None:
    monkeypatch.setattr("sidscan.cli.console.open_run", None)
    ended = sidscan("scan", folder(tmp_path / "images"), "--out", tmp_path / "r.csv", *options)
    assert ended.code == 2
    assert ended.err.startswith("sidscan: there is no column '")


def test_rows_of_a_table_on_a_terminal_are_not_chosen(
    sidscan: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sidscan.cli.console.is_terminal", lambda stream: True)
    ended = sidscan("scan", folder(tmp_path / "images"), "--model", "mini", "--top", "2")
    assert ended.code == 2
    assert "--only, --sort, --top and --columns are for reports\n" in ended.err
