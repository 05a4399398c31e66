"""Tables and plots of an evaluation: those that somebody edited are left alone."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Run = Callable[..., Any]
SCORES = "set,label,score\n" + "".join(
    f"a,{label},{score}\n"
    for label, score in (("real", 0.1), ("real", 0.4), ("synthetic", 0.3), ("synthetic", 0.9))
)


@pytest.fixture
def report(sidscan: Run, tmp_path: Path) -> tuple[str | Path, ...]:
    """The command of a report that was written once."""
    (tmp_path / "scores.csv").write_text(SCORES)
    command = ("evaluate", "report", tmp_path / "scores.csv", "--out", tmp_path / "out", "--bootstrap", "0")
    assert sidscan(*command, "--no-plots").code == 0
    return (*command, "--no-plots")


@pytest.mark.parametrize("name", ["results.md", "results.csv"])
def test_an_edited_table_is_left_alone(
    sidscan: Run, tmp_path: Path, report: tuple[str | Path, ...], name: str
) -> None:
    assert sidscan(*report).code == 0, "its own tables are replaced"
    table = tmp_path / "out" / name
    table.write_text(table.read_text() + "my note\n")
    refused = sidscan(*report)
    assert refused.code == 7
    assert refused.err == (
        f"sidscan: {table} was changed after sidscan wrote it, or is not its file; it is left alone\n"
        "Rename it to keep it; or choose another --out, or replace it with --overwrite.\n"
    )
    assert table.read_text().endswith("my note\n")
    assert sidscan(*report, "--overwrite").code == 0
    assert not table.read_text().endswith("my note\n")
    assert sidscan(*report).code == 0


def test_a_file_that_something_else_wrote_is_left_alone(
    sidscan: Run, tmp_path: Path, report: tuple[str | Path, ...]
) -> None:
    (tmp_path / "out" / ".sidscan-written.json").unlink()
    assert sidscan(*report).code == 7
