"""Processes that read images and reports have no network, run no program, write no file, see no process."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from sidscan.config import ScanConfig
from sidscan.isolation.confinement import can_confine
from sidscan.isolation.processes import WorkerProcess, python_command
from sidscan.isolation.protocol import WorkerOptions

# In a process of its own: what is given up stays so.
TRY = """
import fcntl, json, os, socket, sys, termios
from sidscan.isolation.confinement import _landlock_version, _library, confine
def tried(what):
    try:
        what()
        return "done"
    except OSError as error:
        return type(error).__name__
terminal = os.open("/dev/null", os.O_RDWR)
there = sys.argv[1] + "/there"
version = _landlock_version(_library()) if sys.platform == "linux" else 0
confined = confine()
memory = os.memfd_create("program")
os.write(memory, b"no program")
attempts = {
    "network": lambda: socket.socket(),
    "local": lambda: socket.socket(socket.AF_UNIX),
    "environment": lambda: open(f"/proc/{os.getppid()}/environ", "rb").read(),
    "run": lambda: os.execv("/bin/true", ["true"]),
    "run from memory": lambda: os.execve(memory, ["true"], {}),
    "type": lambda: fcntl.ioctl(terminal, termios.TIOCSTI, b"x"),
    "another request": lambda: fcntl.ioctl(memory, termios.FIONBIO, bytes(4)),
    "read": lambda: open(there).read(),
    "write": lambda: os.open(there, os.O_WRONLY),
    "append": lambda: open(there, "a"),
    "create": lambda: open(sys.argv[1] + "/new", "x"),
    "make a folder": lambda: os.mkdir(sys.argv[1] + "/new"),
    "link": lambda: os.symlink("there", sys.argv[1] + "/new"),
    "second name": lambda: os.link(there, sys.argv[1] + "/new"),
    "rename": lambda: os.rename(there, sys.argv[1] + "/new"),
    "remove": lambda: os.remove(there),
    "remove a folder": lambda: os.rmdir(sys.argv[1] + "/folder"),
    "cut": lambda: os.truncate(there, 0),
}
outcomes = {name: tried(each) for name, each in attempts.items()}
print(json.dumps({"confined": confined, "version": version, **outcomes}))
"""


WRITING = (
    *("write", "append", "create", "make a folder", "link", "second name", "rename", "remove"),
    "remove a folder",
)


@pytest.mark.skipif(sys.platform != "linux", reason="means of Linux")
def test_what_a_confined_process_can_not_do(tmp_path: Path) -> None:
    (tmp_path / "there").write_text("text")
    (tmp_path / "folder").mkdir()
    ended = subprocess.run(
        [sys.executable, "-c", TRY, str(tmp_path)], capture_output=True, text=True, check=True
    )
    found = json.loads(ended.stdout)
    has_no_sockets, has_no_processes = found.pop("confined")
    version = found.pop("version")
    if has_no_sockets:
        for attempt in ("network", "local", "run", "run from memory", "type"):
            assert found[attempt] == "PermissionError", attempt
    if has_no_processes:
        refused = {name for name, outcome in found.items() if outcome == "PermissionError"}
        assert refused >= {"environment", *WRITING}
        assert sorted(tmp_path.iterdir()) == [tmp_path / "folder", tmp_path / "there"]
        kept = "text" if version >= 3 else ""  # Linux before 6.2 lets it be cut
        assert (tmp_path / "there").read_text() == kept
    assert (found["read"], found["another request"]) == ("done", "done")
    if not (has_no_sockets and has_no_processes):
        pytest.skip("this system has no seccomp or no Landlock")


@pytest.mark.skipif(not can_confine(), reason="this system has no seccomp or no Landlock")
@pytest.mark.parametrize("worker", ["worker", "archive_worker", "thumbnail_worker", "report_worker"])
def test_all_that_read_a_stranger_s_bytes_are_confined(worker: str) -> None:
    options = WorkerOptions.from_config(ScanConfig(inputs=("image.jpg",))).to_json()
    process = WorkerProcess(python_command(f"sidscan.isolation.{worker}", options), 0)
    try:
        process.start()
        assert process._running is not None
        status = Path(f"/proc/{process._running.pid}/status").read_text()
        assert "\nSeccomp:\t2\n" in status
    finally:
        process.close()
