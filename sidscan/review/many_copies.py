"""Which images of a run are copies, where there may be more of them than memory holds.

Inputs with equal bytes are sorted together in a temporary database, so only those of one image are in memory
at a time. Perceptual hashes are compared in memory, with all that have one.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing
from itertools import groupby, islice
from operator import attrgetter

from sidscan.records import Copies, ScanResult
from sidscan.review.copies import Candidate, copies_among

_IN_MEMORY = 20_000
"""Candidates up to which no file is needed."""
_CANDIDATES = """CREATE TABLE candidates (
    sha256 TEXT, name TEXT, perceptual_hash TEXT, strength REAL, score REAL);"""
_COPIES = """CREATE TABLE copies (name BLOB, same_as BLOB, "group" BLOB, distance INTEGER, transform TEXT,
    count INTEGER, score_min REAL, score_max REAL);"""


def find_copies_among_many(results: Iterable[ScanResult]) -> Mapping[str, Copies]:
    """As `find_copies`."""
    candidates = filter(None, map(Candidate.of, results))
    first = list(islice(candidates, _IN_MEMORY))
    if len(first) < _IN_MEMORY:
        return copies_among(first)
    with closing(sqlite3.connect("")) as database:
        database.execute(_CANDIDATES)
        for batch in (first, candidates):
            rows = ((each.sha256, os.fsencode(each.name), *each[2:]) for each in batch)
            database.executemany("INSERT INTO candidates VALUES (?, ?, ?, ?, ?)", rows)
        hashed = "SELECT EXISTS (SELECT 1 FROM candidates WHERE perceptual_hash != '')"
        if database.execute(hashed).fetchone()[0]:
            return copies_among(_read(database, "rowid"))
        return _KeptCopies(_of_equal_bytes(_read(database, "sha256, rowid")))


def _read(database: sqlite3.Connection, order: str) -> Iterator[Candidate]:
    for sha256, name, *rest in database.execute(f"SELECT * FROM candidates ORDER BY {order}"):  # noqa: S608
        yield Candidate(sha256, os.fsdecode(name), *rest)


def _of_equal_bytes(candidates: Iterator[Candidate]) -> Iterator[tuple[str, Copies]]:
    for _, equal in groupby(candidates, attrgetter("sha256")):
        yield from copies_among(equal).items()


def _encoded(name: str, copies: Copies) -> tuple[object, ...]:
    assert copies.group is not None
    same_as = None if copies.same_as is None else os.fsencode(copies.same_as)
    numbers = (copies.distance, copies.transform, copies.count, copies.score_min, copies.score_max)
    return os.fsencode(name), same_as, os.fsencode(copies.group), *numbers


class _KeptCopies(Mapping[str, Copies]):
    """Copies by the name of an input, in a temporary file that SQLite removes."""

    def __init__(self, copies: Iterable[tuple[str, Copies]]) -> None:
        self._db = sqlite3.connect("")
        self._db.execute(_COPIES)
        rows = (_encoded(*each) for each in copies)
        self._db.executemany("INSERT INTO copies VALUES (?, ?, ?, ?, ?, ?, ?, ?)", rows)
        self._db.execute("CREATE UNIQUE INDEX by_name ON copies (name)")

    def __getitem__(self, name: str) -> Copies:
        row = self._db.execute("SELECT * FROM copies WHERE name = ?", (os.fsencode(name),)).fetchone()
        if row is None:
            raise KeyError(name)
        _, same_as, group, *rest = row
        return Copies(None if same_as is None else os.fsdecode(same_as), os.fsdecode(group), *rest)

    def __iter__(self) -> Iterator[str]:
        for (name,) in self._db.execute("SELECT name FROM copies"):
            yield os.fsdecode(name)

    def __len__(self) -> int:
        return int(self._db.execute("SELECT count(*) FROM copies").fetchone()[0])
