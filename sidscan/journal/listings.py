"""What archives held that take long to list: an unchanged one is not unpacked again only for that."""

from __future__ import annotations

import hashlib
import json
import os
import sqlite3
import zlib
from collections import deque
from collections.abc import Callable, Iterator, Sequence

from sidscan.archives.entries import ArchiveEntry, Packing, Span, archive_stamp
from sidscan.journal.identity import identity_of
from sidscan.records import Kind

CREATE = """CREATE TABLE IF NOT EXISTS listings (
    archive TEXT NOT NULL,   -- sha256 of its path
    part INTEGER NOT NULL,
    made_by TEXT NOT NULL,   -- size, time of modification, and what listed it, empty while parts are missing
    entries BLOB NOT NULL,   -- JSON, compressed
    PRIMARY KEY (archive, part)
) WITHOUT ROWID;
"""
EMPTY = "DELETE FROM listings;"
_ENTRIES = 1000  # in a part
_SLOW = (Packing.SOLID, Packing.PARQUET)  # to list

ListEntries = Callable[[str], Iterator[ArchiveEntry]]


class KeptListings:
    """Lists archives, those that take long from the record if it has what they hold today.

    Kept are whole lists only: what could not be read may be read the next time.

    Where another thread lists than the one that may use the database (`list_in_thread`), that one calls
    `flush` now and then.

    Args:
        folder: the current folder, which relative names start from; None if it is private.
        list_entries: lists an archive.
        made_by: on what else a list depends: the version of sidscan, and limits.
    """

    def __init__(
        self, database: sqlite3.Connection, folder: str | None, list_entries: ListEntries, made_by: str
    ) -> None:
        self._db, self._folder, self._made_by = database, folder, made_by
        self._list_now = list_entries
        self._used: set[str] = set()
        self._later: deque[tuple[str, tuple[object, ...]]] | None = None  # what `flush` executes

    def list_in_thread(self) -> None:
        """From now on another thread lists, and all archives anew; what it lists is kept."""
        self._later = deque()

    def flush(self) -> None:
        """Record what the other thread listed."""
        if self._later:
            with self._db:
                for _ in range(len(self._later)):
                    self._db.execute(*self._later.popleft())

    def _write(self, query: str, *values: object) -> None:
        if self._later is None:
            self._db.execute(query, values)
        else:
            self._later.append((query, values))

    def list_entries(self, path: str) -> Iterator[ArchiveEntry]:
        """All members of an archive; what is to say of it as a whole comes in an entry without a name."""
        archive = hashlib.sha256(os.fsencode(identity_of(path, Kind.FILE, self._folder))).hexdigest()
        made_by = self._stamp(path)
        if made_by and self._is_kept(archive, made_by):
            self._used.add(archive)
            yield from self._kept(archive)
            return
        self._forget(archive)
        yield from self._listed(path, archive)

    def purge(self) -> None:
        """Forget the lists that were not used."""
        self.flush()
        self._later = None
        known = self._db.execute("SELECT DISTINCT archive FROM listings").fetchall()
        with self._db:
            for (archive,) in known:
                if archive not in self._used:
                    self._forget(archive)

    def _stamp(self, path: str) -> str:
        try:
            return f"{archive_stamp(os.stat(path))} {self._made_by}"  # noqa: PTH116  (Path would normalise it)
        except (OSError, ValueError):
            return ""

    def _is_kept(self, archive: str, made_by: str) -> bool:
        if self._later is not None:
            return False
        found = "SELECT EXISTS (SELECT 1 FROM listings WHERE archive = ? AND made_by = ?)"
        return bool(self._db.execute(found, (archive, made_by)).fetchone()[0])

    def _kept(self, archive: str) -> Iterator[ArchiveEntry]:
        query = "SELECT entries FROM listings WHERE archive = ? ORDER BY part"
        for (packed,) in self._db.execute(query, (archive,)):
            yield from _loaded(packed)

    def _listed(self, path: str, archive: str) -> Iterator[ArchiveEntry]:
        """The members, which are kept if all of them can be listed and the archive stays as it is."""
        before = self._stamp(path)
        batch: list[ArchiveEntry] = []
        part, worth_it = 0, True
        for entry in self._list_now(path):
            is_of_other_kind = entry.span is not None and entry.span.packing not in _SLOW
            worth_it = worth_it and bool(entry.name) and not is_of_other_kind
            if worth_it:
                batch.append(entry)
            if worth_it and len(batch) == _ENTRIES:
                self._keep(archive, part, batch)
                part, batch = part + 1, []
            yield entry
        if worth_it and before and before == self._stamp(path):
            self._keep(archive, part, batch)
            self._write("UPDATE listings SET made_by = ? WHERE archive = ?", before, archive)
            self._used.add(archive)

    def _keep(self, archive: str, part: int, entries: Sequence[ArchiveEntry]) -> None:
        self._write("INSERT INTO listings VALUES (?, ?, '', ?)", archive, part, _dumped(entries))

    def _forget(self, archive: str) -> None:
        self._write("DELETE FROM listings WHERE archive = ?", archive)


def _dumped(entries: Sequence[ArchiveEntry]) -> bytes:
    rows = [[each.name, str(each.span or ""), each.problem, each.head.hex()] for each in entries]
    return zlib.compress(json.dumps(rows, separators=(",", ":")).encode(), 1)


def _loaded(packed: bytes) -> Iterator[ArchiveEntry]:
    """The inverse of `_dumped`."""
    for name, span, problem, head in json.loads(zlib.decompress(packed)):
        yield ArchiveEntry(name, Span.parse(span) if span else None, problem, bytes.fromhex(head))
