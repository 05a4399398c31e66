"""Small images in the record of a run (WebP), for reports that show images. Equal bytes have one of each."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from sidscan.config import MOST_CROPS
from sidscan.journal.tables import SHA256
from sidscan.records import Item, Kind

CREATE = """CREATE TABLE IF NOT EXISTS thumbnails (sha256 TEXT PRIMARY KEY, webp BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS crops (
    sha256 TEXT PRIMARY KEY, view TEXT NOT NULL, webp BLOB NOT NULL
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS second_images (sha256 TEXT PRIMARY KEY, webp BLOB NOT NULL) WITHOUT ROWID;
"""
EMPTY = "DELETE FROM thumbnails; DELETE FROM crops; DELETE FROM second_images;"
STRENGTH = "strength(json_extract(finding, '$.scores'))"
"""Orders results (`records.strength`); a function that `Journal` gives SQLite."""
_STRONGEST = f"""SELECT max({STRENGTH}) AS strength, {SHA256} AS sha256 FROM items
    WHERE status = 'scored' AND sha256 IS NOT NULL GROUP BY sha256 ORDER BY strength DESC, sha256 LIMIT ?"""  # noqa: S608

_READS_CROPS = """EXISTS (SELECT 1 FROM json_each(finding, '$.scores')
    WHERE coalesce(json_extract(value, '$.model_input'), '') = '')"""
_HASH = "json_extract(finding, '$.facts.perceptual_hash')"
_LACKING = f"""SELECT min(position) AS position, name, kind, stamp, {SHA256} AS sha256,
    json_extract(finding, '$.facts.response.saved_as') AS saved_as FROM items
    WHERE status = 'scored' AND sha256 IS NOT NULL AND (kind != 'url' OR saved_as IS NOT NULL)
    AND ((:thumbnails AND sha256 NOT IN (SELECT sha256 FROM thumbnails)) OR (:hashes AND {_HASH} IS NULL)
        OR (:thumbnails AND sha256 IN (SELECT sha256 FROM ({_STRONGEST.replace("?", ":most")}))
            AND sha256 NOT IN (SELECT sha256 FROM crops) AND {_READS_CROPS}))
    GROUP BY sha256 ORDER BY 1"""  # noqa: S608

Crops = Mapping[str, tuple[str, bytes]]
"""By the sha256 of the image's bytes: which view (`images.crops.VIEW_NAMES`), and its pixels as WebP."""


@dataclass(frozen=True, slots=True)
class ImageToRead:
    """An image whose result is kept and lacks what reports show.

    Attributes:
        position: of its row.
        sha256: of the bytes that were scored, hex.
        item: what reads these bytes; of a URL, the file that keeps them.
    """

    position: int
    name: str
    sha256: str
    item: Item


@dataclass
class Additions:
    """What was made of images whose results are kept, by the sha256 of their bytes."""

    thumbnails: dict[str, bytes] = field(default_factory=dict)
    crops: dict[str, tuple[str, bytes]] = field(default_factory=dict)
    hashes: dict[str, str] = field(default_factory=dict)
    second_images: dict[str, bytes] = field(default_factory=dict)

    def __len__(self) -> int:
        return max(len(self.thumbnails), len(self.hashes))


def list_lacking(database: sqlite3.Connection, thumbnails: bool, hashes: bool) -> int:
    """List images that were scored and lack a thumbnail, or the hash of what they show; of equal bytes one.

    With thumbnails also the strongest images that lack a crop, as when stronger ones went; where models read
    no crops, none is kept.

    Returns their number. The list is a temporary table: there may be a million of them.
    """
    database.execute("DROP TABLE IF EXISTS temp.lacking")
    values = {"thumbnails": thumbnails, "hashes": hashes, "most": MOST_CROPS}
    database.execute(f"CREATE TEMP TABLE lacking AS {_LACKING}", values)
    return int(database.execute("SELECT count(*) FROM temp.lacking").fetchone()[0])


def listed(database: sqlite3.Connection) -> Iterator[ImageToRead]:
    """The images of `list_lacking`, in the order of the inputs."""
    last = 0
    query = """SELECT rowid, position, name, kind, stamp, sha256, saved_as FROM temp.lacking
        WHERE rowid > ? LIMIT 1000"""
    while rows := database.execute(query, (last,)).fetchall():
        for last, position, name, kind, stamp, sha256, saved_as in rows:  # noqa: B007  (the query reads it)
            path = os.fsdecode(name)
            item = Item(saved_as) if kind == Kind.URL.value else Item(path, Kind(kind), stamp)
            yield ImageToRead(position, path, sha256, item)


def add_hashes(database: sqlite3.Connection, hashes: Mapping[str, str]) -> None:
    """Add hashes to the results of images, by the sha256 of their bytes."""
    query = f"""UPDATE items SET finding = json_set(finding, '$.facts.perceptual_hash', ?)
        WHERE status = 'scored' AND {SHA256} = ?"""  # noqa: S608
    database.executemany(query, ((value, sha256) for sha256, value in hashes.items()))


def keep(
    database: sqlite3.Connection,
    thumbnails: Mapping[str, bytes],
    crops: Crops,
    second_images: Mapping[str, bytes],
) -> None:
    """Record thumbnails and second images, by the sha256 of the images' bytes, and crops."""
    database.executemany("INSERT OR REPLACE INTO thumbnails VALUES (?, ?)", thumbnails.items())
    database.executemany("INSERT OR REPLACE INTO second_images VALUES (?, ?)", second_images.items())
    rows = ((sha256, *crop) for sha256, crop in crops.items())
    database.executemany("INSERT OR REPLACE INTO crops VALUES (?, ?, ?)", rows)


def strongest(database: sqlite3.Connection) -> list[tuple[float, str]]:
    """Strength and sha256 of the images of which crops are kept, so far."""
    return database.execute(_STRONGEST, (MOST_CROPS,)).fetchall()


def purge(database: sqlite3.Connection) -> None:
    """Delete small images of what has no score any more, and crops of images that fell behind."""
    current = f"SELECT {SHA256} FROM items WHERE status = 'scored'"  # noqa: S608
    for table in ("thumbnails", "second_images"):
        database.execute(f"DELETE FROM {table} WHERE sha256 NOT IN ({current})")  # noqa: S608
    if database.execute("SELECT EXISTS (SELECT 1 FROM crops)").fetchone()[0]:
        kept = f"SELECT sha256 FROM ({_STRONGEST})"  # noqa: S608
        database.execute(f"DELETE FROM crops WHERE sha256 NOT IN ({kept})", (MOST_CROPS,))  # noqa: S608
