"""The durable record of a run, and the single truth from which reports are rendered.

One SQLite file. A finding is acknowledged when its transaction is on disk; `kill -9` and power loss cost
no acknowledged row (SQLite, "Atomic Commit in SQLite"). The file stays beside the report: the same command
continues where it stopped, and reads again only what changed since.
"""

from __future__ import annotations

import dataclasses
import json
import os
import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from sidscan.errors import OutputError
from sidscan.records import Counts, ImageInfo, Item, Kind, ReuseKeys, ScanResult, Score, Stage, Status

_FORMAT = "1"  # of the tables below
_SHA256 = "json_extract(finding, '$.facts.sha256')"  # SQLite finds the index by these very words
_TABLES = """
CREATE TABLE IF NOT EXISTS header (key TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS items (
    position INTEGER PRIMARY KEY,
    name BLOB NOT NULL UNIQUE,  -- bytes: paths need not be UTF-8
    kind TEXT NOT NULL,
    stamp TEXT NOT NULL,
    skip TEXT NOT NULL,
    status TEXT,                -- NULL until there is a finding
    settings TEXT,              -- digest of what made the score
    finding TEXT
);
CREATE TABLE IF NOT EXISTS retired AS SELECT * FROM items WHERE FALSE;
CREATE INDEX IF NOT EXISTS pending ON items (position) WHERE finding IS NULL;
CREATE INDEX IF NOT EXISTS bytes ON items (SHA256) WHERE status = 'scored';
""".replace("SHA256", _SHA256)


class Registered(NamedTuple):
    """What became of an earlier run's findings.

    Attributes:
        kept: still hold.
        dropped: the input left, changed or is retried, or other models or options score it.
        repeated: inputs that repeat another one of this run.
        changed: files that are not what they were (size or time of modification).
        gone: earlier inputs that are none any more.
    """

    kept: int
    dropped: int
    repeated: int
    changed: int = 0
    gone: int = 0


class Journal:
    """The record of one run.

    Args:
        path: SQLite file; None keeps the record in memory.
        fresh: forget what the file holds.

    Raises:
        OutputError: the file can't be written, belongs to something else, or is in use by another scan.
    """

    def __init__(self, path: Path | None, fresh: bool = False) -> None:
        self.path = path
        try:
            self._db = sqlite3.connect(":memory:" if path is None else os.fspath(path), timeout=1.0)
            with _closed_on_error(self._db):
                self._prepare(fresh)
        except sqlite3.Error as error:
            raise self._trouble(error) from error

    def _prepare(self, fresh: bool) -> None:
        if sqlite3.sqlite_version_info < (3, 33):  # UPDATE ... FROM
            raise sqlite3.NotSupportedError(f"SQLite {sqlite3.sqlite_version} is too old, 3.33 is needed")
        self._db.execute("PRAGMA locking_mode=EXCLUSIVE")  # two scans never share one record
        self._db.execute("PRAGMA synchronous=FULL")
        with self._db:
            self._db.execute("BEGIN EXCLUSIVE")
            foreign = (
                self._db.execute("SELECT count(*) FROM sqlite_master WHERE name = 'items'").fetchone()[0] == 0
            )
            if foreign and self._db.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]:
                raise sqlite3.DatabaseError("it is another program's database")
        self._db.executescript(_TABLES)
        if fresh:  # only after the check above: another program's file is never emptied
            self._db.executescript("DELETE FROM items; DELETE FROM retired; DELETE FROM header;")
        if self.header().get("format", _FORMAT) != _FORMAT:
            raise sqlite3.DatabaseError("it was written by another version of sidscan")
        self.set_header({"format": _FORMAT})

    def close(self) -> None:
        """Release the file."""
        self._db.close()

    def set_header(self, header: Mapping[str, Any]) -> None:
        """Record facts about the run; keys replace earlier ones."""
        with self._writing():
            self._db.executemany(
                "INSERT OR REPLACE INTO header VALUES (?, ?)",
                [(key, json.dumps(value)) for key, value in header.items()],
            )

    def header(self) -> dict[str, Any]:
        """What `set_header` recorded."""
        return {key: json.loads(value) for key, value in self._read("SELECT key, value FROM header")}

    def register_inputs(
        self, items: Iterable[Item], settings: ReuseKeys, retry_failed: bool = False
    ) -> Registered:
        """Record all inputs of the run, keeping earlier findings that still hold.

        A result holds while the input's fingerprint and what it depends on (`ReuseKeys.key_for`) are the
        same. Those of other settings are kept aside until a run is complete: an option may have been
        mistyped. An input named twice is one row.

        Raises:
            OutputError: the record is of another run, with none of these inputs; it is left as it was.
        """
        with self._writing():
            self._db.execute("BEGIN")  # the temporary table, too, goes if this fails
            self._db.execute(
                """CREATE TEMP TABLE earlier AS SELECT * FROM items WHERE finding IS NOT NULL
                UNION ALL SELECT * FROM retired"""
            )
            current = self._db.execute("SELECT count(*) FROM items WHERE finding IS NOT NULL").fetchone()[0]
            self._db.execute("CREATE INDEX temp.earlier_name ON earlier (name)")
            self._db.execute("DELETE FROM items")
            named = 0
            for item in items:
                # What a walk left out (a link, say) is read after all if somebody also named it.
                self._db.execute(
                    """INSERT INTO items (name, kind, stamp, skip) VALUES (?, ?, ?, ?) ON CONFLICT (name) DO
                    UPDATE SET stamp = excluded.stamp, skip = '' WHERE excluded.skip = ''""",
                    (os.fsencode(item.name), item.kind.value, item.fingerprint, item.skip),
                )
                named += 1
            kept = self._keep(settings, retry_failed)
            earlier, known, scored, changed = self._db.execute(
                """SELECT count(DISTINCT e.name), count(DISTINCT items.name), total(e.status = 'scored'),
                count(DISTINCT iif(items.stamp != e.stamp, e.name, NULL))
                FROM earlier AS e LEFT JOIN items USING (name)"""
            ).fetchone()
            if scored and not known:
                raise OutputError(
                    f"{self.path} is the record of another run: none of its {earlier} inputs is among yours",
                    "Choose another --out or --journal, or forget that run with --fresh.",
                )
            self._db.execute("DELETE FROM retired")
            self._db.execute(
                "INSERT INTO retired SELECT * FROM earlier WHERE settings NOT IN (?, ?, ?)",
                dataclasses.astuple(settings),
            )
            self._db.execute("DROP TABLE earlier")
        repeated = named - self.counts().enumerated
        return Registered(kept, max(0, current - kept), repeated, changed, earlier - known)

    def purge_stale(self) -> None:
        """Give up earlier findings that hold no longer."""
        with self._writing():
            self._db.execute("DELETE FROM retired")

    def _keep(self, settings: ReuseKeys, retry_failed: bool) -> int:
        """Copies earlier findings; what could not be opened or fetched may be there now, so is retried."""
        stages = [Stage.LIST.value] + ([] if retry_failed else [Stage.DECODE.value, Stage.SCORE.value])
        return self._db.execute(
            """UPDATE items SET (status, settings, finding) = (e.status, e.settings, e.finding)
            FROM earlier AS e WHERE e.name = items.name AND e.kind = items.kind AND e.stamp = items.stamp
            AND e.skip = items.skip AND e.settings IN (?, ?, ?) AND (e.status = ? OR
            json_extract(e.finding, '$.stage') IN (SELECT value FROM json_each(?)))""",
            (*dataclasses.astuple(settings), Status.SCORED.value, json.dumps(stages)),
        ).rowcount

    def pending(self) -> Iterator[Item]:
        """Inputs without a finding, in order; safe to call `append` meanwhile."""
        last = -1
        query = (
            "SELECT position, name, kind, stamp, skip FROM items WHERE finding IS NULL AND position > ? "
            "ORDER BY position LIMIT 1000"
        )
        while rows := self._read(query, (last,)).fetchall():
            for last, name, kind, fingerprint, skip in rows:  # noqa: B007  (the query reads it)
                yield Item(os.fsdecode(name), Kind(kind), fingerprint, skip)

    def append(self, findings: Iterable[ScanResult], settings: ReuseKeys) -> None:
        """Record findings durably: when this returns, they survive."""
        with self._writing():
            rows = [(f.status.value, settings.key_for(f), dumps(f), os.fsencode(f.name)) for f in findings]
            query = "UPDATE items SET status = ?, settings = ?, finding = ? WHERE name = ?"
            if self._db.executemany(query, rows).rowcount != len(rows):
                raise sqlite3.IntegrityError("a finding belongs to no input of this run")

    def find_by_sha256(self, sha256: str) -> ScanResult | None:
        """The finding of a picture that has these bytes and was scored, now or in an earlier run."""
        query = f"SELECT finding FROM items WHERE status = 'scored' AND {_SHA256} = ? LIMIT 1"  # noqa: S608
        row = self._read(query, (sha256,)).fetchone()
        return loads(row[0]) if row else None

    def repeats(self) -> int:
        """Pictures that were scored, but for the first one of each that has the same bytes."""
        numbers = f"count({_SHA256}) - count(DISTINCT {_SHA256})"
        query = f"SELECT {numbers} FROM items WHERE status = 'scored'"  # noqa: S608
        return int(self._read(query).fetchone()[0])

    def findings(self) -> Iterator[ScanResult]:
        """All findings, in the order of the inputs."""
        for (text,) in self._read("SELECT finding FROM items WHERE finding IS NOT NULL ORDER BY position"):
            yield loads(text)

    def counts(self) -> Counts:
        """How many inputs there are, and how they ended."""
        rows = dict(self._read("SELECT status, count(*) FROM items GROUP BY status").fetchall())
        failed = sum(rows.get(status.value, 0) for status in Status if status.failed)
        scored, skipped = (rows.get(status.value, 0) for status in (Status.SCORED, Status.SKIPPED))
        return Counts(sum(rows.values()), scored, failed, skipped)

    def _read(self, query: str, values: tuple[Any, ...] = ()) -> sqlite3.Cursor:
        try:
            return self._db.execute(query, values)
        except sqlite3.Error as error:
            raise self._trouble(error) from error

    @contextmanager
    def _writing(self) -> Iterator[None]:
        try:
            with self._db:
                yield
        except sqlite3.Error as error:
            raise self._trouble(error) from error

    def _trouble(self, error: Exception) -> OutputError:
        where = self.path or "memory"
        if "locked" in str(error):
            return OutputError(
                f"{where} is in use by another scan",
                "Wait for it to end, or choose another --out or --journal.",
            )
        return OutputError(
            f"can't keep the run's record in {where}: {error}",
            "Name another file, in a writable folder with free space, with --journal FILE.",
        )


@contextmanager
def _closed_on_error(database: sqlite3.Connection) -> Iterator[None]:
    """Release a database that turns out to be unusable."""
    try:
        yield
    except BaseException:
        database.close()
        raise


def dumps(finding: ScanResult) -> str:
    """A finding as one line of strict JSON (no NaN)."""
    return json.dumps(dataclasses.asdict(finding), allow_nan=False, separators=(",", ":"))


def loads(text: str) -> ScanResult:
    """The finding that `dumps` wrote."""
    raw = json.loads(text)
    return ScanResult(
        **{
            **raw,
            "kind": Kind(raw["kind"]),
            "status": Status(raw["status"]),
            "stage": Stage(raw["stage"]) if raw["stage"] else None,
            "facts": ImageInfo.from_dict(raw["facts"]),
            "scores": tuple(Score.from_dict(score) for score in raw["scores"]),
        }
    )
