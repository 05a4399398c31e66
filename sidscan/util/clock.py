"""What time it is, and when the time of a scan is up."""

from __future__ import annotations

import time
from datetime import datetime, timezone


def utc_now() -> str:
    """The time now, ISO 8601, UTC, in whole seconds."""
    return datetime.now(timezone.utc).isoformat(timespec="seconds")


class Clock:
    """Runs from when it is made.

    Args:
        budget: seconds after which the time is up; None for no limit.
        until: when it is up by the clock on the wall; None for no limit.
    """

    def __init__(self, budget: float | None, until: datetime | None) -> None:
        self._started, self._budget = time.monotonic(), budget
        self._until = None if until is None else until.timestamp()

    def elapsed(self) -> float:
        """Seconds since it was made."""
        return time.monotonic() - self._started

    def is_up(self) -> bool:
        """Whether the time is up."""
        if self._budget is not None and self.elapsed() >= self._budget:
            return True
        return self._until is not None and time.time() >= self._until
