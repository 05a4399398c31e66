"""How long a scan still takes: one line, and the bar."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from sidscan.util.progress import Bar
from sidscan.util.terminal import Echo, plural

if TYPE_CHECKING:
    from sidscan.scoring.pace import Pace

TIME_LEFT_LAYOUT = "{l_bar}{bar}| {n_fmt}/{total_fmt} [{elapsed}{postfix}, {rate_fmt}]"
"""Of the bar: what `TimeLeft` knows stands for the library's estimate, which counts all images alike."""
LISTING_LAYOUT = "{n_fmt}/{total_fmt} listed so far [{elapsed}, {rate_fmt}]"
"""Of the bar, while nobody knows how many inputs there are."""
_SHORTEST = 30  # seconds; what takes less needs no line
_PATIENCE = 15.0  # seconds without any image, after which a line says why that may be
_EVERY = 1.0  # seconds between two changes of the bar


class TimeLeft:
    """Says once how long a scan takes, as soon as that is known, and keeps the bar up to date."""

    def __init__(self, pace: Pace, bar: Bar, echo: Echo) -> None:
        self._pace, self._bar, self._echo = pace, bar, echo
        self._said, self._changed = False, 0.0

    @contextmanager
    def saying_what_it_waits_for(self) -> Iterator[None]:
        """Say so if the first image takes long to read."""
        over = threading.Event()
        threading.Thread(target=self._say_waiting, args=(over,), daemon=True).start()
        try:
            yield
        finally:
            over.set()

    def _say_waiting(self, over: threading.Event) -> None:
        while not over.wait(_PATIENCE) and not self._pace.has_read:
            if not self._pace.is_waiting:
                continue  # nothing is listed yet: the wait for the first image is still to come
            self._bar.clear()
            self._echo(
                f"nothing was read in {_PATIENCE:g} seconds: the disk may be waking up, or a share is slow"
            )
            return

    def update(self) -> None:
        """Show what is known now."""
        now = time.monotonic()
        if now - self._changed < _EVERY or (seconds := self._pace.seconds_left()) is None:
            return
        self._changed = now
        self._bar.set_postfix_str(f"{_clock(seconds)} left", refresh=False)
        if not self._said:
            self._said = True
            if seconds >= _SHORTEST:
                self._bar.clear()
                self._echo(time_left_line(self._pace.images_left, seconds, self._pace.images_seen))


def time_left_line(images: int, seconds: float, seen: int, now: datetime | None = None) -> str:
    """For example ``9900 images left: about 14 minutes, until 17:42 (by the first 100)``."""
    now = now or datetime.now().astimezone()
    until = now + timedelta(seconds=seconds)
    clock = f"{until:%H:%M}" if until.date() == now.date() else f"{until:%Y-%m-%d %H:%M}"
    return f"{plural(images, 'image')} left: about {_words(seconds)}, until {clock} (by the first {seen})"


def _words(seconds: float) -> str:
    if seconds < 90:
        return plural(round(seconds), "second")
    if seconds < 600:
        return f"{seconds / 60:.1f} minutes"
    if seconds < 90 * 60:
        return plural(round(seconds / 60), "minute")
    return plural(round(seconds / 3600), "hour") if seconds >= 36_000 else f"{seconds / 3600:.1f} hours"


def _clock(seconds: float) -> str:
    hours, rest = divmod(round(seconds), 3600)
    return f"{hours}:{rest // 60:02}:{rest % 60:02}" if hours else f"{rest // 60:02}:{rest % 60:02}"
