"""Completions and the man page, as docs/howto/shell.md describes them."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
COMMANDS = ("calibrate", "evaluate", "export-onnx", "models", "scan", "study", "train", "verify")


def completed(words: str, position: int) -> list[str]:
    """What bash would be offered."""
    program = "import sys; sys.argv[0] = 'sidscan'; from sidscan.cli import main; main()"
    environment = {
        **os.environ,
        "_SIDSCAN_COMPLETE": "bash_complete",
        "COMP_WORDS": words,
        "COMP_CWORD": str(position),
    }
    ended = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False, env=environment
    )
    return [line.partition(",")[2] for line in ended.stdout.splitlines()]


@pytest.mark.parametrize(
    ("words", "position", "offered"),
    [
        ("sidscan sc", 1, ["scan"]),
        ("sidscan scan --csv", 2, ["--csv-dialect"]),
        ("sidscan scan --csv-dialect excel", 3, ["excel", "excel-de"]),
    ],
)
def test_words_are_completed(words: str, position: int, offered: list[str]) -> None:
    assert completed(words, position) == offered


def test_the_man_page_has_every_command(tmp_path: Path) -> None:
    subprocess.run([sys.executable, ROOT / "docs" / "make_man.py", tmp_path], check=True, cwd=tmp_path)
    text = (tmp_path / "sidscan.1").read_text(encoding="utf-8")
    assert text.startswith(".TH SIDSCAN 1 ")
    for name in COMMANDS:
        assert f"\n.SH SIDSCAN {name.upper()}\n.nf\nUsage: sidscan " in text
    if shutil.which("groff"):
        shown = subprocess.run(
            ["groff", "-man", "-Tutf8", "-ww", tmp_path / "sidscan.1"], capture_output=True, check=True
        )
        assert shown.stderr == b""
