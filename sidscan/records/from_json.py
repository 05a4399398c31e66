"""Records that another version may have written: what `json.loads` makes of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from functools import cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from _typeshed import DataclassInstance


JsonObject = Mapping[str, Any]
"""What `json.loads` makes of a JSON object."""


@cache
def _field_names(record: type[DataclassInstance]) -> frozenset[str]:
    return frozenset(column.name for column in fields(record))


def known(record: type[DataclassInstance], raw: JsonObject) -> dict[str, Any]:
    """The entries that are fields of a record; another version may have written more."""
    names = _field_names(record)
    return {name: value for name, value in raw.items() if name in names}
