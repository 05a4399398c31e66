"""Files that are there whole or not at all, and files that are read only if they are files."""

from __future__ import annotations

import errno
import hashlib
import os
import re
import secrets
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

_OPEN_FLAGS = os.O_RDONLY | sum(getattr(os, name, 0) for name in ("O_NONBLOCK", "O_NOCTTY", "O_BINARY"))
_CHUNK = 1 << 20  # bytes
_TEMPORARY_NAME = re.compile(r"\.sidscan-[0-9a-f]{12}-[0-9a-f]{12}(\.|$)")  # as `replacing` calls them
_LEFTOVER_AGE = 24 * 60 * 60  # seconds


class NotAFile(OSError):
    """A device, pipe, socket or folder where a file was expected; it was not opened."""


@contextmanager
def atomic_write(path: Path) -> Iterator[Path]:
    """A file beside ``path``, of its suffix, to write to; it takes its place when the block ends well.

    A new file gets the permissions that the umask leaves; one that replaces another keeps that one's.

    Raises:
        OSError: it can't be written; an older file at ``path`` is left as it was.
    """
    partial = path.with_name(f"{_temporary_prefix(path)}{secrets.token_hex(6)}{path.suffix}")
    os.close(os.open(partial, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666))
    try:
        yield partial
        with partial.open("r+b") as file:
            os.fsync(file.fileno())
        with suppress(FileNotFoundError):
            partial.chmod(path.stat().st_mode & 0o777)
        partial.replace(path)
        _sync_folder(path.parent)
    finally:
        partial.unlink(missing_ok=True)


def remove_leftovers(path: Path) -> None:
    """Remove what `replacing` left beside ``path`` when it was killed; only for who alone writes there."""
    with suppress(OSError):  # they are clutter, no obstacle
        for leftover in path.parent.glob(f"{_temporary_prefix(path)}*"):
            leftover.unlink()


def remove_old_leftovers(folder: Path) -> None:
    """Remove what `replacing` left in ``folder`` when it was killed; other scans may write there today."""
    with suppress(OSError):
        for leftover in folder.glob(".sidscan-*"):
            age = time.time() - leftover.lstat().st_mtime  # seconds
            if _TEMPORARY_NAME.match(leftover.name) and age > _LEFTOVER_AGE:
                leftover.unlink()


def real_path(path: str | Path) -> Path:
    """Where a path leads; unlike Path.resolve it raises neither for links in a circle nor for any name."""
    try:
        return Path(os.path.realpath(path))
    except ValueError:  # a NUL: no file can have that name
        return Path(path)


def open_file(path: str | Path) -> BinaryIO:
    """Open for reading, but never a device, pipe or socket: opening those may block or have effects.

    Raises:
        NotAFile: it is none of a regular file, now or by the time it is open.
        OSError: it can't be opened.
        ValueError: no file can have that name.
    """
    _check_regular(os.stat(path), path)  # noqa: PTH116  (a name may be one that Path changes)
    handle = os.open(path, _OPEN_FLAGS)
    try:
        _check_regular(os.fstat(handle), path)
        return os.fdopen(handle, "rb")
    except BaseException:
        os.close(handle)
        raise


def sha256_of(file: BinaryIO) -> str:
    """The sha256 of all that is left to read, hex."""
    digest = hashlib.sha256()
    while chunk := file.read(_CHUNK):
        digest.update(chunk)
    return digest.hexdigest()


def _temporary_prefix(path: Path) -> str:
    """How the names of files that are to replace ``path`` start; a name of any length gives a short one."""
    return f".sidscan-{hashlib.sha256(os.fsencode(path.name)).hexdigest()[:12]}-"


def _check_regular(status: os.stat_result, path: str | Path) -> None:
    if not stat.S_ISREG(status.st_mode):
        raise NotAFile(errno.EINVAL, "not a regular file", os.fspath(path))


def _sync_folder(folder: Path) -> None:
    """Make the new name durable; some file systems, and Windows, have no such thing."""
    with suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
