"""Thumbnails in the record of a run, for reports that show images. Equal bytes have one."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping

from sidscan.journal.tables import SHA256

TABLE = "CREATE TABLE IF NOT EXISTS thumbnails (sha256 TEXT PRIMARY KEY, webp BLOB NOT NULL) WITHOUT ROWID;\n"


def keep(database: sqlite3.Connection, thumbnails: Mapping[str, bytes]) -> None:
    """Record thumbnails (WebP) by the sha256 of the images' bytes."""
    database.executemany("INSERT OR REPLACE INTO thumbnails VALUES (?, ?)", thumbnails.items())


def purge(database: sqlite3.Connection) -> None:
    """Delete those of images that have no score any more."""
    current = f"SELECT {SHA256} FROM items WHERE status = 'scored'"  # noqa: S608
    database.execute(f"DELETE FROM thumbnails WHERE sha256 NOT IN ({current})")  # noqa: S608
