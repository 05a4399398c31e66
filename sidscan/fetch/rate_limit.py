"""Politeness: how many requests a host gets at once, how often, and when not at all."""

from __future__ import annotations

import math
import threading
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from sidscan.fetch.errors import FetchError


@dataclass
class _Host:
    active: int = 0
    not_before: float = 0.0  # seconds, monotonic


class RateLimiter:
    """Threads wait here for their turn at a host.

    Args:
        at_once: requests that a host gets at the same time.
        rate: requests that a host gets per second, evenly spaced; None for no limit.
    """

    def __init__(self, at_once: int, rate: float | None = None) -> None:
        self._at_once, self._interval = at_once, 1 / rate if rate else 0.0
        self._changed = threading.Condition()
        self._hosts: defaultdict[str, _Host] = defaultdict(_Host)
        self._closed = False

    @contextmanager
    def slot(self, host: str) -> Iterator[float]:
        """Holds a place at ``host``; yields the seconds that were waited for it.

        Raises:
            FetchError: closed meanwhile.
        """
        began = time.monotonic()
        with self._changed:
            entry = self._hosts[host]
            while delay := self._delay(entry):
                self._wait(delay)
            entry.active += 1
            entry.not_before = max(entry.not_before, time.monotonic() + self._interval)
        try:
            yield time.monotonic() - began
        finally:
            with self._changed:
                entry.active -= 1
                self._changed.notify_all()

    def block(self, host: str, seconds: float) -> None:
        """Nobody asks ``host`` for that long."""
        with self._changed:
            entry = self._hosts[host]
            entry.not_before = max(entry.not_before, time.monotonic() + seconds)

    def pause(self, seconds: float) -> None:
        """Sleeps, unless `close` comes first.

        Raises:
            FetchError: closed meanwhile.
        """
        end = time.monotonic() + seconds
        with self._changed:
            while (left := end - time.monotonic()) > 0:
                self._wait(left)

    def close(self) -> None:
        """Ends all waiting, now and later."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def _delay(self, entry: _Host) -> float:
        """Seconds to wait; infinite where another request must end first."""
        self._check_open()
        return math.inf if entry.active >= self._at_once else max(entry.not_before - time.monotonic(), 0)

    def _wait(self, seconds: float) -> None:
        self._check_open()
        self._changed.wait(None if math.isinf(seconds) else seconds)
        self._check_open()

    def _check_open(self) -> None:
        if self._closed:
            raise FetchError("the scan ended")
