"""How much work a call is, in lines of Python that it runs: the same on every machine, other than seconds."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any


class TooManySteps(BaseException):
    """Not an Exception, so that no reader takes it for an error of its own."""


@contextmanager
def at_most(steps: int) -> Iterator[None]:
    """Run a block, which may take so many lines of Python.

    Raises:
        TooManySteps: it would take more.
    """
    taken = 0

    def count(frame: FrameType, event: str, arg: Any) -> Any:
        nonlocal taken
        taken += event == "line"
        if taken > steps:
            raise TooManySteps
        return count

    before = sys.gettrace()
    sys.settrace(count)
    try:
        yield
    finally:
        sys.settrace(before)
