"""Inventories of Amazon S3: a ``manifest.json``, and the CSV files that it names, a row for each object."""

from __future__ import annotations

import csv
import gzip
import io
import json
import zlib
from collections.abc import Iterator, Mapping
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
_NEEDED = ("Bucket", "Key")


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


def read_inventory(source: str, manifest: Mapping[str, Any]) -> Iterator[InventoryRow]:
    """The objects, in the order of the files.

    Args:
        source: the manifest, beside which the files are looked for.

    Raises:
        UsageError: a file is not there or damaged, or of another format than CSV.
    """
    if manifest.get("fileFormat") != "CSV":
        raise UsageError(f"the inventory {source} is not CSV", "Have S3 make it with the output format CSV.")
    columns = [name.strip() for name in manifest["fileSchema"].split(",")]
    if missing := [name for name in _NEEDED if name not in columns]:
        raise UsageError(f"the inventory {source} has no column {missing[0]!r}", "Have S3 make it again.")
    # All are found before the first is read, which may take hours.
    files = [_find(source, each) for each in manifest["files"]]
    for path in files:
        try:
            with gzip.open(path, "rb") as file:
                text = io.TextIOWrapper(file, "utf-8", newline="")
                for cells in csv.reader(text):
                    yield _row(dict(zip(columns, cells, strict=True)))
        except (OSError, EOFError, ValueError, zlib.error, csv.Error) as error:
            raise UsageError(f"{path} is no inventory, or damaged: {error}", "Copy it again.") from error


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
    return InventoryRow(
        cells["Bucket"], unquote_plus(cells["Key"], errors="strict"), size, _stamp(cells, size), skip
    )


def _is(cells: Mapping[str, str], name: str, value: str) -> bool:
    return cells.get(name, "").strip().lower() == value


def _stamp(cells: Mapping[str, str], size: int | None) -> str:
    etag, modified = cells.get("ETag", "").strip('"'), cells.get("LastModifiedDate", "")
    if size is None or not etag or not modified:
        return ""
    return object_stamp(size, f'"{etag}"', datetime.fromisoformat(modified.replace("Z", "+00:00")))
