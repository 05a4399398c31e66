"""Processes that read images stay between the shards of a run."""

from __future__ import annotations

import gc
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from sample_images import folder

from sidscan.distributed.run_folder import RunFolder
from sidscan.distributed.shard import ShardScanner
from sidscan.isolation.confinement import can_confine
from sidscan.isolation.frames import Frame
from sidscan.isolation.processes import IdleProcesses, ProcessLost, WorkerPool, WorkerProcess

Run = Callable[..., Any]


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[subprocess.Popen[bytes]]:
    """The processes that are started from now on."""
    processes: list[subprocess.Popen[bytes]] = []
    original = WorkerProcess._open

    def note(self: WorkerProcess) -> subprocess.Popen[bytes]:
        processes.append(process := original(self))
        return process

    monkeypatch.setattr(WorkerProcess, "_open", note)
    return processes


def test_one_reader_reads_all_shards(
    sidscan: Run,
    tmp_path: Path,
    opened: list[subprocess.Popen[bytes]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It has no network and no secrets."""
    monkeypatch.setenv("RAY_AUTH_TOKEN", "secret")
    folder(tmp_path / "images", 12, side=230)
    mini = ("--model", "mini", "--crops", "center", "--device", "cpu")
    plan = sidscan("scan", tmp_path / "images", *mini, "--run", tmp_path / "run", "--shard-size", 4, "--plan")
    assert plan.code == 0, plan.err
    scanner = ShardScanner(RunFolder(tmp_path / "run"), tmp_path / "scratch", workers=1)
    shards = len(scanner.plan.slices)
    assert shards > 1
    for number in range(shards):
        assert scanner.scan(number).first
    (reader,) = opened
    assert reader.poll() is None
    if sys.platform == "linux":
        assert b"TOKEN" not in Path(f"/proc/{reader.pid}/environ").read_bytes()
        has_filter = "\nSeccomp:\t2\n" in Path(f"/proc/{reader.pid}/status").read_text()
        assert has_filter == can_confine()
    del scanner
    gc.collect()
    assert reader.poll() is not None


# It says that it is ready, and waits.
READY = "import sys; from sidscan.isolation.frames import *; write_frame(sys.stdout.buffer, READY); input()"


def test_a_process_that_is_lost_is_not_kept(opened: list[subprocess.Popen[bytes]]) -> None:
    idle = IdleProcesses()
    for is_lost in (True, False):
        process = WorkerProcess((sys.executable, "-c", READY), 0)
        process.start()
        if is_lost:
            os.kill(opened[-1].pid, 9)
            opened[-1].wait()
        idle.put(process)
        assert (idle.take(process.command) is None) == is_lost
        assert idle.take(("another",)) is None
        process.close()


# It answers each task with a part and never ends the answer.
BUSY = """import sys; from sidscan.isolation.frames import *; write_frame(sys.stdout.buffer, READY)
read_frame(sys.stdin.buffer); write_frame(sys.stdout.buffer, Frame({}, last=False)); input()"""


def test_a_process_that_does_a_task_is_ended(opened: list[subprocess.Popen[bytes]]) -> None:
    idle = IdleProcesses()
    process = WorkerProcess((sys.executable, "-c", BUSY), 0)
    process.start()
    answer = process.request(Frame({}), 60.0)
    assert not next(answer).last
    idle.put(process)
    assert idle.take(process.command) is None
    assert opened[0].poll() is not None
    with pytest.raises(ProcessLost):
        next(answer)


def test_processes_of_other_options_are_not_taken(opened: list[subprocess.Popen[bytes]]) -> None:
    idle = IdleProcesses()
    options = [f'{{"memory_limit": {limit}}}' for limit in (100, 200)]
    first, second = (
        WorkerPool("sidscan.isolation.worker", each, max_payload=0, idle=idle) for each in options
    )
    launched = first.launch()
    launched._is_ready = True
    idle.put(launched)
    assert second.launch() is not launched
    assert first.launch() is launched
    assert len(opened) == 2
    for process in opened:
        process.kill()
        process.wait()
