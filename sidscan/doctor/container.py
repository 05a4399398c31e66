"""Memory and time that a control group leaves to this process (Linux, control groups 1 and 2)."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

_ROOT = Path("/sys/fs/cgroup")
_GROUPS = Path("/proc/self/cgroup")
_NO_LIMIT = 1 << 62  # bytes; version 1 writes a number near 2**63


def memory_limit() -> int | None:
    """Bytes that the groups above this process allow; None where there is no limit, or nobody can tell."""
    limits = [
        _number(folder / name) for folder, name in _files("memory", "memory.max", "memory.limit_in_bytes")
    ]
    return min((limit for limit in limits if limit is not None and limit < _NO_LIMIT), default=None)


def core_quota() -> float | None:
    """Cores whose whole time the groups above allow, e.g. 0.5; None where there is no limit."""
    quotas = []
    for folder, name in _files("cpu", "cpu.max", "cpu.cfs_quota_us"):
        if name == "cpu.max":
            quota, period = [*_words(folder / name), "", ""][:2]
        else:
            quota, period = ([*_words(folder / each), ""][0] for each in (name, "cpu.cfs_period_us"))
        if quota.isdigit() and period.isdigit() and int(period):
            quotas.append(int(quota) / int(period))
    return min(quotas, default=None)


def meminfo() -> tuple[int | None, int | None]:
    """Bytes of memory: all, and what could be used now without swapping; None where nobody can tell."""
    lines = dict(line.split(":", 1) for line in _text(Path("/proc/meminfo")).splitlines() if ":" in line)
    values = [lines.get(key, "").split() for key in ("MemTotal", "MemAvailable")]
    total, free = (int(words[0]) << 10 if words else None for words in values)
    if total is None:
        with suppress(AttributeError, ValueError, OSError):  # Windows has no sysconf
            total = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return total, free


def _files(controller: str, name_2: str, name_1: str) -> Iterator[tuple[Path, str]]:
    """The files of a limit, in this process's group and in those above it."""
    for line in _text(_GROUPS).splitlines():
        number, controllers, path = [*line.split(":", 2), "", ""][:3]
        if number == "0" and not controllers:
            root, name = _ROOT, name_2
        elif controller in controllers.split(","):
            root, name = _ROOT / controller, name_1
        else:
            continue
        folder = root / path.lstrip("/")  # in a container, the path may be that outside of it
        for each in (folder, *folder.parents):
            if (each / name).is_file():
                yield each, name
            if each == root:
                break


def _number(path: Path) -> int | None:
    words = _words(path)
    return int(words[0]) if words and words[0].isdigit() else None


def _words(path: Path) -> list[str]:
    return _text(path).split()


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
