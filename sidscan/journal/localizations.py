"""Maps of a localizer in the record of a run, so that a report shows them without a model.

Equal bytes have one. Files hold them at full size, named by the sha256 of the image's bytes; which of these
files the run wrote is noted here, and not among the reports.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Collection
from dataclasses import asdict
from pathlib import Path

from sidscan.journal.outputs import key_of
from sidscan.journal.tables import SHA256
from sidscan.records.localization import KeptLocalization, Localization

CREATE = """CREATE TABLE IF NOT EXISTS localizations (
    sha256 TEXT PRIMARY KEY,
    facts TEXT NOT NULL,        -- JSON: a Localization
    drawing BLOB NOT NULL,      -- the map over the image
    image BLOB NOT NULL         -- the image alone
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS map_files (  -- two hashes while a file is being replaced
    path BLOB NOT NULL,
    sha256 TEXT NOT NULL,
    PRIMARY KEY (path, sha256)
);
"""
EMPTY = "DELETE FROM localizations; DELETE FROM map_files;"


def keep(database: sqlite3.Connection, sha256: str, kept: KeptLocalization) -> None:
    """Record what was made of an image, by the sha256 of its bytes, in place of what was there."""
    facts = json.dumps(asdict(kept.facts), allow_nan=False)
    row = sha256, facts, kept.drawing, kept.image
    database.execute("INSERT OR REPLACE INTO localizations VALUES (?, ?, ?, ?)", row)


def find(database: sqlite3.Connection, sha256: str) -> KeptLocalization | None:
    """What was made of the image whose bytes have this sha256; None if nothing was."""
    query = "SELECT facts, drawing, image FROM localizations WHERE sha256 = ?"
    row = database.execute(query, (sha256,)).fetchone()
    if row is None:
        return None
    facts, drawing, image = row
    return KeptLocalization(Localization.from_dict(json.loads(facts)), bytes(drawing), bytes(image))


def purge(database: sqlite3.Connection) -> None:
    """Delete those of images that have no score any more."""
    current = f"SELECT {SHA256} FROM items WHERE status = 'scored'"  # noqa: S608
    database.execute(f"DELETE FROM localizations WHERE sha256 NOT IN ({current})")  # noqa: S608


def file_digests(database: sqlite3.Connection, journal: Path | None, path: Path) -> Collection[str]:
    """The sha256 of what the run last wrote to a file; two if it was killed meanwhile."""
    rows = database.execute("SELECT sha256 FROM map_files WHERE path = ?", (key_of(journal, path),))
    return frozenset(sha256 for (sha256,) in rows)


def expect_file(database: sqlite3.Connection, journal: Path | None, path: Path, sha256: str) -> None:
    """Note what is about to be written to a file, beside what is there."""
    database.execute("INSERT OR IGNORE INTO map_files VALUES (?, ?)", (key_of(journal, path), sha256))


def confirm_file(database: sqlite3.Connection, journal: Path | None, path: Path, sha256: str) -> None:
    """Note that a file was written."""
    database.execute("DELETE FROM map_files WHERE path = ? AND sha256 != ?", (key_of(journal, path), sha256))
