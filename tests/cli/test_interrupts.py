"""Signals that come while an interrupted scan closes: it ends in its own words, with its own exit code."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from sample_images import folder

pty = pytest.importorskip("pty", reason="Windows has no pseudo-terminals")

_SLOW = """
import sys, time
from sidscan import cli
from sidscan.journal import Journal
append, pauses = Journal.append, [60, 0.3]  # until the first signal comes
def slow(*args, **kwargs):
    append(*args, **kwargs)
    print("one batch", flush=True)
    time.sleep(pauses.pop(0) if len(pauses) > 1 else pauses[0])
Journal.append = slow
sys.argv[0] = "sidscan"
cli.main()
"""


def _interrupted(process: subprocess.Popen[bytes], terminal: int, send: list[int | bytes]) -> tuple[int, str]:
    """Exit code and output of a scan that gets signals, or keys, soon after its first batch."""
    output = b""
    while b"one batch" not in output:
        output += os.read(terminal, 4096)
    for each in send:
        if isinstance(each, bytes):
            os.write(terminal, each)
        else:
            process.send_signal(each)
        time.sleep(0.15)
    try:
        while part := os.read(terminal, 4096):
            output += part
    except OSError:  # as Linux says that the other end is closed
        pass
    return process.wait(60), output.decode()


@pytest.mark.parametrize(
    "send",
    [
        pytest.param([b"\x03"] * 3, id="Ctrl-C"),
        pytest.param([b"\x03"] * 12, id="Ctrl-C until it ends"),
        pytest.param([signal.SIGTERM, signal.SIGINT, signal.SIGTERM], id="signals"),
    ],
)
def test_more_signals_do_not_disturb_the_closing(tmp_path: Path, send: list[int | bytes]) -> None:
    images, out = folder(tmp_path / "images", count=12), tmp_path / "r.csv"
    terminal, other_end = pty.openpty()
    command = [sys.executable, "-c", _SLOW, "scan", str(images), "--model", "mini", "--batch", "10"]
    process = subprocess.Popen(
        [*command, "--out", str(out)],
        stdin=other_end,
        stdout=other_end,
        stderr=other_end,
        start_new_session=True,
        preexec_fn=lambda: _take_terminal(other_end),
    )
    os.close(other_end)
    try:
        code, output = _interrupted(process, terminal, send)
    finally:
        process.kill()
        os.close(terminal)
    assert code == 130, output
    assert "results are kept in" in output
    assert "sidscan: interrupted" in output
    assert "Traceback" not in output
    assert "Exception ignored" not in output
    assert "terminate called" not in output


def _take_terminal(terminal: int) -> None:
    """Make Ctrl-C on this terminal a signal to this process and its children."""
    import fcntl
    import termios

    fcntl.ioctl(terminal, termios.TIOCSCTTY, 0)
