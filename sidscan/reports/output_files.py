"""Where a report goes: never over somebody's file, never from two scans at once, whole or not at all."""

from __future__ import annotations

import stat
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TextIO, cast

from sidscan.errors import OutputError, UsageError
from sidscan.records import RunRecord
from sidscan.reports import sha256sums
from sidscan.reports.base import ReportFormat
from sidscan.reports.reader import format_of
from sidscan.util.files import atomic_write, open_file, real_path, remove_leftovers, sha256_of
from sidscan.util.terminal import SafeStream

STDOUT = "-"
HEAD_BYTES = 1 << 16  # bytes by which a file is recognised
_ELSEWHERE = "Choose another --out."


class ReportOutput:
    """A file, or standard output, that gets a report.

    A file is written beside its final name, made durable, then renamed.

    Args:
        out: path of the file, or ``-`` for standard output. If it is a link, the link's target is written.
        hashed: write a detached hash file beside it. An existing one is always kept up to date.
    """

    def __init__(self, out: str, report_format: ReportFormat, hashed: bool = False) -> None:
        self.out = out
        self.format = report_format
        self.hashed = hashed

    @property
    def files(self) -> tuple[Path, ...]:
        """The files that it may leave on disk."""
        if self.out == STDOUT:
            return ()
        path = Path(self.out)
        return (path, sha256sums.sums_path(path), lock_file(path))

    def altered(self) -> bool:
        """Whether an earlier report is there and differs from what the hash file beside it states."""
        path = Path(self.out)
        if self.out == STDOUT or not _has_hash_file(path):
            return False
        try:
            with open_file(path) as file:
                return sha256_of(file) != sha256sums.read_sums(sha256sums.sums_path(path), path.name)
        except (OSError, UsageError):
            return False

    def location(self) -> str:
        """Where the report and its hash file are, in words, once they are written."""
        if self.out == STDOUT:
            return "standard output"
        path = Path(self.out)
        return f"{path}, its sha256 in {sha256sums.sums_path(path)}" if _has_hash_file(path) else str(path)

    @contextmanager
    def reserve(self, overwrite: bool = False) -> Iterator[None]:
        """Check before a long scan that the report can be written, and keep other scans from it.

        Args:
            overwrite: also replace files that sidscan did not write.

        Raises:
            OutputError: it can't be written, the file is not sidscan's, or another scan writes it.
        """
        if self.out == STDOUT:
            yield
            return
        path = Path(self.out)
        check_replaceable(path, lambda head: format_of(head) is not None, overwrite)
        if self.hashed:
            check_replaceable(sha256sums.sums_path(path), sha256sums.holds_one_sum, overwrite)
        with locked(path):
            # A scan that was killed may have left partial files; thanks to the lock nobody else writes here.
            for target in (path, sha256sums.sums_path(path)):
                remove_leftovers(real_path(target))
            yield

    def write(self, record: RunRecord) -> None:
        """Render the report into its place.

        Raises:
            OutputError: the file can't be written; an older one of that name is left unchanged.
        """
        if self.out == STDOUT:
            self._print(record)
            return
        path = target = Path(self.out)
        try:
            sha256 = self._replace(real_path(path), record)
            if self.hashed or _has_hash_file(path):
                target = sha256sums.sums_path(path)
                sha256sums.write_sums(path, sha256)
        except OSError as error:
            raise OutputError(
                f"can't write {target}: {error.strerror}",
                "Nothing is lost: run the same command again, or with the same --journal and another --out.",
            ) from error

    def _print(self, record: RunRecord) -> None:
        if sys.stdout is None:
            raise OutputError("standard output is closed", "Give --out FILE.")
        stream = cast(TextIO, SafeStream(sys.stdout)) if sys.stdout.isatty() else sys.stdout
        try:
            self.format.render(record, stream)
            sys.stdout.flush()
        except BrokenPipeError as error:
            raise OutputError(
                "standard output was closed before the report was complete",
                "Give --out FILE to keep a whole one.",
            ) from error
        except OSError as error:
            raise OutputError(
                f"can't write to standard output: {error.strerror}", "Give --out FILE instead."
            ) from error

    def _replace(self, path: Path, record: RunRecord) -> str:
        """Writes the file and returns its sha256, hex."""
        with atomic_write(path) as partial:
            with partial.open("w", encoding="utf-8", newline="") as file:
                self.format.render(record, file)
            with partial.open("rb") as written:
                return sha256_of(written)


def check_replaceable(path: Path, ours: Callable[[bytes], bool], overwrite: bool) -> None:
    """Check, before hours of work, that a file can be written at ``path``.

    Args:
        ours: whether a file that begins so may be replaced; an empty file always may.
        overwrite: replace any file.

    Raises:
        OutputError: it can't be written, or the file there must not be replaced.
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
    """Refuse devices and pipes: a report would replace them by a file.

    Raises:
        OutputError: ``path`` is one.
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
def locked(path: Path) -> Iterator[None]:
    """Keep other scans from ``path`` while the block runs, by a lock file beside it.

    Raises:
        OutputError: another scan holds the lock, or the folder can't be written.
    """
    from filelock import FileLock, Timeout  # here: only scans lock

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
        with suppress(OSError):  # where an open file can't be removed, FileLock removes it on release
            lock_file(path).unlink()
        lock.release()


def lock_file(path: Path) -> Path:
    """The file that `locked` locks."""
    path = real_path(path)
    return path.with_name(f".{path.name}.lock")


def _check_folder(path: Path) -> None:
    folder = real_path(path).parent
    if not folder.is_dir():
        raise OutputError(f"the folder {path.parent} does not exist", "Create it, or choose another --out.")
    try:  # permissions alone do not show a read-only or full file system
        with tempfile.TemporaryFile(prefix=".sidscan-", dir=folder):  # unnamed on Linux, so nothing remains
            pass
    except OSError as error:
        raise OutputError(f"can't write into {path.parent}: {error.strerror}", _ELSEWHERE) from error


def _begins(path: Path, ours: Callable[[bytes], bool]) -> bool:
    try:
        with open_file(path) as file:
            return ours(file.read(HEAD_BYTES))
    except OSError as error:
        raise OutputError(f"can't read {path}, which is there: {error.strerror}", _ELSEWHERE) from error


def _has_hash_file(path: Path) -> bool:
    try:
        with open_file(sha256sums.sums_path(path)) as file:
            return sha256sums.holds_one_sum(file.read(HEAD_BYTES))
    except OSError:
        return False
