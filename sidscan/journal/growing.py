"""Inputs that are listed while others are scored already; they follow those that the record has.

That is so only where no earlier result can be set aside by what is listed later: in a record without inputs,
and in one whose listing broke off and comes as it did before.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass

from sidscan.journal import previous
from sidscan.journal.file import RecordFile
from sidscan.journal.listed import EMPTY, INSERT, Columns, listed_columns
from sidscan.records import Item, Kind

_COMPLETE = "listing_complete"  # of the header
_ROWS_AT_ONCE = 1000


@dataclass(frozen=True, slots=True)
class Added:
    """What came of inputs that were added.

    Attributes:
        repeated: inputs that were named before.
        reopened: positions of those that are read only since they were named again.
    """

    repeated: int
    reopened: Sequence[int]


class GrowingRecord(RecordFile):
    """A record that gets inputs while results are made."""

    def can_grow(self) -> bool:
        """Whether inputs may be added to those of `register_inputs`, as far as can be told before it."""
        is_empty = "SELECT NOT EXISTS (SELECT 1 FROM items), NOT EXISTS (SELECT 1 FROM retired)"
        has_no_inputs, has_none_aside = self._read(is_empty).fetchone()
        broke_off = "SELECT EXISTS (SELECT 1 FROM header WHERE key = ? AND value = 'false')"
        return bool(has_none_aside and (has_no_inputs or self._read(broke_off, (_COMPLETE,)).fetchone()[0]))

    def add_inputs(self, items: Sequence[Item], complete: bool, reopen: bool = True) -> Added:
        """Record more inputs, behind the others, durably; an input that is there already stays one row.

        Args:
            complete: these are the last ones.
            reopen: read inputs that a walk skipped (a link, for example) and that are named now.
        """
        with self._writing():
            self._db.execute("BEGIN")
            (last,) = self._db.execute("SELECT ifnull(max(position), -1) FROM items").fetchone()
            rows = [listed_columns(item, self._folder) for item in items]
            added = self._db.executemany(INSERT, rows).rowcount if rows else 0
            reopened = self._reopen(rows) if reopen and added < len(rows) else ()
            previous.note_added(self._db, last)
            if complete:
                self.note_listing(True)
        return Added(len(rows) - added, reopened)

    def note_listing(self, complete: bool) -> None:
        """Note whether all inputs are listed; inside a transaction."""
        query = "UPDATE header SET value = 'true' WHERE key = ? AND value = 'false'"
        if not complete:
            query = "INSERT OR REPLACE INTO header VALUES (?, 'false')"
        self._db.execute(query, (_COMPLETE,))

    def _reopen(self, rows: Sequence[Columns]) -> Sequence[int]:
        """As `ListedInputs` does it; returns the positions of the inputs.

        One may have its row by now, of an earlier session to which nobody named it.
        """
        reopened = []
        for _, path, _, fingerprint, skip in rows:
            query = "SELECT position FROM items WHERE path = ? AND skip != ''"
            found = None if skip else self._db.execute(query, (path,)).fetchone()
            if found is not None:
                query = f"UPDATE items SET stamp = ?, skip = '', {EMPTY} WHERE position = ?"  # noqa: S608
                self._db.execute(query, (fingerprint, *found))
                reopened += found
        return reopened

    def pending_after(self, position: int, skipped: bool | None) -> list[tuple[int, Item]]:
        """Positions and inputs without a result, the next ones behind a position.

        Args:
            skipped: those that are not read; False for those that are, None for both.
        """
        query = f"""SELECT position, name, kind, stamp, skip FROM items WHERE finding IS NULL AND position > ?
            AND ifnull((skip != '') = ?, TRUE) ORDER BY position LIMIT {_ROWS_AT_ONCE}"""  # noqa: S608
        rows = self._read(query, (position, skipped)).fetchall()
        return [(row[0], Item(os.fsdecode(row[1]), Kind(row[2]), *row[3:])) for row in rows]

    def pending_at(self, positions: Sequence[int]) -> list[Item]:
        """Those of the inputs at some positions that have no result."""
        query = "SELECT name, kind, stamp, skip FROM items WHERE finding IS NULL AND position = ?"
        rows = [row for position in positions for row in self._read(query, (position,))]
        return [Item(os.fsdecode(row[0]), Kind(row[1]), *row[2:]) for row in rows]
