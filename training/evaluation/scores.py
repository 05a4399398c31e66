"""scores.csv: one row per image of a test set and model. Each row is durable as soon as it is written.

All metrics are computed from this file alone.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from pathlib import Path

import pandas as pd

from sidscan.errors import UsageError
from sidscan.training.common.durable_file import DurableFile
from sidscan.util.files import open_file

ScoreKey = tuple[str, str, str, str]
"""Test set, label, path, model."""

_LABELS = ("real", "synthetic")
_REQUIRED_COLUMNS = ("set", "label", "score")  # of a file that another program wrote


@dataclass(frozen=True, slots=True)
class ScoreRow:
    """One row. ``logit`` and ``score`` are None exactly where ``error`` gives the reason.

    Attributes:
        set: key of the test set.
        group: class folder, or empty.
        path: below the data set's folder.
        generator: what made the image, as far as the data set says it.
        label: ``real`` or ``synthetic``.
        crops: ``center`` or ``ten``; of a model that reads whole images, what it reads, in words.
        perturbation: empty, or the kind that was applied with probability 0.5.
    """

    set: str
    group: str
    path: str
    generator: str
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


class ScoreFile(DurableFile):
    """A scores file that is being written. Rows survive once `append` has returned.

    Args:
        fresh: empty the file first, as soon as no other process is writing it.

    Raises:
        OutputError: the file can't be opened or written, or belongs to another program or evaluation.
    """

    def __init__(self, path: Path, fresh: bool = False) -> None:
        super().__init__(path, _HEADER, fresh)

    def append(self, rows: Iterable[ScoreRow]) -> None:
        """Add rows durably.

        Raises:
            OutputError: there is no room. The rows that the file held before are complete.
        """
        self.append_text("".join(row.to_csv_line() for row in rows))


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
