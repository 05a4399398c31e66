"""Processes that read images have no network, run no program, and see no other process."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

# In a process of its own: what is given up stays so.
TRY = """
import json, os, socket, sys, threading
from sidscan.isolation.confinement import confine
def tried(what):
    try:
        what()
        return "done"
    except OSError as error:
        return type(error).__name__
confined = confine()
attempts = {
    "network": lambda: socket.socket(),
    "local": lambda: socket.socket(socket.AF_UNIX),
    "environment": lambda: open(f"/proc/{os.getppid()}/environ", "rb").read(),
    "run": lambda: os.execv("/bin/true", ["true"]),
    "read": lambda: open(sys.argv[1] + "/there").read(),
}
print(json.dumps({"confined": confined, **{name: tried(each) for name, each in attempts.items()}}))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="means of Linux")
def test_what_a_confined_process_can_not_do(tmp_path: Path) -> None:
    (tmp_path / "there").write_text("text")
    ended = subprocess.run(
        [sys.executable, "-c", TRY, str(tmp_path)], capture_output=True, text=True, check=True
    )
    found = json.loads(ended.stdout)
    has_no_sockets, has_no_processes = found.pop("confined")
    if has_no_sockets:
        assert (found["network"], found["local"]) == ("PermissionError", "PermissionError")
    if has_no_processes:
        assert (found["environment"], found["run"]) == ("PermissionError", "PermissionError")
    assert found["read"] == "done"
    if not (has_no_sockets and has_no_processes):
        pytest.skip("this system has no seccomp or no Landlock")
