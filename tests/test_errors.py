"""Every exit code is documented."""

from __future__ import annotations

import re
from pathlib import Path

from sidscan import ExitCode


def test_every_exit_code_is_documented() -> None:
    text = (Path(__file__).parents[1] / "docs" / "reference" / "exit-codes.md").read_text(encoding="utf-8")
    assert [int(code) for code in re.findall(r"^\| (\d+) \|", text, re.MULTILINE)] == sorted(ExitCode)
