"""scores.csv: one row per image of a test set and model. Each row is durable as soon as it is written.

All metrics are computed from this file alone.
"""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, fields
from pathlib import Path
from types import TracebackType

import pandas as pd
from filelock import FileLock, Timeout

from sidscan.errors import OutputError, UsageError
from sidscan.util.files import open_file

ScoreKey = tuple[str, str, str, str]
"""Test set, label, path, model."""

_LABELS = ("real", "synthetic")
_REQUIRED_COLUMNS = ("set", "label", "score")  # of a file that another program wrote
_LINE_BREAKS = str.maketrans({"\\": "\\\\", "\n": "\\n", "\r": "\\r", "\0": "\\0"})


@dataclass(frozen=True, slots=True)
class ScoreRow:
    """One row. ``logit`` and ``score`` are None exactly where ``error`` gives the reason.

    Attributes:
        set: key of the test set.
        group: class folder, or empty.
        path: below the tests' folder.
        label: ``real`` or ``synthetic``.
        perturbation: empty, or the kind that was applied with probability 0.5.
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
    def key(self) -> ScoreKey:
        """Identifies the row. A later row with the same key replaces an earlier one."""
        return self.set, self.label, self.path, self.model

    def to_csv_line(self) -> str:
        """The row as a line of CSV; numbers keep all their digits."""
        out = io.StringIO()
        values = [getattr(self, name) for name in _COLUMNS]
        csv.writer(out, lineterminator="\n").writerow(["" if value is None else value for value in values])
        return out.getvalue()

    @classmethod
    def from_cells(cls, cells: Mapping[str, str]) -> ScoreRow:
        """The row in a line of CSV.

        Args:
            cells: by column name, all columns of a scores file.
        """
        texts = {name: cells[name] for name in _TEXT_COLUMNS}
        logit, score = (float(cells[name]) if cells[name] else None for name in ("logit", "score"))
        return cls(**texts, logit=logit, score=score)


_COLUMNS = tuple(field.name for field in fields(ScoreRow))
_TEXT_COLUMNS = tuple(name for name in _COLUMNS if name not in ("logit", "score"))
_HEADER = (",".join(_COLUMNS) + "\n").encode()


class ScoreFile:
    """A scores file that is being written. Rows survive once `append` has returned.

    If an interruption cut the last line short, opening the file drops that line.

    Args:
        fresh: empty the file first, as soon as no other process is writing it.

    Attributes:
        started: whether the file held rows when it was opened.

    Raises:
        OutputError: the file can't be opened or written, or belongs to another program or evaluation.
    """

    def __init__(self, path: Path, fresh: bool = False) -> None:
        self.path = path
        self._lock = FileLock(path.with_name(f".{path.name}.lock"))
        with ExitStack() as undo, _as_output_error(path):
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
        """Let other processes write the file."""
        self._file.close()
        self._lock.release()

    def append(self, rows: Iterable[ScoreRow]) -> None:
        """Add rows durably.

        Raises:
            OutputError: there is no room. The rows that the file held before are complete.
        """
        with _as_output_error(self.path):
            self._write("".join(row.to_csv_line() for row in rows).encode())

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

    def _drop_unfinished_line(self) -> None:
        self._file.seek(0)
        data = self._file.read()
        if data[: len(_HEADER)] != _HEADER[: len(data)]:
            raise OutputError(f"{self.path} is not a scores file of this version", "Choose another --out.")
        self._file.truncate(data.rfind(b"\n") + 1)


def latest_rows(path: Path) -> dict[ScoreKey, ScoreRow]:
    """The latest row for each key in a scores file; empty if the file does not exist."""
    if not path.exists():
        return {}
    with path.open(encoding="utf-8", newline="") as file:
        lines = [cells for cells in csv.reader(file) if len(cells) == len(_COLUMNS)][1:]
    rows = (ScoreRow.from_cells(dict(zip(_COLUMNS, cells, strict=True))) for cells in lines)
    return {row.key: row for row in rows}


def read_scores(path: Path) -> pd.DataFrame:
    """A scores file as a table with the fields of `ScoreRow` as columns; only the latest row for each key.

    A file of another program needs only the columns ``set``, ``label`` (real or synthetic) and ``score``.
    Without ``logit``, images are ranked by their score.

    Raises:
        UsageError: the file can't be read, or lacks those columns, or holds no rows.
    """
    try:
        with open_file(path) as file:  # reading a pipe would wait for ever
            rows = pd.read_csv(file, dtype=str, keep_default_na=False, encoding="utf-8")
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise UsageError(f"can't read the scores in {path}: {reason}") from error
    lacking = [name for name in _REQUIRED_COLUMNS if name not in rows]
    if lacking or rows.empty:
        what = f"lacks the columns {', '.join(lacking)}" if lacking else "holds no row"
        raise UsageError(
            f"{path} {what}", "A scores file has at least set, label and score, one row per image."
        )
    has_paths = "path" in rows
    rows = rows.reindex(columns=list(_COLUMNS), fill_value="")
    rows.loc[rows["model"] == "", "model"] = "model"
    rows["set"] = rows["set"].str.removeprefix("diffusion_datasets/")
    if has_paths:
        rows = rows.drop_duplicates(["set", "label", "path", "model"], keep="last")
    return _with_checked_values(rows, path)


def escape_line_breaks(text: str) -> str:
    """Text on one line: line breaks, and characters that UTF-8 can't encode, become escapes."""
    return text.translate(_LINE_BREAKS).encode("utf-8", "backslashreplace").decode()


def _with_checked_values(rows: pd.DataFrame, path: Path) -> pd.DataFrame:
    """The rows with numbers for texts. Rows with an error keep NaN."""
    unknown = sorted(set(rows["label"]) - set(_LABELS))
    if unknown:
        raise UsageError(f"{path}: labels are real or synthetic, not {', '.join(unknown[:5])}")
    for name in ("logit", "score"):
        rows[name] = pd.to_numeric(rows[name], errors="coerce")
    scored = rows["error"] == ""
    if not rows.loc[scored, "score"].between(0, 1).all():
        raise UsageError(f"{path}: a score is missing or outside of 0..1", "Rows without one need an error.")
    return rows


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
