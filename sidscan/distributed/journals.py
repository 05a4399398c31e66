"""Journals of shards: what makes one acceptable, and how a published one is read."""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

from sidscan.distributed.settings import Scoring
from sidscan.distributed.slices import Slice, digest_of
from sidscan.errors import OutputError, UsageError
from sidscan.journal.reading import StoredRecord
from sidscan.journal.tables import SHA256
from sidscan.journal.thumbnails import STRENGTH
from sidscan.records import Counts, Item, Kind
from sidscan.util.files import real_path

_CACHE = 256  # KiB: many journals are open at a time, and each row is read once
StoredResult = tuple[bytes, str, int]
"""Name, result and number of tries, as a journal keeps them."""


class Standing(NamedTuple):
    """Where a result stands by its evidence: those with smaller values come first.

    Attributes:
        weakness: the less, the stronger its evidence.
        sha256: of its image's bytes, hex.
        hashed: whether it has a perceptual hash.
    """

    no_score: int
    skipped: int
    weakness: float
    position: int
    sha256: str | None
    hashed: int


class PublishedJournal(StoredRecord):
    """The journal of a shard that was published, which nobody changes: it is read without locks."""

    def _connect(self, path: Path) -> sqlite3.Connection:
        self.writable = False
        database = sqlite3.connect(f"{real_path(path).as_uri()}?mode=ro&immutable=1", uri=True)
        database.execute(f"PRAGMA cache_size=-{_CACHE}")
        return database

    def _lock(self) -> None:
        """Nobody writes it."""

    def inputs(self) -> Iterator[Item]:
        """The inputs, in their order."""
        for name, kind, fingerprint, skip in self._read(
            "SELECT name, kind, stamp, skip FROM items ORDER BY position"
        ):
            yield Item(os.fsdecode(name), Kind(kind), fingerprint, skip)

    def computed_otherwise(self, scoring: Scoring) -> int:
        """How many results were made in another way."""
        query = """SELECT count(*) FROM items WHERE finding IS NOT NULL
            AND (settings IN (SELECT value FROM json_each(?))
            AND reader IN (SELECT value FROM json_each(?))) IS NOT TRUE"""
        values = json.dumps(scoring.keys), json.dumps(scoring.readers)
        return int(self._read(query, values).fetchone()[0])

    def contradictory(self) -> int:
        """How many results say something else than their rows, by which they are counted."""
        query = """SELECT count(*) FROM items WHERE finding IS NOT NULL AND (
            json_extract(finding, '$.status') = status
            AND json_extract(finding, '$.kind') = kind) IS NOT TRUE"""
        return int(self._read(query).fetchone()[0])

    def has_failed(self) -> bool:
        """Whether inputs failed that can be tried again."""
        query = """SELECT EXISTS (SELECT 1 FROM items WHERE status != 'scored'
            AND json_extract(finding, '$.stage') IS NOT 'list')"""
        return bool(self._read(query).fetchone()[0])

    def failures(self) -> list[tuple[object, ...]]:
        """What has no score, and why; without times, so that the same failure is equal later."""
        fields = ("$.stage", "$.error", "$.message", "$.facts.sha256")
        query = """SELECT position, status, json_extract(finding, ?, ?, ?, ?) FROM items
            WHERE status != 'scored' ORDER BY position"""
        return list(self._read(query, fields))

    def standings(self) -> Iterator[Standing]:
        """Where each result stands, in the order of the inputs."""
        query = f"""SELECT status != 'scored', status = 'skipped', {STRENGTH}, position, {SHA256},
            ifnull(json_extract(finding, '$.facts.perceptual_hash'), '') != ''
            FROM items WHERE finding IS NOT NULL ORDER BY position"""  # noqa: S608
        for no_score, skipped, strength, position, sha256, hashed in self._read(query):
            yield Standing(no_score, skipped, -(strength or 0.0), position, sha256, hashed)

    def stored_at(self, positions: Sequence[int]) -> Iterator[tuple[int, StoredResult]]:
        """The results of some inputs, by their positions, as `sidscan.journal.loaded` reads them."""
        query = """SELECT position, name, finding, tries FROM items
            WHERE position IN (SELECT value FROM json_each(?))"""
        for position, *stored in self._read(query, (json.dumps(positions),)):
            name, text, tries = stored
            yield position, (name, text, tries)

    def tables_in_use(self, names: Iterable[str]) -> frozenset[str]:
        """Those of some tables that hold anything."""
        asked = ((name, f"SELECT EXISTS (SELECT 1 FROM {name})") for name in names)  # noqa: S608
        return frozenset(name for name, query in asked if self._read(query).fetchone()[0])


def check_journal(path: Path, planned: Slice, scoring: Scoring) -> Counts:
    """Whether a journal holds the results of a slice: one of each input, all computed as the run's are.

    Raises:
        OutputError: it does not.
    """
    try:
        with closing(PublishedJournal(path)) as journal:
            counts = journal.counts()
            if counts.enumerated != planned.inputs or counts.pending:
                done = counts.enumerated - counts.pending
                raise _refused(path, f"it has results of {done} inputs, and its shard has {planned.inputs}")
            if digest_of(journal.inputs()) != planned.digest:
                raise _refused(path, "its inputs are not those of its shard")
            if others := journal.computed_otherwise(scoring):
                raise _refused(path, f"{others} of its results were computed otherwise than those of the run")
            if others := journal.contradictory():
                raise _refused(path, f"{others} of its results say something else than their rows")
            return counts
    except (UsageError, sqlite3.Error, ValueError, TypeError) as error:
        raise _refused(path, str(error).splitlines()[0]) from error


def _refused(path: Path, why: str) -> OutputError:
    return OutputError(
        f"the results in {path} are not accepted: {why}", "Remove that file, and scan the shard again."
    )
