"""Read the record of a run that may never continue: it is neither upgraded nor otherwise changed.

Only hashes of the reports that are rendered from it are noted there, so that a later scan knows them as its
own. A record on a read-only disk can be read, too; then nothing is noted.
"""

from __future__ import annotations

import json
import os
import re
import sqlite3
from collections.abc import Callable, Collection, Iterator
from contextlib import closing
from pathlib import Path

from sidscan.errors import OutputError, SidscanError, UsageError
from sidscan.journal import Journal, outputs, tables
from sidscan.journal.file import COMPANIONS, SQLITE_SIGNATURE, is_damage
from sidscan.journal.functions import add_functions
from sidscan.records import JOURNAL_FORMAT, JsonObject
from sidscan.util.files import open_file, real_path
from sidscan.util.plain_sqlite import ComputedTables, check_tables, harden

_Note = Callable[[sqlite3.Connection, Path | None, Path, str], None]
LONGEST_VALUE = 1 << 28  # bytes; far more than a result, a drawing or the facts about a run have
_IS_THERE = "SELECT count(*) FROM sqlite_master WHERE name = ?"


def is_database(path: Path) -> bool:
    """Whether a file looks like a record, as far as its first bytes tell.

    Raises:
        OSError: it can't be read.
    """
    with open_file(path) as file:
        return file.read(len(SQLITE_SIGNATURE)) == SQLITE_SIGNATURE


def find_records(report: Path, in_use: bool = False) -> list[Path]:
    """The records in the folder of a report whose scans wrote it.

    Args:
        in_use: also those that a scan uses, since nobody can read whether they name the report.
    """
    return [path for path in sorted(report.parent.glob("*.journal")) if _names(path, report, in_use)]


def _names(path: Path, report: Path, in_use: bool) -> bool:
    try:
        if is_database(path):
            address = f"{real_path(path).as_uri()}?mode=ro"
            with closing(sqlite3.connect(address, uri=True, timeout=1.0)) as database:
                harden(database, LONGEST_VALUE)
                check_tables(database)
                return bool(outputs.digests(database, path, report))
    except sqlite3.OperationalError as error:
        return in_use and "locked" in str(error)
    except (OSError, ValueError, sqlite3.Error):
        pass
    return False


class StoredRecord(Journal):
    """The record of an earlier run, for reports.

    Raises:
        UsageError: there is no such file, or it is no record that this version reads, or a damaged one.
        OutputError: a scan uses it.

    Attributes:
        writable: whether hashes of reports can be noted in it.
    """

    def __init__(self, path: Path) -> None:
        self.path, self._folder = path, None
        try:
            if not is_database(path):
                raise self._not_a_record()
            self._open_file(path)
        except sqlite3.Error as error:
            raise self._output_error(error) from error
        except OSError as error:
            raise UsageError(
                f"can't read {path}: {error.strerror or error}", "Name the record of a scan, FILE.journal."
            ) from error

    def _connect(self, path: Path) -> sqlite3.Connection:
        self.writable = _can_write(path)
        mode = "rw" if self.writable else "ro"
        return sqlite3.connect(f"{real_path(path).as_uri()}?mode={mode}", uri=True, timeout=1.0)

    def _open_file(self, path: Path) -> None:
        self._db = self._file = self._connect(path)
        try:
            harden(self._file, LONGEST_VALUE)
            add_functions(self._file)
            self._lock()
            self._format_number = self._checked_format()
            if self._format_number == JOURNAL_FORMAT:
                self._add_companions()
            else:
                self._db = self._upgraded_copy()
        except BaseException:
            self.close()
            raise

    def _lock(self) -> None:
        """Keep scans from the record while reports are made of it."""
        if self.writable:
            self._file.execute("PRAGMA locking_mode=EXCLUSIVE")
            with self._file:
                self._file.execute("BEGIN EXCLUSIVE")
        self._file.execute("PRAGMA schema_version").fetchone()  # a lock of somebody else shows here

    def _checked_format(self) -> str:
        query = "SELECT count(*) FROM sqlite_master WHERE name = 'items' AND instr(sql, ?) = 1"
        if not self._file.execute(query, (tables.ITEMS_START.decode(),)).fetchone()[0]:
            raise self._not_a_record()
        check_tables(self._file)
        number = self._format()
        if number is None:
            raise self._not_a_record()
        if number not in ("1", JOURNAL_FORMAT):
            raise UsageError(
                f"{self.path} was written by a newer sidscan: its format is {number}, "
                f"this version reads up to {JOURNAL_FORMAT}",
                "Install the current sidscan: `pip install --upgrade sidscan`.",
            )
        return number

    def _add_companions(self) -> None:
        """Tables that a record of an earlier version lacks, empty, for this connection alone."""
        for statement in filter(str.strip, COMPANIONS.split(";")):
            name = re.findall(r"CREATE TABLE IF NOT EXISTS (\w+)", statement)[0]
            if not self._file.execute(_IS_THERE, (name,)).fetchone()[0]:
                self._file.execute(statement.replace("CREATE TABLE", "CREATE TEMP TABLE", 1))

    def _upgraded_copy(self) -> sqlite3.Connection:
        """The record in today's form, in a temporary file that SQLite removes."""
        copy = sqlite3.connect("")
        add_functions(copy)
        self._file.backup(copy)
        self._db = copy
        self._upgrade()
        copy.executescript(tables.TABLES + COMPANIONS)
        return copy

    def close(self) -> None:
        """Release the file."""
        if self._db is not self._file:
            self._db.close()
        self._file.close()

    def output_digests(self, out: Path) -> Collection[str] | None:
        """What this run, or a report made of its record, last wrote to ``out``."""
        known: Collection[str] = ()
        if self._file.execute(_IS_THERE, ("outputs",)).fetchone()[0]:
            known = outputs.digests(self._file, self.path, out)
        return known or (None if self._was_upgraded() else known)

    def output_paths(self) -> list[Path]:
        """The reports that its scans, or reports made of it, wrote; none if the record does not say."""
        if not self._file.execute(_IS_THERE, ("outputs",)).fetchone()[0]:
            return []
        return outputs.paths(self._file, self.path)

    def stored_run(self) -> JsonObject:
        """The facts about the run as its version recorded them; keys that it did not know are missing."""
        return {key: json.loads(value) for key, value in self._file.execute("SELECT key, value FROM header")}

    def stored_results(self) -> Iterator[tuple[str, JsonObject | None]]:
        """Name and result of every input, in their order; the result is None where there is none yet.

        Raises:
            UsageError: the record is damaged.
        """
        for name, text in self._read("SELECT name, finding FROM items ORDER BY position"):
            yield os.fsdecode(name), None if text is None else json.loads(text)

    def expect_output(self, out: Path, sha256: str) -> None:
        """Note it, if the record can be written."""
        self._note(outputs.expect, out, sha256)

    def confirm_output(self, out: Path, sha256: str) -> None:
        """Note it, if the record can be written."""
        self._note(outputs.confirm, out, sha256)

    def _note(self, note: _Note, out: Path, sha256: str) -> None:
        if not self.writable:
            return
        try:
            with self._file:
                self._file.execute(outputs.TABLE)
                note(self._file, self.path, out, sha256)
        except sqlite3.Error as error:
            raise super()._output_error(error) from error

    def _output_error(self, error: Exception) -> SidscanError:
        if isinstance(error, ComputedTables):
            return UsageError(
                f"{self.path} is not a record that sidscan wrote: {error}",
                "Somebody changed it or made it: use a copy from a backup, or scan again.",
            )
        if "locked" in str(error):
            return OutputError(f"{self.path} is in use by another scan", "Wait for it to end.")
        if is_damage(error):
            return UsageError(
                f"the record {self.path} is damaged", "Use a copy of it, or scan again with --fresh."
            )
        return UsageError(
            f"can't read the record {self.path}: {error}", "Copy it to a local disk, and name the copy."
        )

    def _not_a_record(self) -> SidscanError:
        return UsageError(
            f"{self.path} is not the record of a scan",
            "Name the file that the scan keeps beside its first report, e.g. report.csv.journal.",
        )


def _can_write(path: Path) -> bool:
    """Whether a file, and the one that SQLite makes beside it meanwhile, can be written."""
    return os.access(path, os.W_OK) and os.access(real_path(path).parent, os.W_OK)
