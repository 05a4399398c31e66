"""What a run wrote to its reports: hashes in its record, by which a file that somebody changed is known."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Collection
from pathlib import Path

from sidscan.util.files import real_path

TABLE = """
CREATE TABLE IF NOT EXISTS outputs (  -- two hashes while a file is being replaced
    path BLOB NOT NULL,               -- from the record's folder, so that both may move together
    sha256 TEXT NOT NULL,
    PRIMARY KEY (path, sha256)
);
"""


def digests(database: sqlite3.Connection, journal: Path | None, out: Path) -> Collection[str]:
    """The sha256 of what was written to ``out`` last, hex; two if the scan was killed while it wrote."""
    rows = database.execute("SELECT sha256 FROM outputs WHERE path = ?", (key_of(journal, out),))
    return frozenset(sha256 for (sha256,) in rows)


def paths(database: sqlite3.Connection, journal: Path | None) -> list[Path]:
    """All files that were written; where they are now, if they moved together with the record."""
    folder = Path() if journal is None else real_path(journal).parent
    rows = database.execute("SELECT DISTINCT path FROM outputs ORDER BY path")
    return [folder / os.fsdecode(key) for (key,) in rows]


def expect(database: sqlite3.Connection, journal: Path | None, out: Path, sha256: str) -> None:
    """Note what is about to be written to ``out``, beside what is there."""
    database.execute("INSERT OR IGNORE INTO outputs VALUES (?, ?)", (key_of(journal, out), sha256))


def confirm(database: sqlite3.Connection, journal: Path | None, out: Path, sha256: str) -> None:
    """Note that ``out`` was written."""
    database.execute("DELETE FROM outputs WHERE path = ? AND sha256 != ?", (key_of(journal, out), sha256))


def key_of(journal: Path | None, out: Path) -> bytes:
    """A file as a record names it: from the record's folder."""
    path = real_path(out)
    try:
        return os.fsencode(path if journal is None else os.path.relpath(path, real_path(journal).parent))
    except ValueError:  # another drive of Windows
        return os.fsencode(path)
