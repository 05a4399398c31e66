"""The file of a report: written beside its final name, made durable, then renamed. Subclasses only render."""

from __future__ import annotations

import sys
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO, cast

from sidscan.errors import OutputError, UsageError
from sidscan.records import RunRecord
from sidscan.reports import output_files, sha256sums
from sidscan.reports.reader import format_of
from sidscan.util.files import atomic_write, open_file, real_path, remove_leftovers, sha256_of
from sidscan.util.terminal import SafeStream

STDOUT = "-"


class Report(ABC):
    """One report.

    Args:
        out: path of the file, or ``-`` for standard output. Of a link, what it leads to is written.
        hashed: keep a detached hash file beside it. One that is there already is always kept up to date.
    """

    def __init__(self, out: str, hashed: bool = False) -> None:
        self.out = out
        self.hashed = hashed

    @abstractmethod
    def render(self, record: RunRecord, file: TextIO) -> None:
        """Write the whole report as text."""

    @property
    def files(self) -> tuple[Path, ...]:
        """What it may leave on disk."""
        if self.out == STDOUT:
            return ()
        path = Path(self.out)
        return (path, sha256sums.sums_path(path), output_files.lock_file(path))

    def altered(self) -> bool:
        """Whether a report is there already and is not what the hash file beside it states."""
        path = Path(self.out)
        if self.out == STDOUT or not _has_hash_file(path):
            return False
        try:
            with open_file(path) as file:
                return sha256_of(file) != sha256sums.read(sha256sums.sums_path(path), path.name)
        except (OSError, UsageError):
            return False

    def place(self) -> str:
        """Where it is and what stands beside it, in words, once it is written."""
        if self.out == STDOUT:
            return "standard output"
        path = Path(self.out)
        return f"{path}, its sha256 in {sha256sums.sums_path(path)}" if _has_hash_file(path) else str(path)

    @contextmanager
    def reserved(self, overwrite: bool = False) -> Iterator[None]:
        """Find out before a long scan whether the report could be written, and keep other scans from it.

        Args:
            overwrite: replace files, too, that sidscan did not write.

        Raises:
            OutputError: it could not be written, something else is there, or another scan writes it.
        """
        if self.out == STDOUT:
            yield
            return
        path = Path(self.out)
        output_files.check(path, lambda head: format_of(head) is not None, overwrite)
        if self.hashed:
            output_files.check(sha256sums.sums_path(path), sha256sums.is_one_line, overwrite)
        with output_files.reserved(path):
            for place in (
                path,
                sha256sums.sums_path(path),
            ):  # of a scan that was killed; nobody else writes here
                remove_leftovers(real_path(place))
            yield

    def write(self, record: RunRecord) -> None:
        """Render into place.

        Raises:
            OutputError: the file can't be written; an older one of that name is left as it was.
        """
        if self.out == STDOUT:
            self._print(record)
            return
        path = place = Path(self.out)
        try:
            sha256 = self._replace(real_path(path), record)
            if self.hashed or _has_hash_file(path):
                place = sha256sums.sums_path(path)
                sha256sums.write(path, sha256)
        except OSError as error:
            raise OutputError(
                f"can't write {place}: {error.strerror}",
                "Nothing is lost: run the same command again, or with the same --journal and another --out.",
            ) from error

    def _print(self, record: RunRecord) -> None:
        if sys.stdout is None:
            raise OutputError("standard output is closed", "Give --out FILE.")
        out = cast(TextIO, SafeStream(sys.stdout)) if sys.stdout.isatty() else sys.stdout
        try:
            self.render(record, out)
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
        with atomic_write(path) as partial:
            with partial.open("w", encoding="utf-8", newline="") as file:
                self.render(record, file)
            with partial.open("rb") as written:
                return sha256_of(written)


def _has_hash_file(path: Path) -> bool:
    try:
        with open_file(sha256sums.sums_path(path)) as file:
            return sha256sums.is_one_line(file.read(output_files.HEAD_BYTES))
    except OSError:
        return False


def printable(text: str) -> str:
    """Text that any UTF-8 file can hold: bytes of a name that are not UTF-8 appear as ``\\udcXX``."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")
