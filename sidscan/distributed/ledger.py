"""The ledger of a run: which journals were accepted, and what was written from them.

Whoever collects writes it, for moments only. Shards only publish, and never touch it.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Collection, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TypeAlias

from sidscan.distributed.journals import PublishedJournal, check_journal
from sidscan.distributed.run_folder import Plan, RunFolder
from sidscan.distributed.settings import Scoring
from sidscan.distributed.slices import Slice
from sidscan.errors import OutputError
from sidscan.journal import outputs
from sidscan.journal.reading import LONGEST_VALUE
from sidscan.records import Counts
from sidscan.util.files import open_file, real_path, sha256_of
from sidscan.util.plain_sqlite import check_tables, harden

_TABLES = """CREATE TABLE IF NOT EXISTS shards (
    slice TEXT PRIMARY KEY,
    journal TEXT NOT NULL,   -- the file, from the run's folder
    sha256 TEXT NOT NULL,    -- of that file
    bytes INTEGER NOT NULL,
    scored INTEGER NOT NULL,
    failed INTEGER NOT NULL,
    skipped INTEGER NOT NULL
) WITHOUT ROWID;
"""


@dataclass(frozen=True, slots=True)
class Accepted:
    """The results of a shard, as the ledger has them.

    Attributes:
        journal: the file, from the run's folder.
        sha256: of that file, hex.
    """

    number: int
    journal: str
    sha256: str
    counts: Counts


_PATIENCE = 30.0  # seconds that another process may take to write it
Row: TypeAlias = tuple[str, str, int, int, int]
"""Of a slice: journal, sha256, scored, failed, skipped."""


class Ledger:
    """The ledger of a run, and what it says of one of the run's plans.

    It says what was accepted when `accept_published` was called last: others may accept more meanwhile.

    Attributes:
        is_kept: whether it is in the run. Where that can't be written, it is a copy for this process alone.

    Raises:
        OutputError: it can't be written, or somebody else writes it for too long.
    """

    def __init__(self, run: RunFolder, plan: Plan) -> None:
        self._run, self._plan, self._path = run, plan, run.ledger_path
        self._rows: dict[str, Row] = {}
        self._copies: TemporaryDirectory[str] | None = None
        self.is_kept = not is_read_only(self._path)
        with self._errors():
            self._db = sqlite3.connect(self._path if self.is_kept else "", timeout=_PATIENCE)
            if not self.is_kept and self._path.exists():
                with closing(sqlite3.connect(f"{real_path(self._path).as_uri()}?mode=ro", uri=True)) as kept:
                    check_tables(kept)
                    kept.backup(self._db)
            harden(self._db, LONGEST_VALUE)
            check_tables(self._db)
            self._db.executescript(_TABLES + outputs.TABLE)
            self._load()

    def close(self) -> None:
        """Release it, and the files that it copied."""
        self._db.close()
        if self._copies is not None:
            self._copies.cleanup()

    def local_file(self, journal: str) -> Path:
        """A journal of the run as a local file; that of a bucket is copied once, and stays until `close`.

        Raises:
            OutputError: it is not there, or can't be read or copied.
        """
        if self._copies is None:
            self._copies = TemporaryDirectory(prefix="sidscan-journals-")
        return self._run.store.get(journal, Path(self._copies.name))

    def accept_published(self) -> int:
        """Check what shards have published, and note it; returns how many are new.

        Results that somebody removed, so that their shard is scanned again, are no longer noted.

        Raises:
            OutputError: a journal does not hold the results of its shard.
        """
        with self._errors():
            self._load()  # before it is looked what is there: others may publish and accept meanwhile
        scoring, published = self._run.scoring(), self._run.published()
        if scoring is None:
            return 0
        self._forget_removed(published)
        new = [
            each
            for each in self._plan.slices
            if each.digest in published and self._noted(each.digest) != published[each.digest]
        ]
        for each in new:
            self._accept(each, published[each.digest], scoring)
        return len(new)

    def _load(self) -> None:
        rows = self._db.execute("SELECT slice, journal, sha256, scored, failed, skipped FROM shards")
        self._rows = {digest: tuple(row) for digest, *row in rows}

    def _noted(self, digest: str) -> str | None:
        """The journal that was accepted of a slice."""
        row = self._rows.get(digest)
        return row[0] if row else None

    def _forget_removed(self, published: Mapping[str, str]) -> None:
        gone = [each.digest for each in self._plan.slices if each.digest not in published]
        rows = [(digest, self._rows.pop(digest)[0]) for digest in gone if digest in self._rows]
        if rows:
            with self._errors(), self._db:
                self._db.executemany("DELETE FROM shards WHERE slice = ? AND journal = ?", rows)

    def forget(self, slices: Collection[str]) -> None:
        """Note that the results of slices were removed."""
        with self._errors(), self._db:
            self._db.executemany("DELETE FROM shards WHERE slice = ?", [(digest,) for digest in slices])
            self._load()

    def _accept(self, planned: Slice, name: str, scoring: Scoring) -> None:
        """Note a journal, unless somebody else noted one meanwhile."""
        path = self.local_file(name)
        counts = check_journal(path, planned, scoring)
        with open_file(path) as file:
            sha256 = sha256_of(file)
        row = (planned.digest, name, sha256, path.stat().st_size)
        with self._errors(), self._db:
            before = (planned.digest, self._noted(planned.digest))
            self._db.execute("DELETE FROM shards WHERE slice = ? AND journal = ?", before)
            self._db.execute(
                "INSERT OR IGNORE INTO shards VALUES (?, ?, ?, ?, ?, ?, ?)",
                (*row, counts.scored, counts.failed, counts.skipped),
            )
            query = "SELECT journal, sha256, scored, failed, skipped FROM shards WHERE slice = ?"
            self._rows[planned.digest] = self._db.execute(query, (planned.digest,)).fetchone()

    def accepted(self) -> Iterator[Accepted]:
        """The shards of the plan whose results are there, in their order."""
        for number, each in enumerate(self._plan.slices):
            if row := self._rows.get(each.digest):
                journal, sha256, *counts = row
                yield Accepted(number, journal, sha256, Counts(each.inputs, *counts))

    def missing(self) -> list[int]:
        """The shards of the plan without results."""
        return [number for number, each in enumerate(self._plan.slices) if each.digest not in self._rows]

    def failed(self) -> list[int]:
        """The shards of the plan with results of which some failed, and can be tried again."""
        return [each.number for each in self.accepted() if each.counts.failed and self._has_failed(each)]

    def _has_failed(self, accepted: Accepted) -> bool:
        with closing(PublishedJournal(self.local_file(accepted.journal))) as journal:
            return journal.has_failed()

    def counts(self) -> Counts:
        """How the inputs of the plan ended so far."""
        counts = [each.counts for each in self.accepted()]
        scored, failed, skipped = (
            sum(getattr(each, name) for each in counts) for name in ("scored", "failed", "skipped")
        )
        return Counts(self._plan.inputs, scored, failed, skipped)

    def output_digests(self, out: Path) -> Collection[str]:
        """The sha256 of what was last written to a report, hex."""
        with self._errors():
            return outputs.digests(self._db, self._path, out)

    def output_paths(self) -> list[Path]:
        """The reports that were ever written."""
        with self._errors():
            return outputs.paths(self._db, self._path)

    def expect_output(self, out: Path, sha256: str) -> None:
        """Note, right before it happens, that a report is replaced."""
        with self._errors(), self._db:
            outputs.expect(self._db, self._path, out, sha256)

    def confirm_output(self, out: Path, sha256: str) -> None:
        """Note that it was replaced."""
        with self._errors(), self._db:
            outputs.confirm(self._db, self._path, out, sha256)

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            if "locked" in str(error):
                raise OutputError(
                    f"{self._path} is in use: another process collects this run",
                    "Wait for it to end.",
                ) from error
            raise OutputError(
                f"can't keep the ledger {self._path}: {error}",
                "Is the folder read-only, or the disk full? A damaged ledger can be removed; what shards "
                "published is read again, and reports need --overwrite then.",
            ) from error


def is_read_only(path: Path) -> bool:
    """Whether a ledger can't be written there, as on a share for reading, or in an archive."""
    return not all(os.access(each, os.W_OK) for each in (path.parent, path) if each.exists())
