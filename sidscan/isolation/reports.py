"""Reports as text. Those that are not text are unpacked in a process of their own, under limits.

A report comes from whoever sends it. Parquet, SQLite and Zstandard are decoded by large libraries of C and
C++, so `sidscan.isolation.report_worker` does that, and sends lines of text: what a text format would hold
itself. The formats check these lines as they check the text of any report.
"""

from __future__ import annotations

import io
import os
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, cast

from sidscan.errors import RuntimeUnavailable, UsageError
from sidscan.reports import BINARY_FORMATS
from sidscan.reports.reader import DamagedReport

if TYPE_CHECKING:
    from sidscan.isolation.processes import WorkerProcess

_WORKER_MODULE = "sidscan.isolation.report_worker"
_PART = 1 << 20  # bytes; more than one answer has
_SECONDS = 60.0  # for one answer
_MAX_TEXT = 1 << 12  # characters of a message


class ReportText:
    """The text of one report, as often as it is asked for; `close` ends the process that unpacks it.

    Args:
        file: the report, open.
        suffix: its format, as `reader.format_of_file` gives it.
        path: its name.
    """

    def __init__(self, file: BinaryIO, suffix: str, path: Path) -> None:
        self._file, self._suffix, self._path = file, suffix, path
        self._process: WorkerProcess | None = None

    def open(self, columns: Collection[str] = ()) -> BinaryIO:
        """The text from its start; what was opened before can't be read any more.

        Args:
            columns: of a format of typed columns, names of those that are read.

        Raises:
            RuntimeUnavailable: what unpacks it is not installed.
        """
        if self._suffix not in BINARY_FORMATS:
            self._file.seek(0)
            return self._file
        BINARY_FORMATS[self._suffix].check_readable()
        status = os.fstat(self._file.fileno())
        task: dict[str, object] = {
            "path": os.fspath(self._path.absolute()),
            "suffix": self._suffix,
            "file": [status.st_dev, status.st_ino],
            "columns": list(columns),
        }
        return cast(BinaryIO, io.BufferedReader(_Stream(self._answers(task)), _PART))

    def close(self) -> None:
        """End the process; the file stays open."""
        if self._process is not None:
            self._process.close()

    def _answers(self, task: dict[str, object]) -> Iterator[bytes]:
        """Parts of the text.

        Raises:
            DamagedReport: there is no more of it, and it is not complete.
            UsageError: no process can be started.
        """
        from sidscan.isolation.frames import Frame
        from sidscan.isolation.processes import (  # here: a report of text needs none
            ProcessLost,
            ProcessNotStarted,
            WorkerProcess,
            describe_exit,
            python_command,
        )

        if self._process is None:
            self._process = WorkerProcess(python_command(_WORKER_MODULE), _PART)
        try:
            self._process.start()
            while True:
                (answer,) = self._process.request(Frame(task), _SECONDS)
                yield answer.payload
                if answer.head:
                    _check_end(answer.head)
                    return
                if not answer.payload:  # else a process that somebody took over could send these for ever
                    raise DamagedReport("the process that read it sent an empty part")
                task = {}
        except ProcessLost as lost:
            if lost.timed_out:
                raise DamagedReport(f"a part of it was not read after {_SECONDS:g} s") from lost
            raise DamagedReport(f"the process that read it {describe_exit(lost.code)}") from lost
        except ProcessNotStarted as error:
            raise UsageError(
                f"{self._path} can't be read: no process could be started for it: {error}",
                "Close other programs, and run the command again.",
            ) from error


def _check_end(head: Any) -> None:
    """Raise what the process says of its end."""
    if "unavailable" in head:
        raise RuntimeUnavailable(str(head["unavailable"])[:_MAX_TEXT], str(head.get("remedy"))[:_MAX_TEXT])
    if head != {"end": True}:
        raise DamagedReport(str(head.get("damaged"))[:_MAX_TEXT])


class _Stream(io.RawIOBase):
    """Parts of a text as a file."""

    def __init__(self, parts: Iterator[bytes]) -> None:
        self._parts, self._left = parts, memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        """Fill a buffer as far as one part does; 0 at the end."""
        while not self._left:
            part = next(self._parts, None)
            if part is None:
                return 0
            self._left = memoryview(part)
        count = min(len(buffer), len(self._left))
        buffer[:count] = self._left[:count]
        self._left = self._left[count:]
        return count
