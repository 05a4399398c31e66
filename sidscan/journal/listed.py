"""The inputs of a record become those that are listed now; inside one transaction.

An archive of a million images is mostly what it was before. As long as the inputs come as the record has
them, their rows stay where they are, and results that hold are not even read. From the first input that
differs in name or place on, all rows are written anew.
"""

from __future__ import annotations

import os
import sqlite3
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass

from sidscan.journal.identity import identity_of
from sidscan.journal.tables import COLUMNS
from sidscan.records import Item

_ROWS_AT_ONCE = 1000
INSERT = "INSERT INTO items (name, path, kind, stamp, skip) VALUES (?, ?, ?, ?, ?) ON CONFLICT DO NOTHING"
Columns = tuple[bytes, bytes, str, str, str]
"""What the listing says of an input: name, path, kind, fingerprint and reason to skip it."""
EMPTY = "status = NULL, settings = NULL, finding = NULL, reader = NULL, tries = 0"


@dataclass(frozen=True, slots=True)
class _Row:
    """A row as the record has it.

    Attributes:
        listed: what the listing said of it.
        holds: whether its result holds if the input is the same.
    """

    position: int
    listed: Columns
    pending: bool
    holds: bool
    reader: str | None


def listed_columns(item: Item, folder: str | None) -> Columns:
    """What a row has of an input.

    Args:
        folder: the current folder, which relative names start from.
    """
    path = os.fsencode(identity_of(item.name, item.kind, folder))
    return os.fsencode(item.name), path, item.kind.value, item.fingerprint, item.skip


class ListedInputs:
    """Brings the inputs of a record to what is listed now.

    Results that do not stay where they are move to the temporary table ``earlier``, with what was set aside
    before. Which inputs have no result then is in the temporary table ``unmatched``.

    Args:
        folder: the current folder, which relative names start from.
        holds: a condition of a row ``e`` of the record: whether its result holds if the input is the same.
        values: of that condition.

    Attributes:
        named: how many inputs were listed, repeated ones included.
        kept: results that stay where they are.
        kept_by: the same by what read them.
        is_paused: whether more inputs follow later, all of them behind those that are here.
    """

    def __init__(
        self, database: sqlite3.Connection, folder: str | None, holds: str, values: Mapping[str, object]
    ) -> None:
        self._db, self._folder, self._holds, self._values = database, folder, holds, values
        self.named = self.kept = 0
        self.kept_by = Counter[str]()
        self.is_paused = self._has_moved = False

    def take(self, items: Iterable[Item | None], may_pause: Callable[[], bool] | None = None) -> None:
        """Bring the inputs to ``items``, of which each path gets one row.

        Args:
            items: None among them stands for a while in which none came.
            may_pause: asked after each, once all rows of the record were seen and none of its results moved:
                whether to go on without the others.
        """
        self._db.execute(
            f"CREATE TEMP TABLE earlier AS SELECT {COLUMNS}, TRUE AS latest FROM items WHERE FALSE"  # noqa: S608
        )
        rows = self._rows()
        row, in_place = next(rows, None), True
        for item in items:
            if item is not None:
                self.named += 1
                listed = listed_columns(item, self._folder)
                if in_place and row and row.listed == listed:
                    self._keep(row)
                    row = next(rows, None)
                elif not (in_place and self._is_repeated(listed[1], row)):
                    if in_place and row:
                        self._move_from(row.position)
                    in_place = False
                    self._insert(listed)
                else:
                    self._repeat(listed)
            all_seen = row is None or not in_place
            if may_pause is not None and all_seen and not self._has_moved and may_pause():
                self.is_paused = True
                break
        if in_place and row:
            self._move_from(row.position)
        self._finish()

    def _rows(self) -> Iterator[_Row]:
        """The rows of the record in their order; in parts, so that they may be changed meanwhile."""
        query = f"""SELECT position, name, path, kind, stamp, skip, finding IS NULL, reader, {self._holds}
            FROM items AS e WHERE position > :last ORDER BY position LIMIT {_ROWS_AT_ONCE}"""  # noqa: S608
        last = -1
        while rows := self._db.execute(query, {**self._values, "last": last}).fetchall():
            for last, *listed, pending, reader, holds in rows:
                yield _Row(last, tuple(listed), pending, holds, reader)

    def _keep(self, row: _Row) -> None:
        """Leave a row where it is; a result that does not hold moves."""
        if row.pending:
            return
        if not row.holds:
            self._move(row.position)
            return
        self.kept += 1
        if row.reader is not None:
            self.kept_by[row.reader] += 1

    def _is_repeated(self, path: bytes, row: _Row | None) -> bool:
        """Whether an input was listed before the row that is expected."""
        found = self._db.execute("SELECT position FROM items WHERE path = ?", (path,)).fetchone()
        return found is not None and (row is None or found[0] < row.position)

    def _insert(self, listed: Columns) -> None:
        if not self._db.execute(INSERT, listed).rowcount:
            self._repeat(listed)

    def _repeat(self, listed: Columns) -> None:
        """An input that a walk skipped (a link, for example) is read if it is also named.

        Else it is what it was when it was named first: it may have been read by then.
        """
        _, path, _, fingerprint, skip = listed
        if skip:
            return
        query = "SELECT position, finding IS NULL, reader FROM items WHERE path = ? AND skip != ''"
        found = self._db.execute(query, (path,)).fetchone()
        if found is None:
            return
        position, pending, reader = found
        if not pending:
            self._move(position)
            self.kept -= 1
            self.kept_by[reader] -= reader is not None
        self._db.execute("UPDATE items SET stamp = ?, skip = '' WHERE position = ?", (fingerprint, position))

    def _move(self, position: int) -> None:
        """Move the result of a row; the row stays, without one."""
        self._has_moved = True
        query = f"INSERT INTO earlier SELECT {COLUMNS}, TRUE FROM items WHERE position = ?"  # noqa: S608
        self._db.execute(query, (position,))
        self._db.execute(f"UPDATE items SET {EMPTY} WHERE position = ?", (position,))  # noqa: S608

    def _move_from(self, position: int) -> None:
        """Move all results from a row on, and delete the rows."""
        self._has_moved = True
        of_rest = "position >= ?"
        query = f"""INSERT INTO earlier SELECT {COLUMNS}, TRUE FROM items
            WHERE {of_rest} AND finding IS NOT NULL ORDER BY position"""  # noqa: S608
        self._db.execute(query, (position,))
        self._db.execute(f"DELETE FROM items WHERE {of_rest}", (position,))  # noqa: S608

    def _finish(self) -> None:
        self._db.execute(f"INSERT INTO earlier SELECT {COLUMNS}, FALSE FROM retired")  # noqa: S608
        self._db.execute("UPDATE items SET tries = 0 WHERE finding IS NULL AND tries != 0")
        self._db.execute("CREATE TEMP TABLE unmatched (position INTEGER PRIMARY KEY)")
        self._db.execute("INSERT INTO unmatched SELECT position FROM items WHERE finding IS NULL")
