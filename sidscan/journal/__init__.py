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
from collections.abc import Collection, Iterable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import NamedTuple

from sidscan.errors import OutputError
from sidscan.journal import outputs
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
from sidscan.util.urls import mask_credentials

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


_ITEMS_DEFINITION = b"CREATE TABLE items (\n    position INTEGER PRIMARY KEY,\n    name BLOB NOT NULL UNIQUE"
_SQLITE_SIGNATURE = b"SQLite format 3\0"
_SCHEMA_BYTES = 4096  # SQLite keeps the text of the tables' definitions in the first page
_UPGRADED = "upgraded_from"  # key of the header: the format in which an earlier version wrote the record
_DAMAGE = ("malformed", "not a database")  # of SQLite's messages; Python 3.10 has no error codes


class Registered(NamedTuple):
    """What happened to an earlier run's results. Each of them is counted once, as kept or as something else.

    Attributes:
        kept: results that still hold.
        repeated: inputs named more than once in this run.
        gone: results whose input this run does not name, or whose file is missing now.
        retried: inputs that failed and are tried again.
        changed: results whose file has another size or modification time.
        skip_changed: results whose input was skipped and is now read, for example a link, or the reverse.
        other_keys: results of other models or options; they are set aside until this run is complete.
    """

    kept: int
    repeated: int
    gone: int = 0
    retried: int = 0
    changed: int = 0
    skip_changed: int = 0
    other_keys: int = 0

    @property
    def dropped(self) -> int:
        """Results that are not used, other than those of inputs that are tried again."""
        return self.gone + self.changed + self.skip_changed + self.other_keys


class Journal:
    """The record of one run.

    Args:
        path: SQLite file; None keeps the record in memory.
        fresh: delete what the file holds, a damaged record too.

    Raises:
        OutputError: the file can't be written, is damaged, belongs to something else, or is in use by another
            scan.
    """

    def __init__(self, path: Path | None, fresh: bool = False) -> None:
        self.path = path
        try:
            self._open(fresh)
        except sqlite3.Error as error:
            if path is None or not _is_damage(error):
                raise self._output_error(error) from error
            if not _was_record(path):
                raise self._not_a_record() from error
            if not fresh:
                raise self._output_error(error) from error
            self._discard_damaged()

    def _open(self, fresh: bool) -> None:
        self._db = sqlite3.connect(":memory:" if self.path is None else os.fspath(self.path), timeout=1.0)
        with _closed_on_error(self._db):
            self._prepare(fresh)

    def _discard_damaged(self) -> None:
        assert self.path is not None
        try:
            os.truncate(self.path, 0)  # SQLite takes an empty file for a new one
            self._open(fresh=True)
        except (OSError, sqlite3.Error) as error:
            raise self._output_error(error) from error

    def _prepare(self, fresh: bool) -> None:
        if sqlite3.sqlite_version_info < (3, 33):  # UPDATE ... FROM
            raise sqlite3.NotSupportedError(f"SQLite {sqlite3.sqlite_version} is too old, 3.33 is needed")
        self._db.execute("PRAGMA locking_mode=EXCLUSIVE")  # two scans never share one record
        self._db.execute("PRAGMA synchronous=FULL")
        with self._db:
            self._db.execute("BEGIN EXCLUSIVE")
            tables, ours = self._db.execute(
                "SELECT count(*), count(iif(name = 'items' AND instr(sql, ?) = 1, 1, NULL)) "
                "FROM sqlite_master",
                (_ITEMS_DEFINITION.decode(),),
            ).fetchone()
            if tables and not ours:
                raise self._not_a_record()
        self._db.executescript(_TABLES + outputs.TABLE)
        if fresh:  # only after the check above: another program's file is never emptied
            self._db.executescript("DELETE FROM items; DELETE FROM retired; DELETE FROM header;")
            if self._db.execute("PRAGMA quick_check(1)").fetchone() != ("ok",):
                raise sqlite3.DatabaseError("the emptied file is malformed")
        number = self._db.execute("SELECT value FROM header WHERE key = 'format'").fetchone()
        if number is None:
            self._write_header({"format": JOURNAL_FORMAT})
        elif json.loads(number[0]) == "1":
            self._write_header({"format": JOURNAL_FORMAT, _UPGRADED: "1"})
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
                """CREATE TEMP TABLE earlier AS SELECT *, TRUE AS latest FROM items WHERE finding IS NOT NULL
                UNION ALL SELECT *, FALSE FROM retired"""
            )
            self._db.execute("CREATE INDEX temp.earlier_name ON earlier (name)")
            self._db.execute("DELETE FROM items")
            named = self._insert(items)
            kept = self._keep_results(keys, retry_failed)
            self._check_same_run()
            counts = self._count_dropped(retry_failed)
            self._db.execute("DELETE FROM retired")
            self._db.execute(
                """INSERT INTO retired SELECT position, name, kind, stamp, skip, status, settings, finding
                FROM earlier WHERE settings NOT IN (?, ?, ?)""",
                dataclasses.astuple(keys),
            )
            self._db.execute("DROP TABLE earlier")
        return Registered(kept, named - self.counts().enumerated, *counts)

    def _check_same_run(self) -> None:
        """Raises OutputError if there are earlier scores, but no earlier input is among the new ones."""
        earlier, matched, scored = self._db.execute(
            """SELECT count(DISTINCT e.name), count(DISTINCT items.name), total(e.status = 'scored')
            FROM earlier AS e LEFT JOIN items USING (name)"""
        ).fetchone()
        if not scored or matched:
            return
        before, now = (
            self._db.execute(f"SELECT name FROM {table} ORDER BY skip != '', position LIMIT 1").fetchone()  # noqa: S608
            for table in ("earlier", "items")
        )
        names = f"it has {_shown(before[0])}, for example" + (
            f"; yours begin with {_shown(now[0])}" if now else ""
        )
        raise OutputError(
            f"{self.path} is the record of another run: none of its {earlier} inputs is among yours "
            f"({names})",
            "Name the inputs as that run did, choose another --out or --journal, or forget that run with "
            "--fresh.",
        )

    def _count_dropped(self, retry_failed: bool) -> tuple[int, ...]:
        """The last five numbers of `Registered`; each earlier result counts for the first that applies."""
        rows = self._db.execute(
            """SELECT CASE WHEN items.name IS NULL OR (items.stamp = '' AND items.skip = '' AND e.stamp != '')
            THEN 0
            WHEN NOT (e.status = ? OR json_extract(e.finding, '$.stage') IN (SELECT value FROM json_each(?)))
            THEN 1
            WHEN items.stamp != e.stamp AND items.stamp != '' AND e.stamp != '' THEN 2
            WHEN items.kind != e.kind OR items.skip != e.skip OR items.stamp != e.stamp THEN 3
            ELSE 4 END AS reason, count(*)
            FROM earlier AS e LEFT JOIN items USING (name) WHERE e.latest AND items.finding IS NULL
            GROUP BY reason""",
            (Status.SCORED.value, _reused_stages(retry_failed)),
        )
        counts = dict(rows.fetchall())
        return tuple(counts.get(reason, 0) for reason in range(5))

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
        return self._db.execute(
            """UPDATE items SET (status, settings, finding) = (e.status, e.settings, e.finding)
            FROM earlier AS e WHERE e.name = items.name AND e.kind = items.kind AND e.stamp = items.stamp
            AND e.skip = items.skip AND e.settings IN (?, ?, ?) AND (e.status = ? OR
            json_extract(e.finding, '$.stage') IN (SELECT value FROM json_each(?)))""",
            (*dataclasses.astuple(keys), Status.SCORED.value, _reused_stages(retry_failed)),
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

    def output_digests(self, out: Path) -> Collection[str] | None:
        """The sha256 of what this run last wrote to ``out``, hex; None if the record does not say."""
        try:
            known = outputs.digests(self._db, self.path, out)
        except sqlite3.Error as error:
            raise self._output_error(error) from error
        query = "SELECT count(*) FROM header WHERE key = ?"
        return known or (None if self._read(query, (_UPGRADED,)).fetchone()[0] else known)

    def expect_output(self, out: Path, sha256: str) -> None:
        """Note, right before it happens, that ``out`` is replaced by bytes with this sha256."""
        with self._writing():
            outputs.expect(self._db, self.path, out, sha256)

    def confirm_output(self, out: Path, sha256: str) -> None:
        """Note that ``out`` was replaced by bytes with this sha256."""
        with self._writing():
            outputs.confirm(self._db, self.path, out, sha256)

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
        if _is_damage(error):
            return OutputError(
                f"the record {where} is damaged",
                "--fresh discards it and starts over; or name another with --journal FILE.",
            )
        return OutputError(
            f"can't keep the run's record in {where}: {error}",
            "Name another file, in a writable folder with free space, with --journal FILE.",
        )

    def _not_a_record(self) -> OutputError:
        return OutputError(
            f"{self.path} is not a record of sidscan; it is left alone",
            "Choose another file for the record with --journal FILE.",
        )


def recorded_outputs(
    journal: Path | None, outs: Iterable[Path], fresh: bool = False
) -> dict[Path, Collection[str] | None]:
    """What the record at ``journal`` says of each output (`Journal.output_digests`), before a scan opens it.

    Raises:
        OutputError: as `Journal`; a damaged record says nothing if ``fresh`` is to discard it.
    """
    if journal is None or not os.path.lexists(journal):
        return dict.fromkeys(outs, ())
    try:
        with closing(Journal(journal)) as record:
            return {out: record.output_digests(out) for out in outs}
    except OutputError as error:
        if fresh and isinstance(error.__cause__, sqlite3.Error) and _is_damage(error.__cause__):
            return dict.fromkeys(outs, ())
        raise


def _is_damage(error: Exception) -> bool:
    return isinstance(error, sqlite3.Error) and any(words in str(error) for words in _DAMAGE)


def _was_record(path: Path) -> bool:
    """Whether a damaged file was a record, as far as can be seen.

    It must start as SQLite's files do. If its first page still defines tables, `items` must be one of them
    as we define it; else the name must end in ``.journal``.
    """
    try:
        with path.open("rb") as file:
            page = file.read(_SCHEMA_BYTES)
    except OSError:
        return False
    if not page.startswith(_SQLITE_SIGNATURE):
        return False
    if b"CREATE TABLE" in page:
        return _ITEMS_DEFINITION in page
    return path.suffix == ".journal"


def _reused_stages(retry_failed: bool) -> str:
    """The stages, as JSON, of results without a score that are not tried again."""
    stages = [Stage.LIST] if retry_failed else [Stage.LIST, Stage.DECODE, Stage.SCORE]
    return json.dumps([stage.value for stage in stages])


def _shown(name: bytes) -> str:
    return mask_credentials(os.fsdecode(name))


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
