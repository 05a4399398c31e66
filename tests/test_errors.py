"""Every exit code is documented; interruptions are known."""

from __future__ import annotations

import re
from pathlib import Path

from sidscan import ExitCode
from sidscan.errors import was_interrupted


def test_every_exit_code_is_documented() -> None:
    text = (Path(__file__).parents[1] / "docs" / "reference" / "exit-codes.md").read_text(encoding="utf-8")
    assert [int(code) for code in re.findall(r"^\| (\d+) \|", text, re.MULTILINE)] == sorted(ExitCode)


def test_ctrl_c_that_a_library_hides_is_known() -> None:
    hidden = ImportError("initialization failed")
    hidden.__cause__ = KeyboardInterrupt()
    assert was_interrupted(hidden)
    assert was_interrupted(KeyboardInterrupt())
    assert not was_interrupted(ImportError("no module"))
