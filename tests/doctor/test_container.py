"""Limits of control groups, read from files as Linux writes them."""

from __future__ import annotations

from pathlib import Path

import pytest

from sidscan.doctor import container
from sidscan.doctor.container import core_quota, meminfo, memory_limit

GIB = 1 << 30


def group(root: Path, monkeypatch: pytest.MonkeyPatch, line: str, **files: str) -> None:
    """A process's groups, and files of limits; ``__`` in a name is a slash."""
    groups = root / "cgroup"
    groups.write_text(f"{line}\n")
    for name, content in files.items():
        path = root / "fs" / name.replace("__", "/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{content}\n")
    monkeypatch.setattr(container, "_ROOT", root / "fs")
    monkeypatch.setattr(container, "_GROUPS", groups)


@pytest.mark.parametrize(
    ("line", "files", "memory", "cores"),
    [
        pytest.param("0::/", {"memory.max": "max", "cpu.max": "max 100000"}, None, None, id="no-limit"),
        pytest.param("0::/", {"memory.max": str(GIB), "cpu.max": "50000 100000"}, GIB, 0.5, id="version-2"),
        pytest.param(
            "0::/a/b",
            {"a__memory.max": str(GIB), "a__b__memory.max": "max"},
            GIB,
            None,
            id="group-above",
        ),
        pytest.param(
            "0::/a/b", {"a__cpu.max": "100000 100000", "cpu.max": "300000 100000"}, None, 1.0, id="smallest"
        ),
        pytest.param("0::/seen/outside", {"memory.max": str(GIB)}, GIB, None, id="path-of-the-host"),
        pytest.param(
            "4:memory:/a", {"memory__a__memory.limit_in_bytes": str(GIB)}, GIB, None, id="memory-version-1"
        ),
        pytest.param(
            "4:memory:/",
            {"memory__memory.limit_in_bytes": str(2**63 - 4096)},
            None,
            None,
            id="none-v1",
        ),
        pytest.param(
            "2:cpu,cpuacct:/",
            {"cpu__cpu.cfs_quota_us": "150000", "cpu__cpu.cfs_period_us": "100000"},
            None,
            1.5,
            id="cores-and-accounts",
        ),
        pytest.param(
            "2:cpu:/",
            {"cpu__cpu.cfs_quota_us": "150000", "cpu__cpu.cfs_period_us": "100000"},
            None,
            1.5,
            id="cores-version-1",
        ),
        pytest.param(
            "2:cpu:/",
            {"cpu__cpu.cfs_quota_us": "-1", "cpu__cpu.cfs_period_us": "100000"},
            None,
            None,
            id="no-quota-version-1",
        ),
        pytest.param("nonsense", {"memory.max": "nonsense", "cpu.max": ""}, None, None, id="nonsense"),
    ],
)
def test_limits(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    line: str,
    files: dict[str, str],
    memory: int | None,
    cores: float | None,
) -> None:
    group(tmp_path, monkeypatch, line, **files)
    assert (memory_limit(), core_quota()) == (memory, cores)


def test_a_system_without_groups(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(container, "_GROUPS", tmp_path / "missing")
    assert (memory_limit(), core_quota()) == (None, None)


def test_memory_of_this_machine() -> None:
    total, available = meminfo()
    assert total is None or total > (available or 0) >= 0
