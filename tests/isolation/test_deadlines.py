"""Deadlines: overdue processes are killed, whatever the order of their deadlines, and no others."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from sidscan.isolation.deadlines import Deadline, _watchdog
from sidscan.isolation.processes import ProcessNotStarted, WorkerProcess

SLEEPER = [sys.executable, "-c", "import time; time.sleep(600)"]


@pytest.fixture
def sleepers() -> Iterator[list[subprocess.Popen[bytes]]]:
    with ExitStack() as stack:
        started = [stack.enter_context(subprocess.Popen(SLEEPER)) for _ in range(4)]
        yield started
        for process in started:
            process.kill()


def test_only_processes_past_their_deadline_are_killed(sleepers: list[subprocess.Popen[bytes]]) -> None:
    began = time.monotonic()
    seconds = (60.0, 1.0, 1e12, 0.3)  # 1.0 is set after a later deadline; 1e12 seconds are centuries
    deadlines = [Deadline(process, after) for process, after in zip(sleepers, seconds, strict=True)]
    assert sleepers[3].wait(60) != 0
    assert sleepers[1].wait(60) != 0
    assert time.monotonic() - began >= 1
    assert [sleepers[0].poll(), sleepers[2].poll()] == [None, None]
    assert [deadline.cancel() for deadline in deadlines] == [False, True, False, True]
    assert _watchdog._deadlines.isdisjoint(deadlines)


def test_a_process_that_ends_in_time_is_not_killed(sleepers: list[subprocess.Popen[bytes]]) -> None:
    early, late = (Deadline(process, 0.3) for process in sleepers[:2])
    assert not early.cancel()
    assert sleepers[1].wait(60) != 0
    assert late.cancel()
    assert sleepers[0].poll() is None


def test_one_thread_watches_all_deadlines(sleepers: list[subprocess.Popen[bytes]]) -> None:
    Deadline(sleepers[0], 60).cancel()
    threads = threading.active_count()
    deadlines = [Deadline(process, 60) for process in sleepers for _ in range(10)]
    assert threading.active_count() == threads
    assert not any(deadline.cancel() for deadline in deadlines)


FORKED = f"""
import os, subprocess, sys, time
from sidscan.isolation.deadlines import Deadline, _watchdog
SLEEPER = {SLEEPER!r}
early = subprocess.Popen(SLEEPER)
Deadline(early, 2)
time.sleep(0.5)  # the thread waits, for two seconds after the start
with _watchdog._changed:  # another thread of the parent may hold it
    child = os.fork()
    if not child:
        sleeper = subprocess.Popen(SLEEPER)
        deadline = Deadline(sleeper, 3)
        began = time.monotonic()
        sleeper.wait(20)
        os._exit(0 if deadline.cancel() and time.monotonic() - began < 6 else 1)
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
early.kill()
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="Windows forks nothing")
def test_a_forked_process_watches_its_own_deadlines() -> None:
    ended = subprocess.run([sys.executable, "-c", FORKED], capture_output=True, text=True, timeout=60)
    assert ended.stdout == "0\n", ended.stderr  # newer Pythons warn of forking with threads


def test_no_process_starts_if_no_thread_can_watch_it(monkeypatch: pytest.MonkeyPatch) -> None:
    def start(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    process = WorkerProcess(SLEEPER, max_payload=1)
    with monkeypatch.context() as short:
        short.setattr(_watchdog, "_thread", None)
        short.setattr(threading.Thread, "start", start)
        with pytest.raises(ProcessNotStarted, match="thread"):
            process.start()
    assert not any(deadline.process.args == SLEEPER for deadline in _watchdog._deadlines)
    process.close()


STOPPED = f"""
import subprocess, sys, time
from contextlib import nullcontext
from sidscan.isolation.deadlines import Deadline, _watchdog, running_time
sleeper = subprocess.Popen({SLEEPER!r})
if sys.argv[1] == "after a pause":  # the thread sleeps by then
    Deadline(sleeper, 60).cancel()
    time.sleep(7)
with _watchdog._changed if sys.argv[1] == "before the thread ran" else nullcontext():
    began, deadline = running_time(), Deadline(sleeper, 3)
    print("set", flush=True)
    sys.stdin.readline()  # the test stops and continues both processes
print(sleeper.poll(), deadline.expired, flush=True)
sleeper.wait()
print(deadline.cancel(), 3 <= running_time() - began < 5, flush=True)
"""


@pytest.mark.skipif(not hasattr(signal, "SIGSTOP"), reason="Windows stops nothing")
@pytest.mark.parametrize("when", ["at once", "after a pause", "before the thread ran"])
def test_time_in_which_everything_is_stopped_does_not_count(when: str) -> None:
    command = [sys.executable, "-c", STOPPED, when]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, start_new_session=True
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            assert process.stdout.readline() == "set\n"
            os.killpg(process.pid, signal.SIGSTOP)
            time.sleep(5)
            os.killpg(process.pid, signal.SIGCONT)
            process.stdin.write("\n")
            process.stdin.flush()
            assert process.stdout.readline() == "None False\n"
            assert process.stdout.readline() == "True True\n"
        finally:
            os.killpg(process.pid, signal.SIGKILL)
