"""SQLite files that anybody may have made: only tables that hold values are read, since the rest is code.

A view, a trigger, a computed column or default, or a condition runs when a table is read or written, and may
take all memory.
"""

from __future__ import annotations

import re
import sqlite3
import sys

_MOST_COLUMNS = 2_000  # of a table; SQLite's own limit
_CONDITION = re.compile(r"\bCHECK\b", re.IGNORECASE)
_CONSTANT = re.compile(r"[+-]?[\d.]+|'[^']*'|NULL|TRUE|FALSE", re.IGNORECASE)
# As SQLite keeps the definitions. Columns of an index are names, or the one expression of sidscan's records.
_TABLE = re.compile(r'CREATE TABLE (["\']?)(\w+)\1\s*\(')
_INDEX = re.compile(
    r'CREATE (?:UNIQUE )?INDEX "?\w+"? ON "?\w+"? ?'
    r"\((?:[\w, \"]+|json_extract\(finding, '\$\.facts\.sha256'\))\)(?: WHERE [\w =']+)?"
)


class ComputedTables(sqlite3.DatabaseError):
    """A database has something else than tables of values; the message says what."""


def harden(database: sqlite3.Connection, longest: int) -> None:
    """Switch off what reading and writing tables of values does not need.

    ``trusted_schema`` is left to the caller: without it, SQLite can't open a record of sidscan, one index of
    which calls ``json_extract``. `check_tables` says which calls a database may hold.

    Args:
        longest: bytes of a value and of a row; Python 3.10 can't limit them.
    """
    for setting in ("cell_size_check = ON", "mmap_size = 0", "ignore_check_constraints = ON"):
        database.execute(f"PRAGMA {setting}")
    if sys.version_info >= (3, 11):
        for limit, value in (
            (sqlite3.SQLITE_LIMIT_LENGTH, longest),
            (sqlite3.SQLITE_LIMIT_COLUMN, _MOST_COLUMNS),
            (sqlite3.SQLITE_LIMIT_ATTACHED, 0),
            (sqlite3.SQLITE_LIMIT_TRIGGER_DEPTH, 0),
        ):
            database.setlimit(limit, value)
    if sys.version_info >= (3, 12):
        database.setconfig(sqlite3.SQLITE_DBCONFIG_DEFENSIVE, True)
        database.setconfig(sqlite3.SQLITE_DBCONFIG_ENABLE_VIEW, False)
        database.setconfig(sqlite3.SQLITE_DBCONFIG_ENABLE_TRIGGER, False)


def check_tables(database: sqlite3.Connection) -> None:
    """Refuse a database that has anything but tables of values and indices of their columns.

    SQLite goes by the text of a definition, and not by the kind and name beside it: so does this.

    Raises:
        ComputedTables: it has.
        sqlite3.Error: it can't be read.
    """
    rows = database.execute("SELECT type, name, sql, rootpage FROM sqlite_master").fetchall()
    for kind, name, sql, page in rows:
        if kind == "table":
            match = _TABLE.match(sql) if isinstance(sql, str) else None
            is_plain = match is not None and match[2] == name and bool(page)
        else:
            is_plain = kind == "index" and (sql is None or _is_plain_index(sql))
        if not is_plain:
            raise ComputedTables(f"{name} is not a table of values")
        if kind == "table" and _CONDITION.search(sql):
            raise ComputedTables(f"{name} has a condition")
        if kind == "table" and any(map(_is_computed, _columns(database, name))):
            raise ComputedTables(f"a column of {name} is computed")


def _is_plain_index(sql: object) -> bool:
    return isinstance(sql, str) and _INDEX.fullmatch(sql) is not None


def _is_computed(column: tuple[object, ...]) -> bool:
    """Whether a column, or what a new row has in it, is an expression."""
    *_, default, _, hidden = column
    return bool(hidden) or (default is not None and _CONSTANT.fullmatch(str(default)) is None)


def _columns(database: sqlite3.Connection, table: str) -> list[tuple[object, ...]]:
    return database.execute(f"PRAGMA table_xinfo({table})").fetchall()
