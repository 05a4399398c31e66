"""Deadlines of processes: one thread of the program kills those whose time is up.

A timer of its own for every task would be a thread for every picture: a fourth of what reading a small one in
another process costs, and one more that wants Python's lock.
"""

from __future__ import annotations

import math
import subprocess
import threading
import time
from contextlib import suppress

_LONGEST_WAIT = 3600.0  # seconds; longer ones would overflow where somebody sets a deadline of years


class Deadline:
    """Kills a process when its time is up, unless it is told before that it is over.

    Raises:
        RuntimeError: the system has no thread to give.
    """

    def __init__(self, process: subprocess.Popen[bytes], seconds: float) -> None:
        self.process = process
        self.at = time.monotonic() + seconds
        self.late = False
        _watch.add(self)

    def over(self) -> bool:
        """Call it off; whether it was too late for that."""
        _watch.remove(self)
        return self.late


class _Watch:
    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._set: set[Deadline] = set()
        self._wakes = math.inf  # when the thread looks again by itself
        self._thread: threading.Thread | None = None

    def add(self, deadline: Deadline) -> None:
        with self._changed:
            if self._thread is None or not self._thread.is_alive():  # a fork takes no threads along
                self._thread = threading.Thread(target=self._kill_the_late, daemon=True)
                self._thread.start()
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
                for deadline in [one for one in self._set if one.at <= now]:
                    self._set.discard(deadline)
                    deadline.late = True
                    with suppress(OSError):  # it has just ended by itself
                        deadline.process.kill()
                first = min((one.at for one in self._set), default=math.inf)
                self._wakes = min(first, now + _LONGEST_WAIT)
                self._changed.wait(self._wakes - now)


_watch = _Watch()
