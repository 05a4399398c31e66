"""Inventories of Amazon S3: a ``manifest.json``, and the files that it names, with a row for each object.

The files are CSV, or Parquet, which a process of its own reads.
"""

from __future__ import annotations

import csv
import gzip
import io
import json
import re
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import unquote_plus

from sidscan.errors import UsageError
from sidscan.util.files import open_file
from sidscan.util.object_urls import object_stamp

DELETED = "the inventory says that it was deleted"
OLDER = "an older version of an object; only the current one is read"
_MOST_MANIFEST = 64 << 20  # bytes
_LONGEST_ROW = 1 << 20  # characters; a key has 1024 bytes, lists of permissions some thousands
_MOST_UNPACKED = 250  # times the size of a file; gzip packs usual rows 16 to 50 times, with longest keys 212
_COLUMNS = {
    "Bucket": "bucket",
    "Key": "key",
    "IsLatest": "is_latest",
    "IsDeleteMarker": "is_delete_marker",
    "Size": "size",
    "LastModifiedDate": "last_modified_date",
    "ETag": "e_tag",
}
"""Names of the columns that are read, in CSV and in Parquet."""
_PARQUET_FIELD = re.compile(r"(?:required|optional)\s+\w+\s+(\w+)")

ReadRows = Callable[[str, Sequence[str]], Iterator[list[str]]]
"""Reads columns of a Parquet file as texts (`isolation.archives.ArchiveReader.read_rows`)."""


@dataclass(frozen=True, slots=True)
class InventoryRow:
    """An object, as an inventory states it.

    Attributes:
        stamp: as a listing would give it (`object_stamp`); empty where a column for it is missing.
        size: None where the inventory does not state it.
        skip: why it is not read; empty if it is.
    """

    bucket: str
    key: str
    size: int | None
    stamp: str
    skip: str


def read_manifest(source: str) -> Mapping[str, Any] | None:
    """The manifest of an inventory; None if the file is none."""
    if not source.lower().endswith(".json"):
        return None
    try:
        with open_file(source) as file:
            manifest = json.loads(file.read(_MOST_MANIFEST))
    except (OSError, ValueError, RecursionError):
        return None  # reading it as a list says what is wrong
    has_parts = isinstance(manifest, dict) and isinstance(manifest.get("fileSchema"), str)
    return manifest if has_parts and isinstance(manifest.get("files"), list) else None


def read_inventory(
    source: str, manifest: Mapping[str, Any], read_rows: ReadRows | None
) -> Iterator[InventoryRow]:
    """The objects, in the order of the files.

    Args:
        source: the manifest, beside which the files are looked for.
        read_rows: None leaves out Parquet files, which are only looked for.

    Raises:
        UsageError: a file is not there or damaged, or of another format.
    """
    schema, is_parquet = manifest["fileSchema"], manifest.get("fileFormat") == "Parquet"
    if manifest.get("fileFormat") not in ("CSV", "Parquet"):
        raise UsageError(
            f"the inventory {source} is neither CSV nor Parquet",
            "Have S3 make it with the output format CSV.",
        )
    columns = _PARQUET_FIELD.findall(schema) if is_parquet else [name.strip() for name in schema.split(",")]
    for name in (_COLUMNS[each] if is_parquet else each for each in ("Bucket", "Key")):
        if name not in columns:
            raise UsageError(f"the inventory {source} has no column {name!r}", "Have S3 make it again.")
    # All are found before the first is read, which may take hours.
    files = [_find(source, each) for each in manifest["files"]]
    for path in files:
        try:
            if not is_parquet:
                yield from _rows_of_csv(path, columns)
            elif read_rows is not None:
                names = {name: stored for name, stored in _COLUMNS.items() if stored in columns}
                for cells in read_rows(str(path), list(names.values())):
                    yield _row(dict(zip(names, cells, strict=True)))
        except (OSError, EOFError, ValueError, zlib.error, csv.Error) as error:
            raise UsageError(f"{path} is no inventory, or damaged: {error}", "Copy it again.") from error


def _rows_of_csv(path: Path, columns: Sequence[str]) -> Iterator[InventoryRow]:
    most = path.stat().st_size * _MOST_UNPACKED + _LONGEST_ROW
    with gzip.open(path, "rb") as file:
        lines = _Lines(io.TextIOWrapper(file, "utf-8", newline=""), most)
        for values in csv.reader(lines):
            lines.of_row = 0
            cells = dict(zip(columns, values, strict=True))
            # Keys are URL-encoded in CSV alone; a blank may be written as a plus sign.
            yield _row({**cells, "Key": unquote_plus(cells["Key"], errors="strict")})


class _Lines:
    """The lines of a file that may have been made to unpack to endless ones.

    Args:
        most: characters of all.

    Attributes:
        of_row: characters of the row that is read; whoever reads sets it to 0 after each.
    """

    def __init__(self, text: io.TextIOWrapper, most: int) -> None:
        self._text, self._most, self.of_row = text, most, 0

    def __iter__(self) -> Iterator[str]:
        total = 0
        while line := self._text.readline(_LONGEST_ROW):
            total += len(line)
            self.of_row += len(line)
            if self.of_row >= _LONGEST_ROW:
                raise ValueError(f"a row of it has more than {_LONGEST_ROW} characters")
            if total > self._most:
                raise ValueError(f"it unpacks to more than {_MOST_UNPACKED} times its size")
            yield line


def _find(source: str, stated: object) -> Path:
    """A file of an inventory: in the folder ``data`` beside the manifest's own, as S3 has it, or close by."""
    key = stated.get("key") if isinstance(stated, dict) else None
    name = str(key).rpartition("/")[2]
    folder = Path(source).parent
    for each in (folder.parent / "data" / name, folder / "data" / name, folder / name):
        if name and each.is_file():
            return each
    raise UsageError(
        f"{name or 'a file'} of the inventory {source} is not there",
        "Copy the folder `data` of the inventory beside that of the manifest, or its files beside it.",
    )


def _row(cells: Mapping[str, str]) -> InventoryRow:
    size = int(cells["Size"]) if cells.get("Size") else None
    skip = DELETED if _is(cells, "IsDeleteMarker", "true") else ""
    if _is(cells, "IsLatest", "false"):
        skip = OLDER
    return InventoryRow(cells["Bucket"], cells["Key"], size, _stamp(cells, size), skip)


def _is(cells: Mapping[str, str], name: str, value: str) -> bool:
    return cells.get(name, "").strip().lower() == value


def _stamp(cells: Mapping[str, str], size: int | None) -> str:
    etag, modified = cells.get("ETag", "").strip('"'), cells.get("LastModifiedDate", "")
    if size is None or not etag or not modified:
        return ""
    return object_stamp(size, f'"{etag}"', datetime.fromisoformat(modified.replace("Z", "+00:00")))
