"""The SQLite file of a record: opening it, bringing it to today's form, and what may be wrong with it."""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sidscan.errors import OutputError, RecordInUse, SidscanError
from sidscan.journal import (
    closer_looks,
    listings,
    localizations,
    outputs,
    previous,
    tables,
    thumbnails,
    turns,
)
from sidscan.journal.functions import add_functions
from sidscan.journal.identity import current_folder
from sidscan.journal.tables import ITEMS_START, TABLES
from sidscan.records import JOURNAL_FORMAT
from sidscan.util.files import can_lock, real_path

COMPANIONS = thumbnails.CREATE + closer_looks.CREATE + localizations.CREATE
COMPANIONS += previous.CREATE + turns.CREATE + listings.CREATE
"""Tables of what reports show besides the results; records of earlier versions lack them."""
SQLITE_SIGNATURE = b"SQLite format 3\0"
_SCHEMA_BYTES = 4096  # SQLite keeps the text of the tables' definitions in the first page
UPGRADED = "upgraded_from"  # key of the header: the format in which an earlier version wrote the record
_DAMAGE = ("malformed", "not a database")  # of SQLite's messages; Python 3.10 has no error codes


class RecordFile:
    """The file of one run's record, or a record in memory.

    Args:
        path: SQLite file; None keeps the record in memory.
        fresh: delete what the file holds, a damaged record too.

    Raises:
        OutputError: the file can't be written, is damaged, belongs to something else, or is in use by another
            scan.
    """

    def __init__(self, path: Path | None, fresh: bool = False) -> None:
        self.path = path
        self._folder = current_folder()
        try:
            self._open(fresh)
        except sqlite3.Error as error:
            if path is None or not is_damage(error):
                raise self._output_error(error) from error
            if not _was_record(path):
                raise self._not_a_record() from error
            if not fresh:
                raise self._output_error(error) from error
            self._discard_damaged()

    def _open(self, fresh: bool) -> None:
        self._db = sqlite3.connect(":memory:" if self.path is None else os.fspath(self.path), timeout=1.0)
        add_functions(self._db)
        with _closed_on_error(self._db):
            self._prepare(fresh)

    def _discard_damaged(self) -> None:
        assert self.path is not None
        try:
            os.truncate(self.path, 0)  # SQLite takes an empty file for a new one
            self._open(fresh=True)
        except (OSError, sqlite3.Error) as error:
            raise self._output_error(error) from error

    def _prepare(self, fresh: bool) -> None:
        if sqlite3.sqlite_version_info < (3, 33):  # UPDATE ... FROM
            raise sqlite3.NotSupportedError(f"SQLite {sqlite3.sqlite_version} is too old, 3.33 is needed")
        self._db.execute("PRAGMA locking_mode=EXCLUSIVE")  # two scans never share one record
        self._db.execute("PRAGMA synchronous=FULL")
        with self._db:
            self._db.execute("BEGIN EXCLUSIVE")
            tables, ours = self._db.execute(
                "SELECT count(*), count(iif(name = 'items' AND instr(sql, ?) = 1, 1, NULL)) "
                "FROM sqlite_master",
                (ITEMS_START.decode(),),
            ).fetchone()
            if tables and not ours:
                raise self._not_a_record()
        self._upgrade()
        self._db.executescript(TABLES + outputs.TABLE + COMPANIONS)
        if fresh:  # only after the check above: another program's file is never emptied
            self._db.executescript(
                "DELETE FROM items; DELETE FROM retired; DELETE FROM header; DELETE FROM closer_looks;"
            )
            empty = thumbnails.EMPTY + localizations.EMPTY + previous.EMPTY + turns.EMPTY + listings.EMPTY
            self._db.executescript(empty)
            if self._db.execute("PRAGMA quick_check(1)").fetchone() != ("ok",):
                raise sqlite3.DatabaseError("the emptied file is malformed")
        if self._format() is None:
            self._write_header({"format": JOURNAL_FORMAT})

    def _format(self) -> str | None:
        tables = "SELECT count(*) FROM sqlite_master WHERE name = 'header'"
        if not self._db.execute(tables).fetchone()[0]:
            return None
        number = self._db.execute("SELECT value FROM header WHERE key = 'format'").fetchone()
        return None if number is None else str(json.loads(number[0]))

    def _upgrade(self) -> None:
        """Bring the tables of an earlier version to today's form."""
        number = self._format()
        if number == "1":
            with self._writing():
                self._db.execute("BEGIN")
                rows = self._db.execute("SELECT key, value FROM header").fetchall()
                tables.upgrade_from_1(self._db, {key: json.loads(value) for key, value in rows})
                self._db.executemany(
                    "INSERT OR REPLACE INTO header VALUES (?, ?)",
                    [("format", json.dumps(JOURNAL_FORMAT)), (UPGRADED, '"1"')],
                )
        elif number not in (None, JOURNAL_FORMAT):
            raise sqlite3.DatabaseError("it was written by another version of sidscan")

    def close(self) -> None:
        """Release the file."""
        self._db.close()

    def _write_header(self, values: dict[str, object]) -> None:
        with self._writing():
            self._db.executemany(
                "INSERT OR REPLACE INTO header VALUES (?, ?)",
                [(key, json.dumps(value)) for key, value in values.items()],
            )

    def _read(self, query: str, values: tuple[object, ...] = ()) -> sqlite3.Cursor:
        try:
            return self._db.execute(query, values)
        except sqlite3.Error as error:
            raise self._output_error(error) from error

    @contextmanager
    def _writing(self) -> Iterator[None]:
        try:
            with self._db:
                yield
        except sqlite3.Error as error:
            raise self._output_error(error) from error

    def _output_error(self, error: Exception) -> SidscanError:
        where = self.path or "memory"
        if self.path is not None and not is_damage(error) and not can_lock(real_path(self.path).parent):
            return OutputError(
                f"the folder of {where} can't lock files, as some network shares can't, and the run's record "
                "needs that",
                "Name a file on a local disk with --journal FILE; reports may stay where they are.",
            )
        if "locked" in str(error):
            return RecordInUse(
                f"{where} is in use by another scan",
                "Wait for it to end, or choose another --out or --journal.",
            )
        if is_damage(error):
            return OutputError(
                f"the record {where} is damaged",
                "--fresh discards it and starts over; or name another with --journal FILE.",
            )
        return OutputError(
            f"can't keep the run's record in {where}: {error}",
            "Name another file, in a writable folder with free space, with --journal FILE.",
        )

    def _not_a_record(self) -> SidscanError:
        return OutputError(
            f"{self.path} is not a record of sidscan; it is left alone",
            "Choose another file for the record with --journal FILE.",
        )


def is_damage(error: Exception) -> bool:
    """Whether SQLite says that a file is no database, or a damaged one."""
    return isinstance(error, sqlite3.Error) and any(words in str(error) for words in _DAMAGE)


def _was_record(path: Path) -> bool:
    """Whether a damaged file was a record, as far as can be seen.

    It must start as SQLite's files do. If its first page still defines tables, `items` must be one of them
    as we define it; else the name must end in ``.journal``.
    """
    try:
        with path.open("rb") as file:
            page = file.read(_SCHEMA_BYTES)
    except OSError:
        return False
    if not page.startswith(SQLITE_SIGNATURE):
        return False
    if b"CREATE TABLE" in page:
        return ITEMS_START in page
    return path.suffix == ".journal"


@contextmanager
def _closed_on_error(database: sqlite3.Connection) -> Iterator[None]:
    """Close a database that turns out to be unusable."""
    try:
        yield
    except BaseException:
        database.close()
        raise
