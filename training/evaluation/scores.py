"""scores.csv: one row per picture of a test set and model, durable as it grows.

All figures come from it alone.
"""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, fields
from pathlib import Path
from types import TracebackType
from typing import Any

import pandas as pd
from filelock import FileLock, Timeout

from sidscan.errors import OutputError, UsageError

LABELS = ("real", "synthetic")
_NEEDED = ("set", "label", "score")  # of a file that somebody else made
_LINE = str.maketrans({"\\": "\\\\", "\n": "\\n", "\r": "\\r", "\0": "\\0"})


@dataclass(frozen=True, slots=True)
class Row:
    """One row. ``logit`` and ``score`` are None exactly where ``error`` says why.

    Attributes:
        set: key of the test set.
        group: class folder, or empty.
        path: below the tests' folder.
        label: ``real`` or ``synthetic``.
        perturbation: empty, or the kind that a picture is subjected to with probability 0.5.
    """

    set: str
    group: str
    path: str
    label: str
    model: str
    digest: str
    crops: str
    perturbation: str
    logit: float | None = None
    score: float | None = None
    error: str = ""

    @property
    def key(self) -> tuple[str, str, str, str]:
        """What tells one row from another."""
        return self.set, self.label, self.path, self.model

    def line(self) -> str:
        """The row as a line of CSV; numbers in full."""
        out = io.StringIO()
        values = [getattr(self, name) for name in COLUMNS]
        csv.writer(out, lineterminator="\n").writerow(["" if value is None else value for value in values])
        return out.getvalue()


COLUMNS = tuple(field.name for field in fields(Row))
_HEADER = (",".join(COLUMNS) + "\n").encode()


class ScoreFile:
    """A scores file being written. What `append` returned from survives.

    A last line that an interruption cut short is dropped on opening.

    Args:
        fresh: empty the file first, once nobody else is writing it.

    Attributes:
        started: whether it held rows when it was opened.

    Raises:
        OutputError: the file can't be opened or written, is another program's, or another evaluation's.
    """

    def __init__(self, path: Path, fresh: bool = False) -> None:
        self.path = path
        self._lock = FileLock(path.with_name(f".{path.name}.lock"))
        with ExitStack() as undo, _refused(path):
            self._lock.acquire(timeout=0)
            undo.callback(self._lock.release)
            self._file = undo.enter_context(path.open("a+b", buffering=0))
            if fresh:
                self._file.truncate(0)
            self._drop_unfinished_line()
            size = os.fstat(self._file.fileno()).st_size
            if size == 0:
                self._write(_HEADER)
            self.started = size > len(_HEADER)
            undo.pop_all()

    def __enter__(self) -> ScoreFile:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Let others write the file."""
        self._file.close()
        self._lock.release()

    def append(self, rows: Iterable[Row]) -> None:
        """Add rows durably.

        Raises:
            OutputError: there is no room; what was there before is whole.
        """
        with _refused(self.path):
            self._write("".join(row.line() for row in rows).encode())

    def _write(self, data: bytes) -> None:
        """All of it or nothing: a full disk leaves no half line behind."""
        end = os.fstat(self._file.fileno()).st_size
        rest = memoryview(data)
        try:
            while rest:
                rest = rest[self._file.write(rest) :]
            os.fsync(self._file.fileno())
        except OSError:
            os.ftruncate(self._file.fileno(), end)
            raise

    def _drop_unfinished_line(self) -> None:
        self._file.seek(0)
        data = self._file.read()
        if data[: len(_HEADER)] != _HEADER[: len(data)]:
            raise OutputError(f"{self.path} is no scores file of this version", "Choose another --out.")
        self._file.truncate(data.rfind(b"\n") + 1)


def done(path: Path) -> dict[tuple[str, str, str, str], Row]:
    """Rows that a scores file holds, by key, the latest of each; none if there is no file."""
    if not path.exists():
        return {}
    with path.open(encoding="utf-8", newline="") as file:
        lines = [cells for cells in csv.reader(file) if len(cells) == len(COLUMNS)][1:]
    rows = (dict(zip(COLUMNS, cells, strict=True)) for cells in lines)
    return {row.key: row for row in map(_row, rows)}


def read(path: Path) -> pd.DataFrame:
    """A scores file: columns as `COLUMNS`, of each picture and model the latest row.

    A file made by others needs no more than ``set``, ``label`` (real or synthetic) and ``score``; without a
    ``logit`` pictures are ranked by score.

    Raises:
        UsageError: it can't be read, or holds no such rows.
    """
    try:
        rows = pd.read_csv(path, dtype=str, keep_default_na=False, encoding="utf-8")
    except (OSError, ValueError) as error:
        raise UsageError(f"can't read the scores in {path}: {error}") from error
    lacking = [name for name in _NEEDED if name not in rows]
    if lacking or rows.empty:
        what = f"lacks the columns {', '.join(lacking)}" if lacking else "holds no row"
        raise UsageError(
            f"{path} {what}", "A scores file has at least set, label and score, one row per picture."
        )
    identified = "path" in rows
    rows = rows.reindex(columns=list(COLUMNS), fill_value="")
    rows.loc[rows["model"] == "", "model"] = "model"
    rows["set"] = rows["set"].str.removeprefix("diffusion_datasets/")
    if identified:
        rows = rows.drop_duplicates(["set", "label", "path", "model"], keep="last")
    return _checked(rows, path)


def one_line(text: str) -> str:
    """Text without line breaks and without what UTF-8 can't hold, as escapes."""
    return text.translate(_LINE).encode("utf-8", "backslashreplace").decode()


def _row(cells: dict[str, str]) -> Row:
    numbers = {name: float(cells[name]) if cells[name] else None for name in ("logit", "score")}
    values: dict[str, Any] = {**cells, **numbers}
    return Row(**values)


def _checked(rows: pd.DataFrame, path: Path) -> pd.DataFrame:
    """Labels and numbers made sure of; rows with an error keep NaN."""
    strange = sorted(set(rows["label"]) - set(LABELS))
    if strange:
        raise UsageError(f"{path}: labels are real or synthetic, not {', '.join(strange[:5])}")
    for name in ("logit", "score"):
        rows[name] = pd.to_numeric(rows[name], errors="coerce")
    scored = rows["error"] == ""
    if not rows.loc[scored, "score"].between(0, 1).all():
        raise UsageError(f"{path}: a score is missing or outside of 0..1", "Rows without one need an error.")
    return rows


@contextmanager
def _refused(path: Path) -> Iterator[None]:
    try:
        yield
    except Timeout as error:
        raise OutputError(
            f"{path} is being written by another evaluation", "Wait for it, or choose another --out."
        ) from error
    except OSError as error:
        raise OutputError(
            f"can't write {path}: {error.strerror}",
            "What was scored is kept; free some space and run the same command again.",
        ) from error
