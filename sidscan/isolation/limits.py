"""What a process that reads untrusted bytes does at its start, and the limits that it sets itself."""

from __future__ import annotations

import os
import signal
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

_GRACE_SECONDS = 5  # of processor time beyond the deadline, in case no parent is left to end the process


def take_stdout() -> BinaryIO:
    """Standard output for answers alone: what a library prints must not land between frames."""
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    return answers


def ignore_signals() -> None:
    """Leave interrupts to the parent, which ends its processes."""
    for name in ("SIGINT", "SIGTERM", "SIGHUP"):
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), signal.SIG_IGN)


def limit_memory(mebibytes: int) -> None:
    """Limit the memory beyond what the process holds at its start, on systems that have such limits."""
    with suppress(ImportError, OSError, ValueError):
        import resource

        held = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0]) * resource.getpagesize()
        _set_limit(resource.RLIMIT_AS, held + (mebibytes << 20))


def limit_time(seconds: float) -> None:
    """End a process that spins when no parent is left to end it."""
    with suppress(ImportError, OSError, ValueError):
        import resource

        used = resource.getrusage(resource.RUSAGE_SELF)
        _set_limit(resource.RLIMIT_CPU, int(used.ru_utime + used.ru_stime + seconds) + _GRACE_SECONDS)


def _set_limit(which: int, limit: int) -> None:
    """Set a limit, within the maximum that the system allows."""
    import resource

    _, maximum = resource.getrlimit(which)
    resource.setrlimit(which, (limit if maximum == resource.RLIM_INFINITY else min(limit, maximum), maximum))


def exit_with_parent(parent: int) -> None:
    """End the process when its parent is gone, even if it waits for something else."""

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(1)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
