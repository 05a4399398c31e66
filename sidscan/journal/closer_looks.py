"""Closer looks in the record of a run, so that a report shows them without a model. Equal bytes have one."""

from __future__ import annotations

import json
import sqlite3
from dataclasses import asdict

from sidscan.journal.tables import SHA256
from sidscan.records.score_map import CloserLook, ScoreMap

CREATE = """CREATE TABLE IF NOT EXISTS closer_looks (
    sha256 TEXT PRIMARY KEY,
    maps TEXT NOT NULL,         -- JSON: a list of ScoreMap
    png BLOB NOT NULL,          -- the maps, drawn
    has_image INTEGER NOT NULL  -- whether the drawing shows the image, too
) WITHOUT ROWID;
"""


def keep(database: sqlite3.Connection, sha256: str, look: CloserLook) -> None:
    """Record a closer look by the sha256 of the image's bytes, in place of an earlier one."""
    maps = json.dumps([asdict(each) for each in look.maps], allow_nan=False)
    database.execute(
        "INSERT OR REPLACE INTO closer_looks VALUES (?, ?, ?, ?)", (sha256, maps, look.png, look.has_image)
    )


def find(database: sqlite3.Connection, sha256: str) -> CloserLook | None:
    """The closer look at the image whose bytes have this sha256; None if there is none."""
    query = "SELECT maps, png, has_image FROM closer_looks WHERE sha256 = ?"
    row = database.execute(query, (sha256,)).fetchone()
    if row is None:
        return None
    maps, png, has_image = row
    made = tuple(ScoreMap.from_dict(each) for each in json.loads(maps))
    return CloserLook(made, bytes(png), bool(has_image))


def purge(database: sqlite3.Connection) -> None:
    """Delete those of images that have no score any more."""
    current = f"SELECT {SHA256} FROM items WHERE status = 'scored'"  # noqa: S608
    database.execute(f"DELETE FROM closer_looks WHERE sha256 NOT IN ({current})")  # noqa: S608
