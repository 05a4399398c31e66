"""Files on shares that can't do everything."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Any

import pytest

from sidscan.util.files import atomic_write, can_lock, flush_to_disk, open_file


def _refuse(number: int) -> Any:
    def call(*args: object, **options: object) -> None:
        raise OSError(number, os.strerror(number))

    return call


@pytest.mark.parametrize("number", [errno.EPERM, errno.ENOTSUP, errno.EROFS])
def test_permissions_that_cannot_be_set_cost_no_report(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    path = tmp_path / "r.csv"
    path.write_text("old")
    path.chmod(0o600)
    monkeypatch.setattr(os, "chmod", _refuse(number))
    with atomic_write(path) as partial:
        partial.write_text("new")
    assert path.read_text() == "new"
    if os.name != "nt":
        assert path.stat().st_mode & 0o777 == 0o600  # no more than the older report gave
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("number", [errno.EINVAL, errno.ENOSYS, errno.ENOTSUP])
def test_a_share_need_not_flush(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    monkeypatch.setattr(os, "fsync", _refuse(number))
    with atomic_write(tmp_path / "r.csv") as partial:
        partial.write_text("new")
    assert (tmp_path / "r.csv").read_text() == "new"


@pytest.mark.parametrize("number", [errno.EIO, errno.ENOSPC, errno.EDQUOT])
def test_bytes_that_may_be_lost_are_an_error(monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    monkeypatch.setattr(os, "fsync", _refuse(number))
    with pytest.raises(OSError, match=os.strerror(number)):
        flush_to_disk(1)


def test_a_name_with_a_nul_is_refused_in_words() -> None:
    with pytest.raises(ValueError, match="the name holds a NUL character"):
        open_file("a\0b.jpg")


@pytest.mark.skipif(os.name == "nt", reason="locks of POSIX")
@pytest.mark.parametrize("function", ["flock", "lockf"])
@pytest.mark.parametrize(
    ("number", "lockable"),
    [
        (errno.ENOLCK, False),
        (errno.ENOTSUP, False),
        (errno.ENOSYS, False),
        (errno.EPERM, False),
        (errno.EIO, True),
    ],
)
def test_shares_that_lock_nothing_are_recognised(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, function: str, number: int, lockable: bool
) -> None:
    assert can_lock(tmp_path)
    monkeypatch.setattr(f"fcntl.{function}", _refuse(number))
    assert can_lock(tmp_path) == lockable
    assert can_lock(tmp_path / "no such folder")
