"""A process of `sidscan.isolation.reports`: it unpacks reports that are not text until its parent is gone."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from sidscan.errors import RuntimeUnavailable
from sidscan.isolation.frames import Frame
from sidscan.isolation.serving import serve
from sidscan.reports import BINARY_FORMATS
from sidscan.reports.reader import DamagedReport
from sidscan.util.files import open_file

PART = 1 << 18  # bytes of text in one answer
_MEBIBYTES = 1024  # beyond what it holds at its start
SECONDS = 60.0  # for one answer


def main() -> None:
    """Answer tasks until standard input ends."""
    serve(_Reports().answer, _MEBIBYTES, seconds=lambda _: SECONDS)


class _Reports:
    """Answers tasks: one names a report, or it asks for more of the last one."""

    def __init__(self) -> None:
        self._frames: Iterator[Frame] = iter(())

    def answer(self, task: Frame) -> tuple[Frame]:
        """The next part of the report."""
        asked: Any = task.head
        if "path" in asked:
            self._frames = _frames(asked["suffix"], Path(asked["path"]), asked["file"], asked["columns"])
        return (next(self._frames),)


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
