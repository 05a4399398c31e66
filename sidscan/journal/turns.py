"""Which images a run looks at, and in which order, where that is not all of them as they were listed.

Each image gets a key between 0 and 1, by the hashes of its name and of its folder's, and images take their
turns by rising keys. So a larger sample contains a smaller one, a run that is stopped has seen a sample, and
neither the machine nor the order of the listing matters.

The k-th image of a folder with n images (k from 0, in the order of their hashes) has the key (k + r) / n,
where r is between 0 and 1, by the folder's hash. Images below any key are then in proportion to the folders.
The first image of a folder smaller than the average one has a lower key, that of an average folder: with
twice as many images as there are folders, every folder is seen.
"""

from __future__ import annotations

import hashlib
import os
import sqlite3
from collections.abc import Iterator
from functools import partial

from sidscan.records import Item, Kind, SamplePlan, SampleRecord

CREATE = """CREATE TABLE IF NOT EXISTS turns (
    turn INTEGER PRIMARY KEY,
    position INTEGER NOT NULL UNIQUE,  -- of the input
    key REAL NOT NULL,
    folder_size INTEGER NOT NULL       -- images in its folder
);
"""
EMPTY = "DELETE FROM turns;"
_ROWS_AT_ONCE = 1000
_ITEM = "items.position, name, kind, stamp, skip"


def choose(database: sqlite3.Connection, plan: SamplePlan | None) -> SampleRecord | None:
    """Give the images of a run their turns.

    Without a plan, or if the sample would be all images, all are read in the order of the listing, and the
    result is None. Without a size, so they are also if there are members of compressed tars, which can't be
    mixed.
    """
    database.execute(EMPTY)
    if plan is None:
        return None
    mixed = plan.size is not None or not _has_ordered_members(database)
    database.create_function("draw", 1, partial(_draw, plan.seed), deterministic=True)
    database.create_function("folder_of", 2, _folder_of, deterministic=True)
    database.execute(
        """CREATE TEMP TABLE drawn AS SELECT position, folder_of(name, kind) AS folder, draw(name) AS number
        FROM items WHERE skip = ''"""
    )
    database.execute(
        """CREATE TEMP TABLE folders AS SELECT folder, CAST(count(*) AS REAL) AS size, draw(folder) AS number
        FROM drawn GROUP BY folder"""
    )
    images, folders = database.execute("SELECT total(size), count(*) FROM folders").fetchone()
    sample = None
    if plan.size is None or plan.size < images:
        sample = SampleRecord(plan.size, plan.seed, int(images), folders, mixed)
    if sample and mixed:
        _fill(database, sample)
    database.execute("DROP TABLE drawn")
    database.execute("DROP TABLE folders")
    return sample


def _has_ordered_members(database: sqlite3.Connection) -> bool:
    query = """SELECT EXISTS (SELECT 1 FROM items
        WHERE kind = 'member' AND skip = '' AND read_in_order(kind, stamp))"""
    return bool(database.execute(query).fetchone()[0])


def _fill(database: sqlite3.Connection, sample: SampleRecord) -> None:
    database.execute(
        """INSERT INTO turns (position, key, folder_size) SELECT position,
        iif(k, (k + first) / size, first * min(1 / size, :average)) AS key, size FROM (
            SELECT position, size, folders.number AS first, drawn.number AS second,
            row_number() OVER (PARTITION BY drawn.folder ORDER BY drawn.number, position) - 1 AS k
            FROM drawn JOIN folders USING (folder)
        ) ORDER BY key, second, position LIMIT :most""",
        {
            "average": sample.folders / max(sample.images, 1),
            "most": -1 if sample.size is None else sample.size,
        },
    )


def pending(database: sqlite3.Connection, mixed: bool) -> Iterator[Item]:
    """Inputs without a result that have a turn, and those that are not read at all.

    Args:
        mixed: in the order of their turns, after what is not read; else all in the order of the listing.
    """
    if not mixed:
        query = f"""SELECT position, {_ITEM} FROM items WHERE finding IS NULL AND position > ?
            AND (skip != '' OR position IN (SELECT position FROM turns)) ORDER BY position LIMIT ?"""  # noqa: S608
        yield from _items(database, query)
        return
    query = f"""SELECT position, {_ITEM} FROM items WHERE finding IS NULL AND position > ? AND skip != ''
        ORDER BY position LIMIT ?"""  # noqa: S608
    yield from _items(database, query)
    query = f"""SELECT turn, {_ITEM} FROM turns CROSS JOIN items USING (position)
        WHERE finding IS NULL AND turn > ? ORDER BY turn LIMIT ?"""  # noqa: S608
    yield from _items(database, query)


def _items(database: sqlite3.Connection, query: str) -> Iterator[Item]:
    """The items of a query, in parts, so that results may be recorded meanwhile."""
    last = -1
    while rows := database.execute(query, (last, _ROWS_AT_ONCE)).fetchall():
        for _, _, name, kind, fingerprint, skip in rows:
            yield Item(os.fsdecode(name), Kind(kind), fingerprint, skip)
        last = rows[-1][0]


def taken(database: sqlite3.Connection) -> Iterator[tuple[str, float, int]]:
    """Of the images that had their turn, without a gap: the result as JSON, the key, the folder's size."""
    yield from database.execute(
        """SELECT finding, key, folder_size FROM turns CROSS JOIN items USING (position)
        WHERE turn < (SELECT ifnull(min(turn), 1 << 62) FROM turns JOIN items USING (position)
        WHERE finding IS NULL) ORDER BY turn"""
    )


def _draw(seed: int, name: bytes) -> float:
    """A number from 0 to 1 (excluded) by the hash of a name."""
    digest = hashlib.sha256(f"{seed}:".encode() + name).digest()
    return (int.from_bytes(digest[:8], "big") >> 11) * 2.0**-53


def _folder_of(name: bytes, kind: str) -> bytes:
    """What an input is grouped by: the folder of a file or an object, the host of a URL."""
    if kind == Kind.URL.value:
        return b"/".join(name.split(b"/", 3)[:3]).lower()
    return os.path.dirname(name)  # noqa: PTH120
