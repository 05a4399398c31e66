"""Ctrl-C takes effect at a safe moment."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType


@contextmanager
def deferred_interrupts() -> Iterator[Callable[[], bool]]:
    """Within the block, SIGINT and SIGTERM only make the yielded function return True; a second one acts.

    A step of a fit changes many tensors. Stopped halfway, the fit could not go on from there.
    """
    requested = False

    def note(number: int, frame: FrameType | None) -> None:
        nonlocal requested
        if requested:
            signal.default_int_handler(number, frame)
        requested = True

    if threading.current_thread() is not threading.main_thread():  # only there can handlers be set
        yield lambda: False
        return
    before = {number: signal.signal(number, note) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield lambda: requested
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
