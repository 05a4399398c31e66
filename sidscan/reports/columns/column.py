"""What a column is: its name, what it means, and the value that it has."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, Literal, TypeVar

_Source = TypeVar("_Source")
Cell = str | int | float | None
Value = Cell | tuple[str, ...] | tuple[int, ...]
"""What a column says of a result, bool included; a list becomes one cell, bool becomes yes or no."""
CellKind = Literal["text", "number", "date", "evidence"]
"""What the cells of a column are; dates are ISO 8601, evidence is one of `records.EVIDENCE_WORDS`."""
ColumnType = Literal["text", "integer", "real", "boolean", "time", "texts", "integers"]
"""What the values of a column are in formats with types; a time is ISO 8601 with an offset from UTC."""


@dataclass(frozen=True, slots=True)
class Column(Generic[_Source]):
    """A column: its name, what it means, how to get its values, and what these are.

    Attributes:
        type: None for that of the kind.
        separator: between the entries of a list, in a cell.
    """

    name: str
    description: str
    value: Callable[[_Source], Value]
    kind: CellKind = "text"
    type: ColumnType | None = None
    separator: str = " "


def described(columns: tuple[Column[_Source], ...]) -> dict[str, str]:
    """What columns mean, by their names."""
    return {column.name: column.description for column in columns}
