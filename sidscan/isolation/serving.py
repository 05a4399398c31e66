"""What a process that reads untrusted bytes does: it answers tasks, within limits, till its parent ends."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable
from contextlib import suppress

from sidscan.isolation.confinement import confine
from sidscan.isolation.frames import READY, Frame, read_frame, write_frame
from sidscan.isolation.limits import exit_with_parent, ignore_signals, limit_memory, limit_time, take_stdout


def _nothing() -> None:
    """Prepare nothing."""


def serve(
    answer: Callable[[Frame], Iterable[Frame]],
    mebibytes: int,
    seconds: Callable[[Frame], float],
    prepare: Callable[[], object] = _nothing,
) -> None:
    """Answer tasks from standard input until it ends, each by one or more frames on standard output.

    Args:
        mebibytes: of memory for all tasks, beyond what the process holds when it is prepared.
        seconds: of processor time for a task.
        prepare: called once the process is confined, and before its memory is limited.
    """
    answers = take_stdout()
    ignore_signals()
    confine()  # before there is another thread
    exit_with_parent(os.getppid())
    prepare()
    limit_memory(mebibytes)
    write_frame(answers, READY)
    with suppress(EOFError, BrokenPipeError):
        while True:
            task = read_frame(sys.stdin.buffer)
            limit_time(seconds(task))
            for frame in answer(task):
                write_frame(answers, frame)
