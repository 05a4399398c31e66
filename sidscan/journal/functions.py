"""What queries of a record call."""

from __future__ import annotations

import json
import sqlite3

from sidscan.archives.entries import is_read_in_order
from sidscan.records import Item, Kind, strength


def add_functions(database: sqlite3.Connection) -> None:
    """What queries of a `Journal` call."""
    database.create_function("strength", 1, _strength, deterministic=True)
    database.create_function("size_of", 2, _size_of, deterministic=True)
    database.create_function("read_in_order", 2, _is_read_in_order, deterministic=True)


def _size_of(kind: str, fingerprint: str) -> int:
    return Item("", Kind(kind), fingerprint).size


def _is_read_in_order(kind: str, fingerprint: str) -> bool:
    return kind == Kind.MEMBER.value and is_read_in_order(fingerprint)


def _strength(scores: str) -> float:
    """Orders results as `ScanResult.strongest` orders scores, from their scores as JSON."""
    found = (strength(score["evidence"], score["logit"]) for score in json.loads(scores))
    return max(found, default=0.0)
