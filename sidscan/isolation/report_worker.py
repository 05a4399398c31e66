"""A process of `sidscan.isolation.reports`: it unpacks reports that are not text until its parent is gone."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from sidscan.errors import RuntimeUnavailable
from sidscan.isolation.confinement import confine
from sidscan.isolation.frames import READY, Frame, read_frame, write_frame
from sidscan.isolation.limits import exit_with_parent, ignore_signals, limit_memory, limit_time, take_stdout
from sidscan.reports import BINARY_FORMATS
from sidscan.reports.reader import DamagedReport
from sidscan.util.files import open_file

PART = 1 << 18  # bytes of text in one answer
_MEBIBYTES = 1024  # beyond what it holds at its start
SECONDS = 60.0  # for one answer


def main() -> None:
    """Answer until standard input ends. A task names a report; or it asks for more of the last one."""
    answers = take_stdout()
    ignore_signals()
    confine()  # before there is another thread
    exit_with_parent(os.getppid())
    limit_memory(_MEBIBYTES)
    write_frame(answers, READY)
    frames: Iterator[Frame] = iter(())
    with suppress(EOFError, BrokenPipeError):
        while True:
            task: Any = read_frame(sys.stdin.buffer).head
            limit_time(SECONDS)
            if "path" in task:
                frames = _frames(task["suffix"], Path(task["path"]), task["file"], task["columns"])
            write_frame(answers, next(frames))


def _frames(suffix: str, path: Path, identity: list[int], columns: list[str]) -> Iterator[Frame]:
    """The text of a report in parts; the last one says why it ends."""
    text = bytearray()
    end: dict[str, object] = {"end": True}
    try:
        with open_file(path) as file:
            status = os.fstat(file.fileno())
            if [status.st_dev, status.st_ino] != identity:
                raise DamagedReport("another file has its name now")
            for part in BINARY_FORMATS[suffix].unpacked(file, path, columns):
                text += part
                while len(text) >= PART:
                    yield Frame({}, bytes(text[:PART]))
                    del text[:PART]
    except RuntimeUnavailable as error:
        end = {"unavailable": error.message, "remedy": error.remedy}
    except MemoryError:
        end = {"damaged": f"to read it takes more than {_MEBIBYTES} MiB of memory"}
    except DamagedReport as error:
        end = {"damaged": str(error)}
    except Exception:  # libraries raise many kinds over damaged files
        end = {"damaged": "it is not as sidscan writes it"}
    yield Frame(end, bytes(text))
