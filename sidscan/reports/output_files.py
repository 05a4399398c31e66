"""Where a report may go: not in place of somebody's file, not to two scans at once."""

from __future__ import annotations

import stat
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

from sidscan.errors import OutputError
from sidscan.util.files import open_file, real_path

HEAD_BYTES = 1 << 16  # bytes by which a file is recognised
_ELSEWHERE = "Choose another --out."


def check(path: Path, ours: Callable[[bytes], bool], overwrite: bool) -> None:
    """Find out before hours of work whether a file could be written at ``path``.

    Args:
        ours: whether a file that begins so is one that may be replaced; an empty one always may.
        overwrite: replace any file.

    Raises:
        OutputError: it could not, or something is there that is not to be replaced.
    """
    try:
        status = path.stat()
    except FileNotFoundError:
        _check_folder(path)
        return
    except OSError as error:
        raise OutputError(f"can't write {path}: {error.strerror}", _ELSEWHERE) from error
    if stat.S_ISDIR(status.st_mode):
        raise OutputError(f"{path} is a folder", "Give --out the name of a file.")
    check_no_device(path)
    if not status.st_mode & 0o222:
        raise OutputError(f"{path} is write-protected", "Allow writing to it, or choose another --out.")
    if status.st_size and not overwrite and not _begins(path, ours):
        raise OutputError(
            f"{path} is there and was not written by sidscan; it is left alone",
            "Choose another --out, or replace it with --overwrite.",
        )
    _check_folder(path)


def check_no_device(path: Path) -> None:
    """A report replaces what is there; a device or pipe must stay what it is.

    Raises:
        OutputError: there is one.
    """
    try:
        mode = path.stat().st_mode
    except OSError:
        return
    if not stat.S_ISREG(mode) and not stat.S_ISDIR(mode):
        raise OutputError(
            f"{path} is a device or pipe, which can't be replaced by a file",
            "Write to standard output with --out - and redirect that.",
        )


@contextmanager
def reserved(path: Path) -> Iterator[None]:
    """Keep ``path`` from other scans while the block runs, by a lock beside it.

    Raises:
        OutputError: another scan has it, or its folder can't be written.
    """
    path = real_path(path)
    lock = FileLock(lock_file(path))
    try:
        lock.acquire(timeout=0)
    except Timeout as error:
        raise OutputError(
            f"{path.name} is being written by another scan", "Wait for it to end, or choose another --out."
        ) from error
    except OSError as error:
        raise OutputError(f"can't write into {path.parent}: {error.strerror}", _ELSEWHERE) from error
    try:
        yield
    finally:
        with suppress(OSError):  # where a file that is open can't be removed, the lock removes it
            lock_file(path).unlink()
        lock.release()


def lock_file(path: Path) -> Path:
    """The file that `reserved` locks."""
    path = real_path(path)
    return path.with_name(f".{path.name}.lock")


def _check_folder(path: Path) -> None:
    folder = real_path(path).parent
    if not folder.is_dir():
        raise OutputError(f"the folder {path.parent} does not exist", "Create it, or choose another --out.")
    try:  # what permissions say is not what a read-only or full file system does
        with tempfile.TemporaryFile(prefix=".sidscan-", dir=folder):  # Linux gives it no name to leave behind
            pass
    except OSError as error:
        raise OutputError(f"can't write into {path.parent}: {error.strerror}", _ELSEWHERE) from error


def _begins(path: Path, ours: Callable[[bytes], bool]) -> bool:
    try:
        with open_file(path) as file:
            return ours(file.read(HEAD_BYTES))
    except OSError as error:
        raise OutputError(f"can't read {path}, which is there: {error.strerror}", _ELSEWHERE) from error
