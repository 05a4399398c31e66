"""Kill processes whose time is up, with one thread for all of them.

A timer for every task would start a thread for every image. That takes a third of the time of reading a small
image in another process, and adds one more thread that wants Python's lock.

Time in which the scan itself is stopped (Ctrl-Z, SIGSTOP, `docker pause`, a suspended computer) is nobody's
time: workers are stopped, too. The thread wakes several times a second while it watches a process; where it
wakes much too late, that time is taken off the clock (`running_time`).
"""

from __future__ import annotations

import math
import os
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

_TICK = 0.2  # seconds between two looks at the clock while a process is watched
_STOPPED_AFTER = 1.0  # seconds: a thread that waits longer for the processor than this was stopped
_IDLE_TICKS = 25  # looks without a process to watch, after which the thread sleeps until there is one


class Deadline:
    """Kills a process when its time is up, unless `cancel` is called before.

    Attributes:
        expired: whether the process was killed.

    Raises:
        RuntimeError: the system can't start a thread.
    """

    def __init__(self, process: subprocess.Popen[bytes], seconds: float) -> None:
        self.process = process
        self.at = running_time() + seconds
        self.expired = False
        _watchdog.add(self)

    @contextmanager
    def held(self) -> Iterator[None]:
        """Time within this block does not count."""
        left, self.at = self.at - running_time(), math.inf
        try:
            yield
        finally:
            self.at = running_time() + left

    def cancel(self) -> bool:
        """Cancel the deadline; returns whether that was too late."""
        _watchdog.remove(self)
        return self.expired


class _Watchdog:
    def __init__(self) -> None:
        self.reset()
        if hasattr(os, "register_at_fork"):  # a fork copies no threads, and copies locks in their state
            os.register_at_fork(after_in_child=self.reset)

    def reset(self) -> None:
        """Drop all deadlines; in a forked process they belong to the parent."""
        self._changed = threading.Condition()
        self._deadlines: set[Deadline] = set()
        self._wakes_at = math.inf  # when the thread looks again by itself; inf while it sleeps
        self._thread: threading.Thread | None = None
        self._seen = 0.0  # when the clock was last looked at
        self.stopped = 0.0  # seconds in which this process was stopped

    def add(self, deadline: Deadline) -> None:
        with self._changed:
            started = self._thread is not None and self._thread.is_alive()
            if not started or self._wakes_at == math.inf:  # a stop before the thread runs counts, too
                self._seen = time.monotonic()
            if not started:
                thread = threading.Thread(target=self._kill_expired, name="sidscan-deadlines", daemon=True)
                thread.start()
                self._thread = thread
            self._deadlines.add(deadline)
            if deadline.at + self.stopped < self._wakes_at:
                self._wakes_at = self._seen
                self._changed.notify()

    def remove(self, deadline: Deadline) -> None:
        with self._changed:
            self._deadlines.discard(deadline)

    def _kill_expired(self) -> None:
        with self._changed:
            idle = 0
            while True:
                now = time.monotonic()
                if now - self._seen > _TICK + _STOPPED_AFTER:
                    self.stopped += now - self._seen - _TICK
                self._seen = now
                # A copy: an abandoned answer may be garbage-collected here and cancel its deadline.
                deadlines = tuple(self._deadlines)
                for deadline in [each for each in deadlines if each.at <= now - self.stopped]:
                    self._deadlines.discard(deadline)
                    deadline.expired = True
                    with suppress(OSError):  # the process has just ended by itself
                        deadline.process.kill()
                idle = 0 if deadlines else idle + 1
                if idle > _IDLE_TICKS:
                    self._wakes_at = math.inf
                    self._changed.wait()
                else:
                    next_deadline = min((each.at + self.stopped for each in deadlines), default=math.inf)
                    self._wakes_at = min(next_deadline, now + _TICK)
                    self._changed.wait(max(self._wakes_at - time.monotonic(), 0))


_watchdog = _Watchdog()


def running_time() -> float:
    """Seconds of a monotonic clock that stands still while this process is stopped and watches another."""
    return time.monotonic() - _watchdog.stopped
