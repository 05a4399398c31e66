"""Begin a record with what others hold, where none of them is continued itself."""

from __future__ import annotations

import json
import shutil
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

from sidscan.journal import closer_looks, localizations, thumbnails
from sidscan.journal.tables import COLUMNS
from sidscan.util.files import atomic_write, real_path
from sidscan.util.plain_sqlite import check_tables

_COLUMNS = COLUMNS.removeprefix("position, ")
_OF_BYTES = ("thumbnails", "crops", "second_images", "closer_looks", "localizations")
_CREATE = thumbnails.CREATE + closer_looks.CREATE + localizations.CREATE


def start_from(path: Path, sources: Sequence[Path]) -> None:
    """Make a new record at ``path`` with all results of other ones, which nobody changes meanwhile.

    The scan that opens it keeps those that still hold.

    Raises:
        OSError, sqlite3.Error: one can't be read, or the new one can't be written; there is none then.
    """
    for source in sources:
        with closing(_opened(source)) as database:
            check_tables(database)
    with atomic_write(path) as partial:
        shutil.copyfile(sources[0], partial)
        with closing(sqlite3.connect(partial, isolation_level=None)) as database:
            database.execute("PRAGMA journal_mode=OFF")  # no second file that a failure would leave
            database.executescript(_CREATE)
            for source in sources[1:]:
                _add(database, source)


def _add(database: sqlite3.Connection, source: Path) -> None:
    with closing(_opened(source)) as other:
        marks = ", ".join("?" * len(_COLUMNS.split(", ")))
        database.executemany(
            f"INSERT OR IGNORE INTO items ({_COLUMNS}) VALUES ({marks})",  # noqa: S608
            other.execute(f"SELECT {_COLUMNS} FROM items WHERE finding IS NOT NULL ORDER BY position"),  # noqa: S608
        )
        there = {name for (name,) in other.execute("SELECT name FROM sqlite_master")}
        for table in filter(there.__contains__, _OF_BYTES):
            rows = other.execute(f"SELECT * FROM {table}")  # noqa: S608
            marks = ", ".join("?" * len(rows.description))
            database.executemany(f"INSERT OR IGNORE INTO {table} VALUES ({marks})", rows)  # noqa: S608
        sessions = _sessions(database)
        sessions += [each for each in _sessions(other) if each not in sessions]
    database.execute("INSERT OR REPLACE INTO header VALUES ('sessions', ?)", (json.dumps(sessions),))


def _opened(source: Path) -> sqlite3.Connection:
    return sqlite3.connect(f"{real_path(source).as_uri()}?mode=ro&immutable=1", uri=True)


def _sessions(database: sqlite3.Connection) -> list[object]:
    row = database.execute("SELECT value FROM header WHERE key = 'sessions'").fetchone()
    sessions: list[object] = json.loads(row[0]) if row else []
    return sessions
