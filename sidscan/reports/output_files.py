"""Where a report goes: over nobody's work, never from two scans at once, whole or not at all."""

from __future__ import annotations

import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO, TextIO, cast

from sidscan.errors import OutputError
from sidscan.records import RunRecord, num_rows
from sidscan.reports import own_bytes, sha256sums
from sidscan.reports.base import OutputFormat, ReportFormat
from sidscan.reports.own_bytes import Recorded, nothing_recorded
from sidscan.reports.reader import HEAD_BYTES, format_of_file, text_of
from sidscan.util.files import (
    atomic_write,
    can_lock,
    content_sha256,
    open_file,
    real_path,
    remove_leftovers,
    sha256_of,
)
from sidscan.util.terminal import SafeStream, result_stream

STDOUT = "-"
_OTHER_FORMATS = "Use --out report.csv, which takes any number of rows; no image is scored again."
_ELSEWHERE = "Choose another --out."


class ReportOutput:
    """A file, or standard output, that gets a report.

    A file is written beside its final name, made durable, then renamed. It replaces only what its own run
    wrote there before (`own_bytes`).

    Args:
        out: path of the file, or ``-`` for standard output. If it is a link, the link's target is written.
        hashed: write a detached hash file beside it. An existing one is always kept up to date.
        overwrite: replace whatever is there.
    """

    def __init__(
        self, out: str, report_format: OutputFormat, hashed: bool = False, overwrite: bool = False
    ) -> None:
        self.out = out
        self.format = report_format
        self.hashed = hashed
        self.overwrite = overwrite
        self._rows = 0

    @property
    def written(self) -> tuple[Path, ...]:
        """The report and its hash file; nothing for standard output."""
        path = Path(self.out)
        return () if self.out == STDOUT else (path, sha256sums.sums_path(path))

    @property
    def files(self) -> tuple[Path, ...]:
        """The files that it may leave on disk, and the folder of a report that has one."""
        if not self.written:
            return ()
        path = Path(self.out)
        folder = self.format.folder_beside(path)
        return (*self.written, lock_file(path), *([folder] if folder else []))

    @property
    def shows_thumbnails(self) -> bool:
        """Whether the scan makes a thumbnail of each image for it."""
        return self.format.shows_thumbnails

    def remarks(self) -> tuple[str, ...]:
        """Once it is written: lines about what it lacks."""
        return tuple(filter(None, (self.format.remark(self._rows),)))

    def location(self) -> str:
        """Where the report and its hash file are, in words, once they are written."""
        if self.out == STDOUT:
            return "standard output"
        path = Path(self.out)
        return f"{path}, its sha256 in {sha256sums.sums_path(path)}" if _has_hash_file(path) else str(path)

    @contextmanager
    def reserve(self, recorded: Recorded = nothing_recorded) -> Iterator[None]:
        """Check before a long scan that the report can be written, and keep other scans from it.

        Args:
            recorded: what the run's record says of the files in `written`.

        Raises:
            OutputError: it can't be written, something else is there, or another scan writes it.
        """
        if self.out == STDOUT:
            yield
            return
        path, hashed = Path(self.out), self._writes_hash_file()
        for target in self.written[: 1 + hashed]:
            check_writable(target)
        _check_folder_beside(self.format.folder_beside(path))
        if not self.overwrite:
            with _unreadable_as_output_error():
                own_bytes.check_before(path, hashed, recorded, _is_recognised)
        with locked(path):
            # A scan that was killed may have left partial files; thanks to the lock nobody else writes here.
            for target in self.written:
                remove_leftovers(real_path(target))
            yield

    def check_size(self, rows: int) -> None:
        """Refuse more rows than the format holds; most hold any number.

        Raises:
            OutputError: there are more.
        """

    def write(self, record: RunRecord) -> None:
        """Render the report into its place.

        Raises:
            OutputError: the file can't be written, or was changed meanwhile; it is left as it is.
        """
        self._rows = num_rows(record)
        if refusal := self.format.refusal(self._rows):
            raise OutputError(f"{self.location()} is not written: {refusal}", _OTHER_FORMATS)
        if self.out == STDOUT:
            self._print(record)
            return
        path = target = Path(self.out)
        try:
            hashed = self._writes_hash_file()
            sha256 = self._replace(path, record, hashed)
            if hashed:
                target = sha256sums.sums_path(path)
                _replace_hash_file(path, sha256, record)
        except OSError as error:
            raise OutputError(
                f"can't write {target}: {error.strerror}",
                "Nothing is lost: run the same command again, or with the same --journal and another --out.",
            ) from error
        self.format.remove_stale(real_path(path))

    def _writes_hash_file(self) -> bool:
        return self.hashed or _has_hash_file(Path(self.out))

    def _print(self, record: RunRecord) -> None:
        assert isinstance(self.format, ReportFormat)  # `output_for` prints nothing else
        try:
            with printing() as stream:
                self.format.render(record, stream)
        except BrokenPipeError as error:
            raise OutputError(
                "standard output was closed before the report was complete",
                "Give --out FILE to keep a whole one.",
            ) from error

    def _replace(self, path: Path, record: RunRecord, hashed: bool) -> str:
        """Writes the file and returns its sha256, hex."""
        sha256 = ""

        def check(partial: Path) -> None:
            nonlocal sha256
            with partial.open("rb") as written:
                sha256 = sha256_of(written)
            if not self.overwrite:
                own_bytes.check_last(path, hashed, record.output_digests, sha256)
            record.expect_output(path, sha256)

        with atomic_write(real_path(path), check) as partial:
            self._render(record, partial)
        record.confirm_output(path, sha256)
        return sha256

    def _render(self, record: RunRecord, path: Path) -> None:
        self.format.write(record, path, real_path(self.out))


def _check_folder_beside(folder: Path | None) -> None:
    if folder is not None and folder.exists() and not folder.is_dir():
        raise OutputError(f"{folder} is a file, and a large report needs a folder of that name", _ELSEWHERE)


def _replace_hash_file(report: Path, sha256: str, record: RunRecord) -> None:
    path, line = sha256sums.sums_path(report), sha256sums.sums_line(report, sha256)
    line_sha256 = own_bytes.sha256_hex(line)
    record.expect_output(path, line_sha256)
    with atomic_write(real_path(path)) as partial:
        partial.write_bytes(line)
    record.confirm_output(path, line_sha256)


def check_writable(path: Path) -> None:
    """Check, before hours of work, that a file can be written at ``path``.

    Raises:
        OutputError: it can't.
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
    _check_folder(path)


def check_absent(path: Path) -> None:
    """Refuse to replace a file, unless it is empty.

    Raises:
        OutputError: something is there.
    """
    with _unreadable_as_output_error():
        is_absent = content_sha256(path) is None
    if not is_absent:
        raise OutputError(
            f"{path} is there already; it is left alone",
            "Choose another --out, or replace it with --overwrite.",
        )


@contextmanager
def new_file(out: Path, overwrite: bool = False) -> Iterator[TextIO]:
    """A text file that appears when the block ends without an error; see `new_binary_file`."""
    with new_binary_file(out, overwrite) as file, text_of(file) as text:
        yield text


@contextmanager
def new_binary_file(out: Path, overwrite: bool = False) -> Iterator[BinaryIO]:
    """A file that appears when the block ends without an error.

    Raises:
        OutputError: it can't be written, or something is there.
    """
    check = None if overwrite else (lambda _: check_absent(out))
    check_writable(out)
    if check:
        check(out)
    try:
        with (
            atomic_write(real_path(out), check) as partial,
            partial.open("wb") as file,
        ):
            yield file
    except OSError as error:
        raise OutputError(f"can't write {out}: {error.strerror}", _ELSEWHERE) from error


@contextmanager
def _unreadable_as_output_error() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise OutputError(
            f"can't read {error.filename}, which is there: {error.strerror}", _ELSEWHERE
        ) from error


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
def printing() -> Iterator[TextIO]:
    """Standard output, safe to show where it is a terminal, flushed at the end.

    Raises:
        OutputError: it is closed, or can't be written.
        BrokenPipeError: nobody reads it any more.
    """
    stream = result_stream()
    if stream is None:
        raise OutputError("standard output is closed", "Give --out FILE.")
    try:
        yield cast(TextIO, SafeStream(stream)) if stream.isatty() else stream
        stream.flush()
    except BrokenPipeError:
        raise
    except OSError as error:
        raise OutputError(
            f"can't write to standard output: {error.strerror}", "Give --out FILE instead."
        ) from error


@contextmanager
def locked(path: Path, patience: float = 0, busy: str = "is being written by another scan") -> Iterator[None]:
    """Keep others from ``path`` while the block runs, by a lock file, where files can be locked.

    Args:
        patience: seconds to wait for somebody who holds the lock.
        busy: what the message says of the file then.

    Raises:
        OutputError: somebody holds the lock, or the folder can't be written.
    """
    from filelock import FileLock, Timeout  # here: only scans lock

    path = real_path(path)
    if not can_lock(path.parent):  # the command has said so
        yield
        return
    lock = FileLock(lock_file(path))
    try:
        lock.acquire(timeout=patience)
    except Timeout as error:
        raise OutputError(f"{path.name} {busy}", "Wait for it to end, or choose another --out.") from error
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


def check_folder(path: Path, option: str = "--out") -> None:
    """Check that the folder of a file to write is there.

    Nothing makes it: a mistyped name would hide the file.

    Args:
        option: names the file.

    Raises:
        OutputError: there is none.
    """
    folder = real_path(path).parent
    if folder.is_dir():
        return
    shown = folder if path.is_symlink() else path.parent
    if shown.exists():
        raise OutputError(f"{shown} is not a folder", f"Choose another {option}.")
    raise OutputError(f"the folder {shown} does not exist", f"Create it, or choose another {option}.")


def _check_folder(path: Path) -> None:
    check_folder(path)
    folder = real_path(path).parent
    try:  # permissions alone do not show a read-only or full file system
        with tempfile.TemporaryFile(prefix=".sidscan-", dir=folder):  # unnamed on Linux, so nothing remains
            pass
    except OSError as error:
        raise OutputError(f"can't write into {path.parent}: {error.strerror}", _ELSEWHERE) from error


def _is_recognised(path: Path) -> bool:
    with open_file(path) as file:
        known = format_of_file(file) is not None
        file.seek(0)
        return known or sha256sums.holds_one_sum(file.read(HEAD_BYTES))


def _has_hash_file(path: Path) -> bool:
    try:
        with open_file(sha256sums.sums_path(path)) as file:
            return sha256sums.holds_one_sum(file.read(HEAD_BYTES))
    except OSError:
        return False
