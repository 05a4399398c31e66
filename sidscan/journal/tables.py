"""The tables of a record, and how those of format 1 become today's.

The columns are named in the words of 0.1.0: stamp is Item.fingerprint, settings a digest of ReuseKeys, and
finding a ScanResult.
"""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Mapping, Sequence
from typing import Any

from sidscan.journal.identity import current_folder, identity_of
from sidscan.journal.keys import reader_key

SHA256 = "json_extract(finding, '$.facts.sha256')"  # SQLite uses the index only for this exact expression
COLUMNS = "position, name, path, kind, stamp, skip, status, settings, finding, reader, tries, age"
ITEMS_START = b"CREATE TABLE items (\n    position INTEGER PRIMARY KEY,\n    name BLOB NOT NULL"
"""How all versions define the table by which a record is known."""

_ITEMS = """CREATE TABLE IF NOT EXISTS items (
    position INTEGER PRIMARY KEY,
    name BLOB NOT NULL,         -- as this run names it, in bytes: paths need not be UTF-8
    path BLOB NOT NULL UNIQUE,  -- what the name leads to, however it is written (identity.py)
    kind TEXT NOT NULL,
    stamp TEXT NOT NULL,
    skip TEXT NOT NULL,
    status TEXT,                -- NULL until there is a result
    settings TEXT,              -- digest of what determined the result
    finding TEXT,
    reader TEXT,                -- what read it (records.Readers)
    tries INTEGER NOT NULL DEFAULT 0,  -- scans that lost a process over it before it was read
    age INTEGER NOT NULL DEFAULT 0     -- of what is set aside: runs that were completed since
);
"""
TABLES = f"""
CREATE TABLE IF NOT EXISTS header (key TEXT PRIMARY KEY, value TEXT NOT NULL);
{_ITEMS}
CREATE TABLE IF NOT EXISTS retired AS SELECT * FROM items WHERE FALSE;
CREATE INDEX IF NOT EXISTS pending ON items (position) WHERE finding IS NULL;
CREATE INDEX IF NOT EXISTS ended ON items (status);
CREATE INDEX IF NOT EXISTS bytes ON items ({SHA256}) WHERE status = 'scored';
"""  # noqa: S608
_OLD_COLUMNS = "position, name, kind, stamp, skip, status, settings, finding"
_POSITION_UNSURE = 0  # revision of what versions before 0.3.0 read of a position, perhaps a wrong hemisphere


def upgrade_from_1(database: sqlite3.Connection, header: Mapping[str, Any]) -> None:
    """Turn the tables of format 1 into today's; each result gets what its header says of all."""
    sessions: Sequence[Mapping[str, Any]] = header.get("sessions") or ()
    folder = None
    if not header.get("private"):
        folder = (sessions[-1].get("folder") if sessions else None) or current_folder()
    database.execute("ALTER TABLE items RENAME TO items_1")
    database.execute("ALTER TABLE retired RENAME TO retired_1")
    for index in ("pending", "ended", "bytes"):
        database.execute(f"DROP INDEX IF EXISTS {index}")
    for statement in TABLES.split(";"):  # executescript would commit
        database.execute(statement)
    for table in ("items", "retired"):
        rows = database.execute(f"SELECT {_OLD_COLUMNS} FROM {table}_1")  # noqa: S608
        database.executemany(
            f"INSERT OR IGNORE INTO {table} VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 0, 0)",  # noqa: S608
            (_upgraded(row, header, folder) for row in rows),
        )
        database.execute(f"DROP TABLE {table}_1")


def _upgraded(row: tuple[Any, ...], header: Mapping[str, Any], folder: str | None) -> tuple[Any, ...]:
    position, name, kind, stamp, skip, status, settings, finding = row
    path = os.fsencode(identity_of(os.fsdecode(name), kind, folder))
    reader = None
    if finding is not None:
        result = json.loads(finding)
        reader = _reader_of(result, header)
        finding = json.dumps(result, separators=(",", ":"))
    return position, name, path, kind, stamp, skip, status, settings, finding, reader


def _reader_of(result: dict[str, Any], header: Mapping[str, Any]) -> str:
    """The reader's key of a result of format 1, which gets its decoder and version, too."""
    facts, version = result["facts"], str(header.get("sidscan_version", ""))
    pillow, _, heif = str(header.get("decoder", "")).partition(" pillow-heif ")
    image_format = facts["format"]
    if str(result["message"]).startswith("HEIC needs one package more"):
        image_format = facts["format"] = "HEIF"
    decoder = pillow if image_format != "HEIF" else f"pillow-heif {heif}" if heif else ""
    result |= {"decoder": decoder or None, "sidscan_version": version}
    revision = f"{image_format} 1" if image_format in ("TIFF", "HEIF") else ""
    if facts["exif"].get("latitude") is not None:
        revision = f"position {_POSITION_UNSURE}"
    is_complete = result["status"] == "scored" and "exif_unreadable" not in facts["flags"]
    if result["stage"] == "list":
        return ""
    return reader_key(decoder, revision, "" if is_complete else version)
