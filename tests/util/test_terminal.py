"""Terminal output: no text moves the cursor, changes the writing direction, or stays invisible."""

from __future__ import annotations

import io
import shlex
import subprocess
import sys
import unicodedata
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from sidscan.util.terminal import SafeStream, progress_stream, safe_line, safe_text

Run = Callable[..., Any]


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        pytest.param("写真 é 👍 a\tb\n", "写真 é 👍 a\tb\n", id="ordinary"),
        pytest.param("\x1b[31m\x9b2J\x07\x00\x7f", "\\x1b[31m\\x9b2J\\x07\\x00\\x7f", id="controls"),
        pytest.param("a\rb", "a\\x0db", id="carriage return"),
        pytest.param("\u202e\u2066\u061c\u200f", "\\u202e\\u2066\\u061c\\u200f", id="direction"),
        pytest.param(
            "a\u200b\u200d\u2060\ufeff\u00adb", "a\\u200b\\u200d\\u2060\\ufeff\\xadb", id="zero width"
        ),
        pytest.param("\u2028\u2029\x85", "\\u2028\\u2029\\x85", id="line separators"),
        pytest.param("\ufff9\ufffa\ufffb", "\\ufff9\\ufffa\\ufffb", id="annotation"),
        pytest.param("\U000e0001\U000e0041\U000e0101", "\\U000e0001\\U000e0041\\U000e0101", id="tags"),
        pytest.param("\u3164\uffa0\u115f\ufe0f", "\\u3164\\uffa0\\u115f\\ufe0f", id="fillers, variations"),
        pytest.param("\ud800\udce9", "\\ud800\\udce9", id="surrogates"),
    ],
)
def test_safe(text: str, shown: str) -> None:
    assert safe_text(text) == shown
    assert safe_text(shown) == shown


def test_every_control_format_and_separator_character_is_shown() -> None:
    raw = [c for c in map(chr, range(0x110000)) if unicodedata.category(c) in ("Cc", "Cf", "Cs", "Zl", "Zp")]
    visible = set("\n\t") | {  # visible characters
        c for c in raw if unicodedata.name(c, "").startswith(("ARABIC ", "SYRIAC ", "KAITHI ", "EGYPTIAN "))
    }
    assert [hex(ord(c)) for c in raw if safe_text(c) == c and c not in visible | {"\u061c"}] == []


def test_a_line_stays_one_line() -> None:
    assert safe_line("a\nsidscan: 9 scored\t\r") == "a\\x0asidscan: 9 scored\\x09\\x0d"


def test_a_stream_filters_everything_written_to_it() -> None:
    behind = io.StringIO()
    stream = SafeStream(behind)
    assert stream.write("\x1b[1mrow\r\n") == 9
    stream.writelines(["\x07", "\u202e\n"])
    print("printed\x1b", file=stream)
    assert behind.getvalue() == "\\x1b[1mrow\n\\x07\\u202e\nprinted\\x1b\n"


def test_standard_error_is_filtered_for_every_writer(sidscan: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stderr", sys.stderr)  # restores the stream that the command replaces
    ended = sidscan("scan", "--no\x1b[31m\u202esuch", "x")
    assert ended.code == 2
    assert "--no\\x1b[31m\\u202esuch" in ended.err
    assert "\x1b" not in ended.err


def test_warnings_and_tracebacks_are_filtered_too() -> None:
    program = (
        "import warnings, sidscan.cli as command\n"
        "def fail(**_):\n"
        "    warnings.warn('EXIF says \\x1b[2J')\n"
        "    raise ValueError('\\r\\x1b]0;title\\x07')\n"
        "command.cli.main = fail\n"
        "command.main()\n"
    )
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, check=False)
    shown = ended.stderr.decode()
    assert ended.returncode == 1
    assert "EXIF says \\x1b[2J\n" in shown
    assert "ValueError: \\x0d\\x1b]0;title\\x07\n" in shown
    assert not set(shown) & {"\x1b", "\r", "\x07"}


def test_progress_bars_write_past_the_filter(monkeypatch: pytest.MonkeyPatch) -> None:
    behind = io.StringIO()
    assert progress_stream() is sys.stderr
    monkeypatch.setattr(sys, "stderr", SafeStream(behind))
    assert progress_stream() is behind


@pytest.mark.parametrize("closed", ["1>&-", "2>&-", "1>&- 2>&-"])
def test_closed_streams_cause_no_traceback(closed: str) -> None:
    command = f"{shlex.quote(sys.executable)} -m sidscan models list {closed}"
    ended = subprocess.run(["sh", "-c", command], capture_output=True, check=False)
    assert ended.returncode == 0, ended.stderr
    assert b"Traceback" not in ended.stderr


def test_a_name_cannot_forge_a_line(sidscan: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    ended = sidscan("scan", "x\nsidscan: 9 inputs = 9 scored")
    assert ended.err.splitlines()[0] == (
        "sidscan: no such file or directory: x\\x0asidscan: 9 inputs = 9 scored"
    )
