"""What a record keeps of the last complete run, so that the end of the next one can say what changed.

Only inputs whose result is not kept as it was are noted; all others are the same by construction. The notes
stay while a run is interrupted and continued, and give way when a run starts after a complete one.
"""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass

from sidscan.journal.tables import SHA256
from sidscan.records import JsonObject, Kind

CREATE = """CREATE TABLE IF NOT EXISTS previous (
    path BLOB PRIMARY KEY,
    name BLOB,     -- NULL: the last complete run did not have this input
    finding TEXT   -- its result then, without EXIF and the server's answer
);
"""
EMPTY = "DELETE FROM previous;"
_KEY = "previous_run"  # of the header: the facts about that run which scores depend on, and its end
_FACTS = (
    *("sidscan_version", "models", "runtime", "device", "precision", "decoder", "effort", "calibrations"),
    "finished",
)
_SHORT = "json_set(json_remove({0}.finding, '$.facts.response'), '$.facts.exif', json('{{}}'))"


@dataclass(frozen=True, slots=True)
class ChangedInput:
    """An input whose result of the last complete run is not kept as it was. Names are those of this run.

    Attributes:
        old, new: the results; None where that run, or this one, does not have the input, or no result of it.
        pending: whether this run has the input, but no result yet.
    """

    name: str
    old: JsonObject | None
    new: JsonObject | None
    pending: bool = False


@dataclass(frozen=True, slots=True)
class KeptInput:
    """An input whose result of the last complete run is kept as it was.

    Attributes:
        sha256: of its bytes, hex; None if reading failed.
        finding: its result as JSON, which few readers need.
    """

    name: str
    sha256: str | None
    finding: str


def note(database: sqlite3.Connection) -> None:
    """Note what the inputs of a run were before, while the tables of earlier results are there."""
    facts = dict(database.execute("SELECT key, value FROM header"))
    if json.loads(facts.get("finished", "null")):
        kept = {key: json.loads(facts[key]) for key in _FACTS if key in facts}
        database.execute("INSERT OR REPLACE INTO header VALUES (?, ?)", (_KEY, json.dumps(kept)))
        database.execute("DELETE FROM previous")
    elif _KEY not in facts:
        return
    database.execute(
        f"""INSERT OR IGNORE INTO previous SELECT e.path, e.name, {_SHORT.format("e")}
        FROM earlier AS e LEFT JOIN items USING (path) WHERE e.latest AND items.finding IS NOT e.finding"""  # noqa: S608
    )
    database.execute(
        """INSERT OR IGNORE INTO previous SELECT path, NULL, NULL FROM unmatched JOIN items USING (position)
        WHERE path NOT IN (SELECT path FROM earlier WHERE latest)"""
    )


def note_added(database: sqlite3.Connection, last: int) -> None:
    """Note that inputs were not there before: those behind a position, which were listed later."""
    known = "SELECT EXISTS (SELECT 1 FROM header WHERE key = ?)"
    if database.execute(known, (_KEY,)).fetchone()[0]:
        rows = "SELECT path, NULL, NULL FROM items WHERE position > ?"
        database.execute(f"INSERT OR IGNORE INTO previous {rows}", (last,))


def note_one(database: sqlite3.Connection, position: int) -> None:
    """Note the result of an input that was kept until now; what is noted of it already stays."""
    database.execute(
        f"""INSERT OR IGNORE INTO previous SELECT path, name, {_SHORT.format("items")} FROM items
        WHERE position = ? AND finding IS NOT NULL""",  # noqa: S608
        (position,),
    )


def forget_folders(database: sqlite3.Connection) -> None:
    """Leave only names of inputs that no input of this run is."""
    database.execute("DELETE FROM previous WHERE name IS NULL AND path NOT IN (SELECT path FROM items)")
    database.execute("UPDATE OR REPLACE previous SET path = name WHERE path NOT IN (SELECT path FROM items)")


def run_facts(database: sqlite3.Connection) -> JsonObject | None:
    """The facts about the last complete run before this one; None if there was none."""
    row = database.execute("SELECT value FROM header WHERE key = ?", (_KEY,)).fetchone()
    return json.loads(row[0]) if row else None


def keeps_files(database: sqlite3.Connection) -> bool:
    """Whether the result of any file is kept as it was."""
    query = "SELECT EXISTS (SELECT 1 FROM items WHERE kind != ? AND path NOT IN (SELECT path FROM previous))"
    return bool(database.execute(query, (Kind.URL.value,)).fetchone()[0])


def kept_inputs(database: sqlite3.Connection) -> Iterator[KeptInput]:
    """The inputs whose result of that run is kept as it was, in their order."""
    rows = database.execute(
        f"""SELECT name, {SHA256}, finding FROM items WHERE finding IS NOT NULL
        AND path NOT IN (SELECT path FROM previous) ORDER BY position"""  # noqa: S608
    )
    for name, sha256, finding in rows:
        yield KeptInput(os.fsdecode(name), sha256, finding)


def changed_inputs(database: sqlite3.Connection) -> Iterator[ChangedInput]:
    """The inputs that may differ from that run, those of this one in their order."""
    rows = database.execute(
        """SELECT p.name, p.finding, items.name, items.finding FROM previous AS p LEFT JOIN items USING (path)
        WHERE p.finding IS NOT NULL OR items.name IS NOT NULL ORDER BY items.position, p.rowid"""
    )
    for before, old, now, new in rows:
        name = os.fsdecode(before if now is None else now)
        is_pending = now is not None and new is None
        yield ChangedInput(name, old and json.loads(old), new and json.loads(new), is_pending)
