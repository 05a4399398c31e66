"""scores.csv: one row for each image, localizer and perturbation, each durable as soon as it is written."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from sidscan.training.common.durable_file import DurableFile

RowKey = tuple[str, str, str, str]
"""Set, path, model, perturbation."""


@dataclass(frozen=True, slots=True)
class MapRow:
    """What was measured of one map.

    Attributes:
        set: empty for a real image that all sets share.
        path: below the data set's folder.
        label: ``synthetic`` (a part of it) or ``real``.
        trained_on: sets that the localizer was trained on, as its checkpoint states them.
        protocol: how the image was read, ``global`` or ``tiles``; one that is a single tile counts as
            ``global``, which is the same. Empty where it could not be used.
        scale: with ``tiles``, pixels of the image, across and down, that one pixel of a tile stands for.
        iou: in percent; None for a real image, as are AP, F1 and ``region``.
        region: share of the image that is synthetic, by its mask.
        area: share of the map above the localizer's threshold.
        mean, max: of the map.
        error: why nothing was measured.
    """

    set: str
    path: str
    label: str
    generator: str
    model: str
    digest: str
    trained_on: str
    protocol: str
    perturbation: str
    scale: float | None = None
    iou: float | None = None
    ap: float | None = None
    f1_fixed: float | None = None
    f1_best: float | None = None
    region: float | None = None
    area: float | None = None
    mean: float | None = None
    max: float | None = None
    error: str = ""

    @property
    def key(self) -> RowKey:
        """Identifies the row. A later row with the same key replaces an earlier one."""
        return self.set, self.path, self.model, self.perturbation

    def to_csv_line(self) -> str:
        """The row as a line of CSV; numbers keep all their digits."""
        out = io.StringIO()
        values = [getattr(self, name) for name in COLUMNS]
        csv.writer(out, lineterminator="\n").writerow(["" if value is None else value for value in values])
        return out.getvalue()

    @classmethod
    def from_cells(cls, cells: Mapping[str, str]) -> MapRow:
        """The row in a line of CSV."""
        values: dict[str, Any] = {name: cells[name] for name in COLUMNS}
        values |= {name: float(cells[name]) if cells[name] else None for name in NUMBERS}
        return cls(**values)


COLUMNS = tuple(field.name for field in fields(MapRow))
NUMBERS = ("scale", "iou", "ap", "f1_fixed", "f1_best", "region", "area", "mean", "max")
_HEADER = (",".join(COLUMNS) + "\n").encode()


class MapRowFile(DurableFile):
    """A file of such rows that is being written.

    Raises:
        OutputError: the file can't be opened or written, or belongs to another program or evaluation.
    """

    def __init__(self, path: Path, fresh: bool = False) -> None:
        super().__init__(path, _HEADER, fresh)

    def append(self, rows: Iterable[MapRow]) -> None:
        """Add rows durably.

        Raises:
            OutputError: there is no room. The rows that the file held before are complete.
        """
        self.append_text("".join(row.to_csv_line() for row in rows))


def latest_rows(path: Path) -> dict[RowKey, MapRow]:
    """The latest row for each key; empty if the file does not exist."""
    if not path.exists():
        return {}
    with path.open(encoding="utf-8", newline="") as file:
        lines = [cells for cells in csv.reader(file) if len(cells) == len(COLUMNS)][1:]
    rows = (MapRow.from_cells(dict(zip(COLUMNS, cells, strict=True))) for cells in lines)
    return {row.key: row for row in rows}
