"""Thumbnails and crops in the record of a run (WebP), for reports that show images. Equal bytes have one."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping

from sidscan.config import MOST_CROPS
from sidscan.journal.tables import SHA256

CREATE = """CREATE TABLE IF NOT EXISTS thumbnails (sha256 TEXT PRIMARY KEY, webp BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS crops (
    sha256 TEXT PRIMARY KEY, view TEXT NOT NULL, webp BLOB NOT NULL
) WITHOUT ROWID;
"""
EMPTY = "DELETE FROM thumbnails; DELETE FROM crops;"
STRENGTH = "strength(json_extract(finding, '$.scores'))"
"""Orders results (`records.strength`); a function that `Journal` gives SQLite."""
_STRONGEST = f"""SELECT max({STRENGTH}) AS strength, {SHA256} AS sha256 FROM items
    WHERE status = 'scored' AND sha256 IS NOT NULL GROUP BY sha256 ORDER BY strength DESC, sha256 LIMIT ?"""  # noqa: S608

Crops = Mapping[str, tuple[str, bytes]]
"""By the sha256 of the image's bytes: which view (`images.crops.VIEW_NAMES`), and its pixels as WebP."""


def keep(database: sqlite3.Connection, thumbnails: Mapping[str, bytes], crops: Crops) -> None:
    """Record thumbnails, by the sha256 of the images' bytes, and crops."""
    database.executemany("INSERT OR REPLACE INTO thumbnails VALUES (?, ?)", thumbnails.items())
    rows = ((sha256, *crop) for sha256, crop in crops.items())
    database.executemany("INSERT OR REPLACE INTO crops VALUES (?, ?, ?)", rows)


def strongest(database: sqlite3.Connection) -> list[tuple[float, str]]:
    """Strength and sha256 of the images of which crops are kept, so far."""
    return database.execute(_STRONGEST, (MOST_CROPS,)).fetchall()


def purge(database: sqlite3.Connection) -> None:
    """Delete thumbnails of images that have no score any more, and crops of those that fell behind."""
    current = f"SELECT {SHA256} FROM items WHERE status = 'scored'"  # noqa: S608
    database.execute(f"DELETE FROM thumbnails WHERE sha256 NOT IN ({current})")  # noqa: S608
    if database.execute("SELECT EXISTS (SELECT 1 FROM crops)").fetchone()[0]:
        kept = f"SELECT sha256 FROM ({_STRONGEST})"  # noqa: S608
        database.execute(f"DELETE FROM crops WHERE sha256 NOT IN ({kept})", (MOST_CROPS,))  # noqa: S608
