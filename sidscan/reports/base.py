"""The file of a report: written beside its final name, made durable, then renamed. Subclasses only render."""

from __future__ import annotations

import os
import sys
from abc import ABC, abstractmethod
from pathlib import Path
from typing import TextIO, cast

from sidscan.errors import OutputError
from sidscan.files import replacing
from sidscan.records import Record
from sidscan.terminal import safe

STDOUT = "-"


class Report(ABC):
    """One report.

    Args:
        out: path of the file, or ``-`` for standard output.
    """

    def __init__(self, out: str) -> None:
        self.out = out

    @abstractmethod
    def render(self, record: Record, file: TextIO) -> None:
        """Write the whole report as text."""

    def check(self) -> None:
        """Find out before a long scan whether the report could be written.

        Raises:
            OutputError: its folder does not exist or is read-only, or it is a folder itself.
        """
        if self.out == STDOUT:
            return
        path = Path(self.out)
        folder = path.parent
        if path.is_dir():
            raise OutputError(f"{path} is a folder", "Give --out the name of a file.")
        if not folder.is_dir():
            raise OutputError(f"the folder {folder} does not exist", "Create it, or choose another --out.")
        if not os.access(folder, os.W_OK):
            raise OutputError(f"the folder {folder} is not writable", "Choose another --out.")

    def write(self, record: Record) -> None:
        """Render into place.

        Raises:
            OutputError: the file can't be written; an older one of that name is left as it was.
        """
        if self.out == STDOUT:
            self._print(record)
            return
        path = Path(self.out)
        try:
            self._replace(path, record)
        except OSError as error:
            raise OutputError(
                f"can't write {path}: {error.strerror}",
                "Nothing is lost: run the same command again, or with the same --journal and another --out.",
            ) from error

    def _print(self, record: Record) -> None:
        out = cast(TextIO, _TerminalSafe(sys.stdout)) if sys.stdout.isatty() else sys.stdout
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

    def _replace(self, path: Path, record: Record) -> None:
        with replacing(path) as partial, partial.open("w", encoding="utf-8", newline="") as file:
            self.render(record, file)


class _TerminalSafe:
    """Standard output on a terminal, where a picture's EXIF must not move the cursor."""

    def __init__(self, terminal: TextIO) -> None:
        self._terminal = terminal

    def write(self, text: str) -> int:
        """Write with control characters made visible."""
        return self._terminal.write(safe(text))


def printable(text: str) -> str:
    """Text that any UTF-8 file can hold: bytes of a name that are not UTF-8 appear as ``\\udcXX``."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")
