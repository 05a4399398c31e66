"""The cells of one row after another, with little work for each."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import groupby
from typing import Any

from sidscan.records import ScanResult
from sidscan.reports.columns.column import Cell, Value
from sidscan.reports.columns.report import ReportColumn, as_cell


class RowReader:
    """Reads the cells of results. Each of a million rows may have eighty, so it does nothing twice.

    Args:
        text: makes a cell of a text.
    """

    def __init__(self, columns: Sequence[ReportColumn], text: Callable[[str], str]) -> None:
        self._text = text
        self._groups = [
            _Group(source, [(column.get, column.separator) for column in side_by_side])
            for source, side_by_side in groupby(columns, lambda column: column.source)
        ]

    def cells(self, result: ScanResult) -> list[Cell]:
        """The cells of a row; those read from the same record as before, or from none again, are kept."""
        cells: list[Cell] = []
        for group in self._groups:
            source = group.source(result)
            if source is not group.last:
                group.last, group.cells = source, self._read(source, group.columns)
            cells += group.cells
        return cells

    def _read(self, source: object, columns: Sequence[tuple[Callable[[Any], Value], str]]) -> list[Cell]:
        if source is None:
            return [None] * len(columns)
        return [self._cell(get(source), separator) for get, separator in columns]

    def _cell(self, value: Value, separator: str) -> Cell:
        if value is None or type(value) is float or type(value) is int:
            return value
        cell = value if isinstance(value, str) else as_cell(value, separator)
        return self._text(cell) if isinstance(cell, str) else cell


class _Group:
    """Columns that stand side by side and are read from the same record.

    Attributes:
        columns: of each, how its value is read, and what separates the entries of a list.
        last, cells: the record of the row before, and its cells.
    """

    def __init__(
        self, source: Callable[[ScanResult], Any], columns: Sequence[tuple[Callable[[Any], Value], str]]
    ) -> None:
        self.source, self.columns = source, columns
        self.last: object = self  # no record
        self.cells: list[Cell] = []
