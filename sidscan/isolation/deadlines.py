"""Deadlines of processes: one thread of the program kills those whose time is up.

A timer of its own for every task would be a thread for every picture: a third of what reading a small one in
another process takes, and one more that wants Python's lock.
"""

from __future__ import annotations

import math
import os
import subprocess
import threading
import time
from contextlib import suppress

_MAX_WAIT_SECONDS = 3600.0  # seconds; longer ones would overflow where somebody sets a deadline of years


class Deadline:
    """Kills a process when its time is up, unless it is told before that it is over.

    Raises:
        RuntimeError: the system has no thread to give.
    """

    def __init__(self, process: subprocess.Popen[bytes], seconds: float) -> None:
        self.process = process
        self.at = time.monotonic() + seconds
        self.late = False
        _watchdog.add(self)

    def over(self) -> bool:
        """Call it off; whether it was too late for that."""
        _watchdog.remove(self)
        return self.late


class _Watchdog:
    def __init__(self) -> None:
        self.start_over()
        if hasattr(os, "register_at_fork"):  # a fork takes no threads along, and locks as they are
            os.register_at_fork(after_in_child=self.start_over)

    def start_over(self) -> None:
        """Without deadlines, as in a process that was forked from one that has some."""
        self._changed = threading.Condition()
        self._set: set[Deadline] = set()
        self._wakes = math.inf  # when the thread looks again by itself
        self._thread: threading.Thread | None = None

    def add(self, deadline: Deadline) -> None:
        with self._changed:
            if self._thread is None or not self._thread.is_alive():
                thread = threading.Thread(target=self._kill_the_late, name="sidscan-deadlines", daemon=True)
                thread.start()
                self._thread = thread
            self._set.add(deadline)
            if deadline.at < self._wakes:
                self._changed.notify()

    def remove(self, deadline: Deadline) -> None:
        with self._changed:
            self._set.discard(deadline)

    def _kill_the_late(self) -> None:
        with self._changed:
            while True:
                now = time.monotonic()
                # a copy: an answer that nobody waits for may be collected here, and calls its deadline off
                for deadline in [one for one in tuple(self._set) if one.at <= now]:
                    self._set.discard(deadline)
                    deadline.late = True
                    with suppress(OSError):  # it has just ended by itself
                        deadline.process.kill()
                first = min((one.at for one in tuple(self._set)), default=math.inf)
                self._wakes = min(first, now + _MAX_WAIT_SECONDS)
                self._changed.wait(self._wakes - now)


_watchdog = _Watchdog()
