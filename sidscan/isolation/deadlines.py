"""Kill processes whose time is up, with one thread for all of them.

A timer for every task would start a thread for every image. That takes a third of the time of reading a small
image in another process, and adds one more thread that wants Python's lock.
"""

from __future__ import annotations

import math
import os
import subprocess
import threading
import time
from contextlib import suppress

_MAX_WAIT_SECONDS = 3600.0  # longer waits would overflow if somebody set a deadline of years


class Deadline:
    """Kills a process when its time is up, unless `cancel` is called before.

    Attributes:
        expired: whether the process was killed.

    Raises:
        RuntimeError: the system can't start a thread.
    """

    def __init__(self, process: subprocess.Popen[bytes], seconds: float) -> None:
        self.process = process
        self.at = time.monotonic() + seconds
        self.expired = False
        _watchdog.add(self)

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
        self._wakes_at = math.inf  # when the thread looks again by itself
        self._thread: threading.Thread | None = None

    def add(self, deadline: Deadline) -> None:
        with self._changed:
            if self._thread is None or not self._thread.is_alive():
                thread = threading.Thread(target=self._kill_expired, name="sidscan-deadlines", daemon=True)
                thread.start()
                self._thread = thread
            self._deadlines.add(deadline)
            if deadline.at < self._wakes_at:
                self._changed.notify()

    def remove(self, deadline: Deadline) -> None:
        with self._changed:
            self._deadlines.discard(deadline)

    def _kill_expired(self) -> None:
        with self._changed:
            while True:
                now = time.monotonic()
                # A copy: an abandoned answer may be garbage-collected here and cancel its deadline.
                for deadline in [each for each in tuple(self._deadlines) if each.at <= now]:
                    self._deadlines.discard(deadline)
                    deadline.expired = True
                    with suppress(OSError):  # the process has just ended by itself
                        deadline.process.kill()
                next_deadline = min((each.at for each in tuple(self._deadlines)), default=math.inf)
                self._wakes_at = min(next_deadline, now + _MAX_WAIT_SECONDS)
                self._changed.wait(self._wakes_at - now)


_watchdog = _Watchdog()
