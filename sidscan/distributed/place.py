"""Where a run lies: a folder, or a prefix of a bucket (``s3://BUCKET/RUN``)."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TypeAlias

from platformdirs import user_data_path

from sidscan.distributed.store import FolderStore, RunStore
from sidscan.errors import OutputError
from sidscan.util.files import real_path
from sidscan.util.object_urls import ObjectUrl, is_object_url, parse_object_url

LEDGER = "run.db"

RunPlace: TypeAlias = Path | ObjectUrl
"""A folder, or a prefix of a bucket, whose key ends in a slash or is empty."""


def parse_place(text: str) -> RunPlace:
    """What a text names.

    Raises:
        ValueError: it names no bucket that can exist; the message repeats no part of it.
    """
    if not is_object_url(text):
        return Path(text)
    url = parse_object_url(text)
    key = url.key.strip("/")
    return ObjectUrl(url.scheme, url.bucket, f"{key}/" if key else "")


def absolute_location(place: RunPlace) -> str:
    """The text by which a process in any folder finds it (`parse_place`)."""
    return str(real_path(place)) if isinstance(place, Path) else str(place)


def store_at(place: RunPlace) -> RunStore:
    """The files that lie there.

    Raises:
        RuntimeUnavailable: what reads buckets is not installed.
    """
    if isinstance(place, Path):
        return FolderStore(place)
    from sidscan.distributed.object_store import ObjectStore  # here: most runs lie in folders

    return ObjectStore(place)


def ledger_path(place: RunPlace, run_id: str) -> Path:
    """The file for the ledger of a run: SQLite needs a disk, so that of a bucket is kept for this user.

    Raises:
        OutputError: there is no folder for it.
    """
    if isinstance(place, Path):
        return place / LEDGER
    name = hashlib.sha256(f"{place} {run_id}".encode()).hexdigest()[:32]
    return _user_folder() / f"{name}.db"


def _user_folder() -> Path:
    try:
        folder = user_data_path("sidscan", appauthor=False) / "runs"
        if not folder.is_absolute():  # as older versions of platformdirs say that there is no home folder
            raise RuntimeError
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except (RuntimeError, OSError) as error:
        raise OutputError(
            "there is no folder for the ledger of a run in a bucket",
            "Set XDG_DATA_HOME to a folder on a local disk; what shards published is noted there.",
        ) from error
    return folder
