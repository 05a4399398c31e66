"""The durable record of a run, and the single source of all reports.

It is one SQLite file. A result counts as recorded when its transaction is on disk; `kill -9` and power loss
cost no recorded row (SQLite, "Atomic Commit in SQLite"). The file stays beside the report: the same command
continues where it stopped, and reads again only what changed since.
"""

from __future__ import annotations

import dataclasses
import json
import os
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from sidscan.errors import OutputError
from sidscan.records import (
    JOURNAL_FORMAT,
    Counts,
    ImageInfo,
    Item,
    Kind,
    ReuseKeys,
    RunHeader,
    ScanResult,
    Score,
    Stage,
    Status,
)

_SHA256 = "json_extract(finding, '$.facts.sha256')"  # SQLite uses the index only for this exact expression
_RENAMED_ERRORS = {"UnsupportedPicture": "UnsupportedImage"}  # class names of 0.1.0 -> of today
# The columns are named in the words of 0.1.0: stamp is Item.fingerprint, settings a digest of ReuseKeys, and
# finding a ScanResult.
_TABLES = """
CREATE TABLE IF NOT EXISTS header (key TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS items (
    position INTEGER PRIMARY KEY,
    name BLOB NOT NULL UNIQUE,  -- bytes: paths need not be UTF-8
    kind TEXT NOT NULL,
    stamp TEXT NOT NULL,
    skip TEXT NOT NULL,
    status TEXT,                -- NULL until there is a result
    settings TEXT,              -- digest of what determined the result
    finding TEXT
);
CREATE TABLE IF NOT EXISTS retired AS SELECT * FROM items WHERE FALSE;
CREATE INDEX IF NOT EXISTS pending ON items (position) WHERE finding IS NULL;
CREATE INDEX IF NOT EXISTS bytes ON items (SHA256) WHERE status = 'scored';
""".replace("SHA256", _SHA256)


class Registered(NamedTuple):
    """What happened to an earlier run's results.

    Attributes:
        kept: results that still hold.
        dropped: results whose input is gone, changed or retried, or scored by other models or options.
        repeated: inputs named more than once in this run.
        changed: files whose size or modification time changed.
        gone: earlier inputs that this run does not have.
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
        fresh: delete what the file holds.

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
            raise self._output_error(error) from error

    def _prepare(self, fresh: bool) -> None:
        if sqlite3.sqlite_version_info < (3, 33):  # UPDATE ... FROM
            raise sqlite3.NotSupportedError(f"SQLite {sqlite3.sqlite_version} is too old, 3.33 is needed")
        self._db.execute("PRAGMA locking_mode=EXCLUSIVE")  # two scans never share one record
        self._db.execute("PRAGMA synchronous=FULL")
        with self._db:
            self._db.execute("BEGIN EXCLUSIVE")
            tables, ours = self._db.execute(
                "SELECT count(*), count(iif(name = 'items', 1, NULL)) FROM sqlite_master"
            ).fetchone()
            if tables and not ours:
                raise sqlite3.DatabaseError("it is another program's database")
        self._db.executescript(_TABLES)
        if fresh:  # only after the check above: another program's file is never emptied
            self._db.executescript("DELETE FROM items; DELETE FROM retired; DELETE FROM header;")
        number = self._db.execute("SELECT value FROM header WHERE key = 'format'").fetchone()
        if number is None:
            self._write_header({"format": JOURNAL_FORMAT})
        elif json.loads(number[0]) != JOURNAL_FORMAT:
            raise sqlite3.DatabaseError("it was written by another version of sidscan")

    def close(self) -> None:
        """Release the file."""
        self._db.close()

    def set_header(self, header: RunHeader) -> None:
        """Record the facts about the run, in place of the earlier ones."""
        self._write_header(header.to_dict())

    def _write_header(self, values: dict[str, object]) -> None:
        with self._writing():
            self._db.executemany(
                "INSERT OR REPLACE INTO header VALUES (?, ?)",
                [(key, json.dumps(value)) for key, value in values.items()],
            )

    def header(self) -> RunHeader:
        """What `set_header` recorded, maybe in an earlier version of sidscan."""
        rows = self._read("SELECT key, value FROM header")
        return RunHeader.from_dict({key: json.loads(value) for key, value in rows})

    def register_inputs(
        self, items: Iterable[Item], keys: ReuseKeys, retry_failed: bool = False
    ) -> Registered:
        """Record all inputs of the run, and keep the earlier results that still hold.

        A result holds while the input's fingerprint and what it depends on (`ReuseKeys.key_for`) are the
        same. Results with other keys are set aside until a run is complete: an option may have been
        mistyped. An input that is named twice is one row.

        Raises:
            OutputError: the journal holds another run, with none of these inputs; it is left unchanged.
        """
        with self._writing():
            self._db.execute("BEGIN")  # so that a failure removes the temporary table, too
            self._db.execute(
                """CREATE TEMP TABLE earlier AS SELECT * FROM items WHERE finding IS NOT NULL
                UNION ALL SELECT * FROM retired"""
            )
            current = self._db.execute("SELECT count(*) FROM items WHERE finding IS NOT NULL").fetchone()[0]
            self._db.execute("CREATE INDEX temp.earlier_name ON earlier (name)")
            self._db.execute("DELETE FROM items")
            named = self._insert(items)
            kept = self._keep_results(keys, retry_failed)
            earlier, matched, scored, changed = self._db.execute(
                """SELECT count(DISTINCT e.name), count(DISTINCT items.name), total(e.status = 'scored'),
                count(DISTINCT iif(items.stamp != e.stamp, e.name, NULL))
                FROM earlier AS e LEFT JOIN items USING (name)"""
            ).fetchone()
            if scored and not matched:
                raise OutputError(
                    f"{self.path} is the record of another run: none of its {earlier} inputs is among yours",
                    "Choose another --out or --journal, or forget that run with --fresh.",
                )
            self._db.execute("DELETE FROM retired")
            self._db.execute(
                "INSERT INTO retired SELECT * FROM earlier WHERE settings NOT IN (?, ?, ?)",
                dataclasses.astuple(keys),
            )
            self._db.execute("DROP TABLE earlier")
        repeated = named - self.counts().enumerated
        return Registered(kept, max(0, current - kept), repeated, changed, earlier - matched)

    def _insert(self, items: Iterable[Item]) -> int:
        """Adds a row for each input that has none, and returns how many inputs were named."""
        named = 0
        for item in items:
            # An input that a walk skipped (a link, for example) is read if it is also named.
            self._db.execute(
                """INSERT INTO items (name, kind, stamp, skip) VALUES (?, ?, ?, ?) ON CONFLICT (name) DO
                UPDATE SET stamp = excluded.stamp, skip = '' WHERE excluded.skip = ''""",
                (os.fsencode(item.name), item.kind.value, item.fingerprint, item.skip),
            )
            named += 1
        return named

    def purge_stale(self) -> None:
        """Delete earlier results that no longer hold."""
        with self._writing():
            self._db.execute("DELETE FROM retired")

    def _keep_results(self, keys: ReuseKeys, retry_failed: bool) -> int:
        """Copies earlier results, except of inputs that could not be opened or fetched: they are retried."""
        stages = [Stage.LIST.value] + ([] if retry_failed else [Stage.DECODE.value, Stage.SCORE.value])
        return self._db.execute(
            """UPDATE items SET (status, settings, finding) = (e.status, e.settings, e.finding)
            FROM earlier AS e WHERE e.name = items.name AND e.kind = items.kind AND e.stamp = items.stamp
            AND e.skip = items.skip AND e.settings IN (?, ?, ?) AND (e.status = ? OR
            json_extract(e.finding, '$.stage') IN (SELECT value FROM json_each(?)))""",
            (*dataclasses.astuple(keys), Status.SCORED.value, json.dumps(stages)),
        ).rowcount

    def pending(self) -> Iterator[Item]:
        """Inputs without a result, in order; safe to call `append` meanwhile."""
        last = -1
        query = (
            "SELECT position, name, kind, stamp, skip FROM items WHERE finding IS NULL AND position > ? "
            "ORDER BY position LIMIT 1000"
        )
        while rows := self._read(query, (last,)).fetchall():
            for last, name, kind, fingerprint, skip in rows:  # noqa: B007  (the query reads it)
                yield Item(os.fsdecode(name), Kind(kind), fingerprint, skip)

    def append(self, results: Iterable[ScanResult], keys: ReuseKeys) -> None:
        """Record results durably: they are on disk when this returns."""
        with self._writing():
            rows = [
                (result.status.value, keys.key_for(result), dump_result(result), os.fsencode(result.name))
                for result in results
            ]
            query = "UPDATE items SET status = ?, settings = ?, finding = ? WHERE name = ?"
            if self._db.executemany(query, rows).rowcount != len(rows):
                raise sqlite3.IntegrityError("a result belongs to no input of this run")

    def find_by_sha256(self, sha256: str) -> ScanResult | None:
        """The result of an image with these bytes that was scored, now or in an earlier run."""
        query = f"SELECT finding FROM items WHERE status = 'scored' AND {_SHA256} = ? LIMIT 1"  # noqa: S608
        row = self._read(query, (sha256,)).fetchone()
        return load_result(row[0]) if row else None

    def repeats(self) -> int:
        """Number of scored images whose bytes equal those of another one, not counting the first of each."""
        difference = f"count({_SHA256}) - count(DISTINCT {_SHA256})"
        query = f"SELECT {difference} FROM items WHERE status = 'scored'"  # noqa: S608
        return int(self._read(query).fetchone()[0])

    def results(self) -> Iterator[ScanResult]:
        """All results, in the order of the inputs."""
        for (text,) in self._read("SELECT finding FROM items WHERE finding IS NOT NULL ORDER BY position"):
            yield load_result(text)

    def counts(self) -> Counts:
        """How many inputs there are, and how they ended."""
        rows = dict(self._read("SELECT status, count(*) FROM items GROUP BY status").fetchall())
        failed = sum(rows.get(status.value, 0) for status in Status if status.failed)
        scored, skipped = (rows.get(status.value, 0) for status in (Status.SCORED, Status.SKIPPED))
        return Counts(sum(rows.values()), scored, failed, skipped)

    def _read(self, query: str, values: tuple[object, ...] = ()) -> sqlite3.Cursor:
        try:
            return self._db.execute(query, values)
        except sqlite3.Error as error:
            raise self._output_error(error) from error

    @contextmanager
    def _writing(self) -> Iterator[None]:
        try:
            with self._db:
                yield
        except sqlite3.Error as error:
            raise self._output_error(error) from error

    def _output_error(self, error: Exception) -> OutputError:
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
    """Close a database that turns out to be unusable."""
    try:
        yield
    except BaseException:
        database.close()
        raise


def dump_result(result: ScanResult) -> str:
    """A result as one line of JSON.

    Raises:
        ValueError: it holds NaN or an infinity, which JSON cannot express.
    """
    return json.dumps(dataclasses.asdict(result), allow_nan=False, separators=(",", ":"))


def load_result(text: str) -> ScanResult:
    """The result that `dump_result` wrote, maybe in an earlier version of sidscan."""
    raw = json.loads(text)
    return ScanResult(
        **{
            **raw,
            "kind": Kind(raw["kind"]),
            "status": Status(raw["status"]),
            "stage": Stage(raw["stage"]) if raw["stage"] else None,
            "error": _RENAMED_ERRORS.get(raw["error"], raw["error"]),
            "facts": ImageInfo.from_dict(raw["facts"]),
            "scores": tuple(Score.from_dict(score) for score in raw["scores"]),
        }
    )
