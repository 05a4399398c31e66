"""Limit how many requests a host gets at once, how often, and when none at all."""

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
class _HostState:
    active: int = 0
    not_before: float = 0.0  # seconds, monotonic


class RateLimiter:
    """Makes threads wait for their turn at a host.

    Args:
        concurrency: requests that a host gets at the same time.
        rate: requests that a host gets per second, evenly spaced; None for no limit.
    """

    def __init__(self, concurrency: int, rate: float | None = None) -> None:
        self._concurrency, self._interval = concurrency, 1 / rate if rate else 0.0
        self._changed = threading.Condition()
        self._hosts: defaultdict[str, _HostState] = defaultdict(_HostState)
        self._closed = False

    @contextmanager
    def slot(self, host: str) -> Iterator[float]:
        """Hold one of the slots of ``host``; yields the seconds that the thread waited for it.

        Raises:
            FetchError: `close` was called meanwhile.
        """
        began = time.monotonic()
        with self._changed:
            state = self._hosts[host]
            while delay := self._delay(state):
                self._wait(delay)
            state.active += 1
            state.not_before = max(state.not_before, time.monotonic() + self._interval)
        try:
            yield time.monotonic() - began
        finally:
            with self._changed:
                state.active -= 1
                self._changed.notify_all()

    def block(self, host: str, seconds: float) -> None:
        """Send no request to ``host`` for that long."""
        with self._changed:
            state = self._hosts[host]
            state.not_before = max(state.not_before, time.monotonic() + seconds)

    def pause(self, seconds: float) -> None:
        """Sleep, unless `close` comes first.

        Raises:
            FetchError: `close` was called meanwhile.
        """
        end = time.monotonic() + seconds
        with self._changed:
            while (left := end - time.monotonic()) > 0:
                self._wait(left)

    def close(self) -> None:
        """End all waiting, now and later."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def _delay(self, state: _HostState) -> float:
        """Seconds to wait; infinite if another request must end first."""
        self._check_open()
        return math.inf if state.active >= self._concurrency else max(state.not_before - time.monotonic(), 0)

    def _wait(self, seconds: float) -> None:
        self._check_open()
        self._changed.wait(None if math.isinf(seconds) else seconds)
        self._check_open()

    def _check_open(self) -> None:
        if self._closed:
            raise FetchError("the scan ended")
