"""The ledger of a run: which journals were accepted, and what was written from them.

Whoever collects keeps it, one process at a time. Shards only publish, and never touch it.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from sidscan.distributed.journals import check_journal
from sidscan.distributed.run_folder import Plan, RunFolder
from sidscan.distributed.settings import Scoring
from sidscan.distributed.slices import Slice
from sidscan.errors import OutputError
from sidscan.journal import outputs
from sidscan.records import Counts
from sidscan.util.files import open_file, sha256_of

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


class Ledger:
    """The ledger of a run, and what it says of the run's latest plan.

    Raises:
        OutputError: somebody else uses it, or it can't be written.
    """

    def __init__(self, run: RunFolder, plan: Plan) -> None:
        self._run, self._plan, self._path = run, plan, run.ledger_path
        with self._errors():
            self._db = sqlite3.connect(self._path, timeout=1.0)
            self._db.execute("PRAGMA locking_mode=EXCLUSIVE")
            with self._db:
                self._db.execute("BEGIN EXCLUSIVE")
            self._db.executescript(_TABLES + outputs.TABLE)

    def close(self) -> None:
        """Release it."""
        self._db.close()

    def accept_published(self) -> int:
        """Check what shards have published, and note it; returns how many are new.

        Results that somebody removed, so that their shard is scanned again, are no longer noted.

        Raises:
            OutputError: a journal does not hold the results of its shard.
        """
        scoring, published = self._run.scoring(), self._run.published()
        if scoring is None:
            return 0
        self._forget_removed(published)
        new = [
            each for each in self._plan.slices if each.digest in published and self._row(each.digest) is None
        ]
        for each in new:
            self._accept(each, scoring)
        return len(new)

    def _forget_removed(self, published: Collection[str]) -> None:
        gone = [(each.digest,) for each in self._plan.slices if each.digest not in published]
        with self._errors(), self._db:
            self._db.executemany("DELETE FROM shards WHERE slice = ?", gone)

    def _accept(self, planned: Slice, scoring: Scoring) -> None:
        name = self._run.journal_name(planned.digest, scoring)
        with TemporaryDirectory(prefix="sidscan-accept-") as scratch:
            path = self._run.store.get(name, Path(scratch))
            counts = check_journal(path, planned, scoring)
            with open_file(path) as file:
                sha256 = sha256_of(file)
            row = (planned.digest, name, sha256, path.stat().st_size)
        with self._errors(), self._db:
            self._db.execute(
                "INSERT INTO shards VALUES (?, ?, ?, ?, ?, ?, ?)",
                (*row, counts.scored, counts.failed, counts.skipped),
            )

    def _row(self, digest: str) -> tuple[str, str, int, int, int] | None:
        query = "SELECT journal, sha256, scored, failed, skipped FROM shards WHERE slice = ?"
        with self._errors():
            row: tuple[str, str, int, int, int] | None = self._db.execute(query, (digest,)).fetchone()
        return row

    def accepted(self) -> Iterator[Accepted]:
        """The shards of the plan whose results are there, in their order."""
        for number, each in enumerate(self._plan.slices):
            if row := self._row(each.digest):
                journal, sha256, *counts = row
                yield Accepted(number, journal, sha256, Counts(each.inputs, *counts))

    def missing(self) -> list[int]:
        """The shards of the plan without results."""
        return [number for number, each in enumerate(self._plan.slices) if self._row(each.digest) is None]

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
                    f"{self._path} is in use: another process scans or collects this run",
                    "Wait for it to end.",
                ) from error
            raise OutputError(
                f"can't keep the ledger {self._path}: {error}",
                "Is the folder read-only, or the disk full? A damaged ledger can be removed; what shards "
                "published is read again, and reports need --overwrite then.",
            ) from error
