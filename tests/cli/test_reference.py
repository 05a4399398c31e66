"""docs/cli.md contains the current --help of every command."""

from __future__ import annotations

import os
import runpy
from pathlib import Path

import pytest

DOCS = Path(__file__).parents[2] / "docs"


@pytest.mark.parametrize("columns", ["40", "200"])
def test_the_page_is_current_at_any_terminal_width(columns: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", columns)
    script = runpy.run_path(os.fspath(DOCS / "make_cli.py"))
    page = (DOCS / "cli.md").read_text(encoding="utf-8")
    assert page == script["page"](), "run `python docs/make_cli.py`"
