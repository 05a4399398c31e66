"""Write files whole or not at all, and open only regular files."""

from __future__ import annotations

import errno
import hashlib
import os
import re
import secrets
import stat
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

_OPEN_FLAGS = os.O_RDONLY | sum(getattr(os, name, 0) for name in ("O_NONBLOCK", "O_NOCTTY", "O_BINARY"))
_CHUNK = 1 << 20  # bytes
_TEMPORARY_NAME = re.compile(r"\.sidscan-[0-9a-f]{12}-[0-9a-f]{12}(\.|$)")  # as `atomic_write` names them
NOT_SUPPORTED = frozenset({errno.EINVAL, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP})
"""Errors by which a file system says that it has no such operation."""
_LEFTOVER_AGE = 24 * 60 * 60  # seconds; a younger file may belong to a scan that still runs


class NotAFile(OSError):
    """A device, pipe, socket or folder where a regular file was expected; it was not opened."""


@contextmanager
def atomic_write(path: Path, check: Callable[[Path], None] | None = None) -> Iterator[Path]:
    """Yield a temporary file beside ``path``, with its suffix; it replaces ``path`` if the block succeeds.

    A new file gets the permissions that the umask leaves. A file that replaces another one keeps the
    permissions of that one; on a share where nobody may change permissions, it has no more than those.

    Args:
        check: called with the finished temporary file right before it replaces ``path``; an error that it
            raises leaves ``path`` as it is.

    Raises:
        OSError: the file can't be written; an older file at ``path`` stays as it was.
    """
    partial = path.with_name(f"{_temporary_prefix(path)}{secrets.token_hex(6)}{path.suffix}")
    older = _permissions(path)
    mode = 0o666 if older is None else older | 0o200
    os.close(os.open(partial, os.O_CREAT | os.O_EXCL | os.O_WRONLY, mode))
    try:
        yield partial
        with partial.open("r+b") as file:
            flush_to_disk(file.fileno())
        if older is not None:
            with suppress(OSError):  # SMB, FUSE and exFAT may refuse; that is no reason to lose a report
                partial.chmod(older)
        if check is not None:
            check(partial)
        partial.replace(path)
        sync_folder(path.parent)
    finally:
        partial.unlink(missing_ok=True)


def flush_to_disk(handle: int) -> None:
    """`os.fsync`, where the file system has it: some network shares write through and offer none.

    Raises:
        OSError: what was written may be lost, e.g. because the disk is full.
    """
    try:
        os.fsync(handle)
    except OSError as error:
        if error.errno not in NOT_SUPPORTED:
            raise


def can_lock(folder: Path) -> bool:
    """Whether files in ``folder`` can be locked; some network shares can't. True where nobody can tell."""
    try:
        import fcntl
    except ImportError:  # Windows, where locks come with opening a file
        return True
    with suppress(OSError), tempfile.TemporaryFile(prefix=".sidscan-", dir=folder) as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)  # for reports
            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)  # as SQLite locks
        except OSError as error:
            return error.errno not in (*NOT_SUPPORTED, errno.ENOLCK, errno.EPERM)
    return True


def remove_leftovers(path: Path) -> None:
    """Remove what a killed `atomic_write` left beside ``path``. Call it only if nobody else writes there."""
    with suppress(OSError):  # leftovers are clutter; the scan can go on with them
        for leftover in path.parent.glob(f"{_temporary_prefix(path)}*"):
            leftover.unlink()


def remove_old_leftovers(folder: Path) -> None:
    """Remove what a killed `atomic_write` left in ``folder`` a day ago; other scans may write there now."""
    with suppress(OSError):
        for leftover in folder.glob(".sidscan-*"):
            age = time.time() - leftover.lstat().st_mtime  # seconds
            if _TEMPORARY_NAME.match(leftover.name) and age > _LEFTOVER_AGE:
                leftover.unlink()


def real_path(path: str | Path) -> Path:
    """``path`` with all links resolved. Unlike Path.resolve, it accepts circular links and any name."""
    try:
        return Path(os.path.realpath(path))
    except ValueError:  # the name holds a NUL, which no file name can
        return Path(path)


def open_file(path: str | Path) -> BinaryIO:
    """Open a regular file for reading. Opening a device, pipe or socket could block or have side effects.

    Raises:
        NotAFile: ``path`` is something else than a regular file, now or by the time it is open.
        OSError: the file can't be opened.
        ValueError: no file can have that name.
    """
    if "\0" in os.fspath(path):
        raise ValueError("the name holds a NUL character, which no file's name can")
    _check_regular(os.stat(path), path)  # noqa: PTH116  (Path would normalise the name)
    handle = os.open(path, _OPEN_FLAGS)
    try:
        _check_regular(os.fstat(handle), path)
        return os.fdopen(handle, "rb")
    except BaseException:
        os.close(handle)
        raise


def sha256_of(file: BinaryIO) -> str:
    """The sha256 of the rest of ``file``, hex."""
    digest = hashlib.sha256()
    while chunk := file.read(_CHUNK):
        digest.update(chunk)
    return digest.hexdigest()


def content_sha256(path: Path) -> str | None:
    """The sha256 of what a file holds, hex; None where there is no file, or an empty one.

    Raises:
        OSError: it can't be read, or somebody writes it at this moment.
    """
    try:
        with open_file(path) as file:
            before = os.fstat(file.fileno())
            sha256 = sha256_of(file)
            after = os.stat(path)  # noqa: PTH116  (of the name: the file may have been replaced)
    except FileNotFoundError:
        return None
    if any(getattr(before, name) != getattr(after, name) for name in ("st_size", "st_mtime_ns", "st_ino")):
        raise OSError(errno.EBUSY, "it is being changed", os.fspath(path))
    return sha256 if after.st_size else None


def _temporary_prefix(path: Path) -> str:
    """How names of temporary files for ``path`` start; it is short, however long the name of ``path`` is."""
    return f".sidscan-{hashlib.sha256(os.fsencode(path.name)).hexdigest()[:12]}-"


def _permissions(path: Path) -> int | None:
    """Of a file; None if there is none."""
    try:
        return stat.S_IMODE(path.stat().st_mode) & 0o777
    except FileNotFoundError:
        return None


def _check_regular(status: os.stat_result, path: str | Path) -> None:
    if not stat.S_ISREG(status.st_mode):
        raise NotAFile(errno.EINVAL, "not a regular file", os.fspath(path))


def sync_folder(folder: Path) -> None:
    """Make the new name durable. Some file systems, and Windows, can't."""
    with suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
