"""Where each result of a run stands, in a temporary file: a run may have more of them than memory holds."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator

from sidscan.distributed.journals import Standing

Place = tuple[int, int]
"""Number of a shard, and position of a result in it."""
_FIRST = 1000  # results that are found without sorting all of them
_SHORT = 8  # bytes of a sha256: others may begin alike, and nothing here tells them apart
_TABLE = """CREATE TABLE standings (shard INTEGER, no_score INTEGER, skipped INTEGER, weakness REAL,
    position INTEGER, sha256 BLOB, hashed INTEGER);"""
_ORDER = "SELECT shard, position FROM standings ORDER BY no_score, skipped, weakness, shard, position"


class Standings:
    """The places of all results of a run, and which of them may be equal.

    SQLite removes the file.
    """

    def __init__(self, shards: Iterable[tuple[int, Iterator[Standing]]]) -> None:
        self._db = sqlite3.connect("")
        self._db.execute(_TABLE)
        for number, standings in shards:
            rows = ((number, *each[:4], _short(each.sha256), each.hashed) for each in standings)
            self._db.executemany("INSERT INTO standings VALUES (?, ?, ?, ?, ?, ?, ?)", rows)
        self._db.execute("CREATE INDEX by_bytes ON standings (sha256, shard)")

    def close(self) -> None:
        """Release the file."""
        self._db.close()

    def ranked(self) -> Iterator[Place]:
        """The strongest evidence first, inputs without a score last."""
        first = self._db.execute(f"{_ORDER} LIMIT ?", (_FIRST,)).fetchall()
        yield from first
        if len(first) == _FIRST:
            yield from self._db.execute(f"{_ORDER} LIMIT -1 OFFSET ?", (_FIRST,))

    def repeats(self) -> int:
        """Scored images whose bytes came before."""
        query = "SELECT count(sha256) - count(DISTINCT sha256) FROM standings WHERE NOT no_score"
        return int(self._db.execute(query).fetchone()[0])

    def possible_copies(self) -> Iterator[Place]:
        """What may show the same as another input: its bytes occur twice, or a hash says what it shows."""
        yield from self._db.execute(
            """SELECT shard, position FROM standings WHERE hashed OR sha256 IN (SELECT sha256 FROM standings
            WHERE sha256 IS NOT NULL GROUP BY sha256 HAVING count(*) > 1) ORDER BY shard, position"""
        )

    def shards_with(self, sha256: str) -> list[int]:
        """The shards that may have images with these bytes."""
        query = "SELECT DISTINCT shard FROM standings WHERE sha256 = ? ORDER BY shard"
        return [shard for (shard,) in self._db.execute(query, (_short(sha256),))]

    def strongest(self, number: int) -> frozenset[bytes]:
        """So many images with the strongest evidence, as `shortened`."""
        query = """SELECT sha256 FROM standings WHERE NOT no_score AND sha256 IS NOT NULL GROUP BY sha256
            ORDER BY min(weakness), sha256 LIMIT ?"""
        return frozenset(sha256 for (sha256,) in self._db.execute(query, (number,)))


def shortened(sha256: str) -> bytes:
    """How `Standings` names an image's bytes."""
    return bytes.fromhex(sha256[: 2 * _SHORT])


def _short(sha256: str | None) -> bytes | None:
    return None if sha256 is None else shortened(sha256)
