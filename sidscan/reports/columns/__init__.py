"""The columns of a report: their names, what they mean, and the cells that a result has in them."""

from __future__ import annotations

from sidscan.reports.columns.column import Cell, ColumnType, Value
from sidscan.reports.columns.report import (
    CSV_COLUMNS,
    DERIVED_COLUMNS,
    JOINED_COLUMNS,
    KNOWN_COLUMNS,
    MAP_COLUMNS,
    ReportColumn,
    choose_columns,
    find_column,
    report_columns,
)
from sidscan.reports.columns.row_reader import RowReader
from sidscan.reports.columns.rows import NUMBER_COLUMN, camera

__all__ = [
    "CSV_COLUMNS",
    "DERIVED_COLUMNS",
    "JOINED_COLUMNS",
    "KNOWN_COLUMNS",
    "MAP_COLUMNS",
    "NUMBER_COLUMN",
    "Cell",
    "ColumnType",
    "ReportColumn",
    "RowReader",
    "Value",
    "camera",
    "choose_columns",
    "find_column",
    "report_columns",
]
