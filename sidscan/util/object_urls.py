"""Names of objects in cloud stores: ``s3://BUCKET/KEY``, ``gs://BUCKET/KEY`` and ``az://CONTAINER/KEY``."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime, timezone

SCHEMES = ("s3", "gs", "az")
_URL = re.compile(r"(s3|gs|az)://([^/]*)/?(.*)", re.IGNORECASE | re.DOTALL)
_BUCKET = re.compile(r"[A-Za-z0-9$](?:[A-Za-z0-9_-]|\.(?!\.)){1,221}")  # of all three stores, old S3 included


@dataclass(frozen=True, slots=True)
class ObjectUrl:
    """A bucket, and a key or the start of keys in it; the latter ends in ``/`` or is empty."""

    scheme: str
    bucket: str
    key: str

    def __str__(self) -> str:
        return f"{self.store}/{self.key}"

    @property
    def store(self) -> str:
        """The bucket's own URL, without a slash at its end."""
        return f"{self.scheme}://{self.bucket}"


@dataclass(frozen=True, slots=True)
class ListedObject:
    """An object, as a listing states it.

    Attributes:
        url: its name, ``s3://BUCKET/KEY``.
        stamp: by which a later scan sees whether it changed (`object_stamp`).
    """

    url: str
    size: int
    stamp: str


def is_object_url(name: str) -> bool:
    """Whether a name is one of an object store, well formed or not."""
    return _URL.match(name) is not None


def parse_object_url(name: str) -> ObjectUrl:
    """The parts of a name.

    Raises:
        ValueError: it names no bucket that can exist; the message repeats no part of it.
    """
    match = _URL.fullmatch(name)
    if not match or not _BUCKET.fullmatch(match[2]):
        raise ValueError("it names no bucket")
    return ObjectUrl(match[1].lower(), match[2], match[3])


def object_stamp(size: int, etag: str, modified: datetime) -> str:
    """Size, ETag and time of modification, as one text."""
    return f"{size}:{etag}:{round(modified.timestamp() * 1000)}"


def parse_stamp(stamp: str) -> tuple[int, str, datetime] | None:
    """The inverse of `object_stamp`; None for a text that is none, such as an empty one."""
    size, _, rest = stamp.partition(":")
    etag, _, milliseconds = rest.rpartition(":")
    if not (size.isdigit() and milliseconds.lstrip("-").isdigit()):
        return None
    try:
        return int(size), etag, datetime.fromtimestamp(int(milliseconds) / 1000, timezone.utc)
    except (ValueError, OverflowError, OSError):
        return None
