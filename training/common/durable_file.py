"""Files of results that grow line by line: each line is durable as soon as it is written."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

from filelock import FileLock, Timeout

from sidscan.errors import OutputError

if TYPE_CHECKING:
    from typing_extensions import Self

_COLUMNS_OF_ALL = 2  # columns that every version of a scores file begins with
_LINE_BREAKS = str.maketrans({"\\": "\\\\", "\n": "\\n", "\r": "\\r", "\0": "\\0"})


class DurableFile:
    """A scores file that is being written. Lines survive once `append_text` has returned.

    If an interruption cut the last line short, opening the file drops that line.

    Args:
        header: the first line of every such file.
        fresh: empty the file first, as soon as no other process is writing it; one of another version, too.

    Attributes:
        started: whether the file held lines when it was opened.

    Raises:
        OutputError: the file can't be opened or written, or belongs to another program or evaluation.
    """

    def __init__(self, path: Path, header: bytes, fresh: bool = False) -> None:
        self.path, self._header = path, header
        self._lock = FileLock(path.with_name(f".{path.name}.lock"))
        with ExitStack() as undo, _as_output_error(path):
            self._lock.acquire(timeout=0)
            undo.callback(self._lock.release)
            self._file = undo.enter_context(path.open("a+b", buffering=0))
            if fresh:
                self._check_own()
                self._file.truncate(0)
            self._drop_unfinished_line()
            size = os.fstat(self._file.fileno()).st_size
            if size == 0:
                self._write(header)
            self.started = size > len(header)
            undo.pop_all()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Let other processes write the file."""
        self._file.close()
        self._lock.release()

    def append_text(self, text: str) -> None:
        """Add whole lines durably.

        Raises:
            OutputError: there is no room. The lines that the file held before are complete.
        """
        with _as_output_error(self.path):
            self._write(text.encode())

    def _write(self, data: bytes) -> None:
        """Write everything or nothing: a full disk leaves no half line behind."""
        end = os.fstat(self._file.fileno()).st_size
        rest = memoryview(data)
        try:
            while rest:
                rest = rest[self._file.write(rest) :]
            os.fsync(self._file.fileno())
        except OSError:
            os.ftruncate(self._file.fileno(), end)
            raise

    def _check_own(self) -> None:
        """Refuse to empty what never was a scores file: its first columns say so, in every version."""
        self._file.seek(0)
        head = self._file.read(len(self._header))
        first, expected = (line.split(b",")[:_COLUMNS_OF_ALL] for line in (head, self._header))
        if first != expected and not self._header.startswith(head):
            raise OutputError(
                f"{self.path} does not say that sidscan wrote it; it is left alone", "Choose another --out."
            )

    def _drop_unfinished_line(self) -> None:
        self._file.seek(0)
        data = self._file.read()
        if data[: len(self._header)] != self._header[: len(data)]:
            raise OutputError(f"{self.path} is not a scores file of this version", "Choose another --out.")
        self._file.truncate(data.rfind(b"\n") + 1)


def escape_line_breaks(text: str) -> str:
    """Text on one line: line breaks, and characters that UTF-8 can't encode, become escapes."""
    return text.translate(_LINE_BREAKS).encode("utf-8", "backslashreplace").decode()


@contextmanager
def _as_output_error(path: Path) -> Iterator[None]:
    try:
        yield
    except Timeout as error:
        raise OutputError(
            f"{path} is being written by another evaluation", "Wait for it, or choose another --out."
        ) from error
    except OSError as error:
        raise OutputError(
            f"can't write {path}: {error.strerror}",
            "The scores so far are kept; free some space and run the same command again.",
        ) from error
