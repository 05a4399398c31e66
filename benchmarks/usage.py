"""Resources that this process and its children use, from Linux's /proc."""

from __future__ import annotations

import os
from pathlib import Path

_TICKS = os.sysconf("SC_CLK_TCK")  # per second
_PAGE = os.sysconf("SC_PAGE_SIZE")  # bytes


def resident_megabytes() -> float:
    """Memory of this process alone."""
    return int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1]) * _PAGE / 1e6


def processor_seconds() -> dict[str, float]:
    """User and system time so far, of this process and of its running children."""
    times = os.times()
    children = sum(_seconds(pid) for pid in _children())
    return {"parent": times.user + times.system, "workers": children}


def _children() -> list[str]:
    lists = Path("/proc/self/task").glob("*/children")
    return [pid for listing in lists for pid in listing.read_text(encoding="ascii").split()]


def _seconds(pid: str) -> float:
    try:
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    except OSError:  # it has ended
        return 0.0
    return (int(fields[11]) + int(fields[12])) / _TICKS
