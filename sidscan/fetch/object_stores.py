"""Objects of cloud stores (``s3://``, ``gs://``, ``az://``): listed, found and fetched by obstore.

Credentials, endpoint and region are those of this machine's environment, as obstore reads it
(docs/reference/object-stores.md). Answers of a store may repeat keys, and addresses may hold signatures: no
message here has any part of them, except the store's own code of an error.
"""

from __future__ import annotations

import hashlib
import importlib
import os
import re
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from email.utils import format_datetime
from pathlib import Path
from typing import Any

from sidscan.config import ScanConfig
from sidscan.errors import SidscanError
from sidscan.fetch.client import Download
from sidscan.fetch.errors import (
    AccessDenied,
    FetchError,
    Incomplete,
    NoSuchObject,
    ObjectChanged,
    StoreError,
    TimedOut,
    TooLarge,
    Unreachable,
)
from sidscan.libraries import require
from sidscan.records import Response
from sidscan.util.files import sha256_of
from sidscan.util.object_urls import (
    ListedObject,
    ObjectUrl,
    object_stamp,
    parse_object_url,
    parse_stamp,
)

NEEDS = "reading s3://, gs:// and az://"
_CLASSES = {"s3": ("S3Store", "AWS"), "gs": ("GCSStore", "GOOGLE"), "az": ("AzureStore", "AZURE")}
_PAGE = 1000  # objects that a store lists at once
_PART = 1 << 20  # bytes
_CODE = re.compile(r"<Code>([A-Za-z0-9.]{1,80})</Code>")
_STATUS = re.compile(r"status code: (\d{3})")
_NO_CREDENTIALS = re.compile(
    r"169\.254\.169\.254|metadata\.google\.internal|MissingAccount|MissingCredentials"
)
_TIMED_OUT = re.compile(r"TimedOut|timed out|kind: Timeout")
_CHANGED = "the object was changed after it was listed; scan it again"
_LIST_ENDS = (
    "the list breaks off at a key that can't be asked for: a part of it is empty, is . or .., or holds a "
    "control character"
)
_NO_KEY = "such a key can't be asked for: a part of it is empty, or is . or .."


def require_obstore() -> None:
    """Load what reads object stores.

    Raises:
        RuntimeUnavailable: it is not installed; the remedy is the command that installs it.
    """
    require(NEEDS, "obstore")


@dataclass(frozen=True, slots=True)
class StoreLimits:
    """What requests to object stores may take; a scan without options has these.

    Attributes:
        timeout: to connect, in seconds.
        total_timeout: for one object, in seconds.
        retries: after the first request.
        largest: the most bytes that `ObjectStores.get` takes, and the option that sets this limit.
    """

    timeout: float = ScanConfig.timeout
    total_timeout: float = ScanConfig.total_timeout
    retries: int = ScanConfig.retries
    largest: tuple[int, str] = (ScanConfig.max_download, "--max-download")

    @classmethod
    def of(cls, config: ScanConfig) -> StoreLimits:
        """Those of a scan."""
        return cls(config.timeout, config.total_timeout, config.retries, config.largest_download())


class ObjectStores:
    """Reads object stores, from any number of threads."""

    def __init__(self, limits: StoreLimits) -> None:
        self._limits = limits
        self._stores: dict[str, Any] = {}
        self._lock = threading.Lock()

    def look_up(self, url: ObjectUrl) -> Iterator[ListedObject]:
        """The object of a name; if there is none, all below that prefix.

        Raises:
            FetchError: as `list`.
        """
        if url.key and not url.key.endswith("/"):
            with suppress(NoSuchObject):
                yield self.find(url)
                return
        yield from self.list(url)

    def list(self, url: ObjectUrl) -> Iterator[ListedObject]:
        """All objects whose keys begin with a prefix, a page at a time, in the store's order.

        That is the order of the keys' bytes, except in directory buckets of S3 Express.

        Raises:
            FetchError: they can't be listed, or no further.
        """
        with _errors(listing=True):
            for page in self.open(url).list(url.key.rstrip("/") or None, chunk_size=_PAGE):
                for meta in page:
                    yield _listed(url, meta)

    def find(self, url: ObjectUrl) -> ListedObject:
        """A single object, by one request.

        Raises:
            FetchError: there is none, or nobody can say.
        """
        with _errors():
            return _listed(url, self.open(url).head(url.key))

    def get(self, name: str, stamp: str = "") -> Download:
        """The bytes of an object.

        Args:
            stamp: what it was when it was listed; empty takes it as it is.

        Raises:
            FetchError: the object gave no bytes, or is another one by now.
        """
        deadline = time.monotonic() + self._limits.total_timeout
        url = _parsed(name)
        for attempt in range(self._limits.retries + 1):
            try:
                return self._get(url, stamp, deadline)
            except FetchError as error:
                late = time.monotonic() >= deadline
                if not error.retryable or late or attempt == self._limits.retries:
                    raise
        raise AssertionError("the last attempt returns or raises")

    def save(self, url: ObjectUrl, path: Path) -> None:
        """Write the bytes of an object, whatever its size, to a local file.

        Raises:
            FetchError: as `get`.
            OSError: the file can't be written.
        """
        with path.open("wb") as file:
            for part in self._whole(url):
                file.write(part)

    def put_if_absent(self, url: ObjectUrl, path: Path) -> bool:
        """Make an object of a local file, by one conditional request; False if there is another one already.

        One with the same bytes may be this one, where the answer to an earlier request was lost.

        Raises:
            FetchError: it can't be written.
            OSError: the file can't be read.
        """
        already = importlib.import_module("obstore.exceptions").AlreadyExistsError
        for _ in range(self._limits.retries + 1):
            with _errors():
                try:
                    self.open(url).put(url.key, path, mode="create", use_multipart=False)
                except already:
                    pass
                else:
                    return True
            # A store may also answer so while it takes another request, which then fails.
            with suppress(NoSuchObject):
                return self._is_that_of(url, path)
        raise StoreError("the store refuses the object, and has none of that name")

    def _is_that_of(self, url: ObjectUrl, path: Path) -> bool:
        """Whether an object has the bytes of a file; it is read only if it has as many."""
        if self.find(url).size != path.stat().st_size:
            return False
        with path.open("rb") as file:
            return self.sha256(str(url)) == sha256_of(file)

    def sha256(self, name: str) -> str:
        """The hash of an object's bytes as they are now, hex; whatever its size, in little memory.

        Raises:
            FetchError: as `get`.
        """
        digest = hashlib.sha256()
        for part in self._whole(_parsed(name)):
            digest.update(part)
        return digest.hexdigest()

    def _whole(self, url: ObjectUrl) -> Iterator[bytes]:
        """All bytes of an object, in parts."""
        size = 0
        with _errors():
            result = self.open(url).get(url.key)
            for part in result.stream(min_chunk_size=_PART):
                size += len(part)
                yield bytes(part)
            if size != result.meta["size"]:
                raise Incomplete(f"{size} of {result.meta['size']} bytes came")

    def read_part(self, name: str, start: int, end: int) -> bytes:
        """Some bytes of an object, which must have so many.

        Raises:
            FetchError: as `get`.
        """
        url = _parsed(name)
        with _errors():
            return bytes(self.open(url).get_range(url.key, start=start, end=end)) if start < end else b""

    def open(self, url: ObjectUrl) -> Any:
        """obstore's own object for a bucket."""
        with self._lock:
            if url.store not in self._stores:
                self._stores[url.store] = self._new(url)
            return self._stores[url.store]

    def _new(self, url: ObjectUrl) -> Any:
        require_obstore()
        class_name, prefix = _CLASSES[url.scheme]
        make = getattr(importlib.import_module("obstore.store"), class_name)
        # Options given here replace those of the environment, so that it must be asked for this one.
        plain_http = os.environ.get(f"{prefix}_ALLOW_HTTP", "").lower() in ("1", "true", "yes", "on")
        seconds = self._limits.total_timeout
        return make(
            url.bucket,
            client_options={
                "allow_http": plain_http,
                "connect_timeout": timedelta(seconds=min(self._limits.timeout, seconds)),
                "timeout": timedelta(seconds=seconds),
            },
            retry_config={
                "max_retries": self._limits.retries,
                "retry_timeout": timedelta(seconds=seconds),
            },
        )

    def _get(self, url: ObjectUrl, stamp: str, deadline: float) -> Download:
        most, option = self._limits.largest
        known = parse_stamp(stamp)
        if known and known[0] > most:
            raise _too_large(most, option)
        etag = known[1] if known else ""
        with _errors():
            options = {"if_match": etag} if etag.startswith('"') else {}  # not a weak one
            fetched_at = datetime.now(timezone.utc)
            result = self.open(url).get(url.key, options=options)
            meta = result.meta
            if known and not _is_same(known, meta):
                raise ObjectChanged(_CHANGED)
            if meta["size"] > most:
                raise _too_large(most, option)
            parts = list(_parts(result, most, option, deadline))
            attributes = dict(result.attributes)
        data = b"".join(parts)
        if len(data) != meta["size"]:
            raise Incomplete(f"{len(data)} of {meta['size']} bytes came")
        return Download(data, _response(url, meta, attributes, fetched_at))


def _parts(result: Any, most: int, option: str, deadline: float) -> Iterator[bytes]:
    size = 0
    for part in result.stream(min_chunk_size=_PART):
        size += len(part)
        if size > most:
            raise _too_large(most, option)
        if time.monotonic() > deadline:
            raise TimedOut("it took longer than --total-timeout allows")
        yield bytes(part)


def _too_large(most: int, option: str) -> TooLarge:
    return TooLarge(f"larger than {most} bytes; raise the limit with {option}")


def _listed(url: ObjectUrl, meta: Any) -> ListedObject:
    stamp = object_stamp(meta["size"], meta["e_tag"] or "", meta["last_modified"])
    return ListedObject(f"{url.store}/{meta['path']}", meta["size"], stamp)


def _is_same(known: tuple[int, str, datetime], meta: Any) -> bool:
    """Whether an answer is of the object that was listed; no answer has the parts of a second in a list."""
    size, etag, modified = known
    if size != meta["size"]:
        return False
    if etag and meta["e_tag"]:
        return _bare(etag) == _bare(meta["e_tag"])
    return int(modified.timestamp()) == int(meta["last_modified"].timestamp())


def _bare(etag: str) -> str:
    return etag.removeprefix("W/").strip('"')


def _parsed(name: str) -> ObjectUrl:
    try:
        return parse_object_url(name)
    except ValueError as error:
        raise NoSuchObject(str(error)) from None


def _response(url: ObjectUrl, meta: Any, attributes: Any, fetched_at: datetime) -> Response:
    headers = {
        "content-type": str(attributes.get("Content-Type", ""))[:1000],
        "content-length": str(meta["size"]),
        "last-modified": format_datetime(meta["last_modified"].astimezone(timezone.utc), usegmt=True),
        "etag": str(meta["e_tag"] or "")[:1000],
    }
    return Response(
        final_url=str(url),
        fetched_at=fetched_at.isoformat(timespec="seconds"),
        headers={name: value for name, value in headers.items() if value},
    )


@contextmanager
def _errors(listing: bool = False) -> Iterator[None]:
    """Turn obstore's errors into `FetchError`; none of their text stays."""
    try:
        yield
    except (FetchError, SidscanError):
        raise
    except Exception as error:
        raise _translated(error, listing) from None


def _translated(error: Exception, listing: bool) -> FetchError:
    kind, text = type(error).__name__, str(error)
    status, code = _STATUS.search(text), _CODE.search(text)
    shown = ", ".join([*(f"HTTP {found[1]}" for found in [status] if found), *(c[1] for c in [code] if c)])
    if code and code[1] in ("NoSuchBucket", "ContainerNotFound"):
        return NoSuchObject("there is no such bucket")
    if isinstance(error, FileNotFoundError):
        return NoSuchObject("the store has no such object")
    if kind == "PreconditionError":
        return ObjectChanged(_CHANGED)
    if _NO_CREDENTIALS.search(text):
        return AccessDenied("the environment has no credentials for this store")
    if kind in ("PermissionDeniedError", "UnauthenticatedError") or (status and status[1] in ("401", "403")):
        return AccessDenied(f"the store refuses access ({shown or kind})")
    if kind == "InvalidPathError" or isinstance(error, ValueError):
        return StoreError(_LIST_ENDS if listing else _NO_KEY)
    return _unclear(text, shown)


def _unclear(text: str, shown: str) -> FetchError:
    if "BadScheme" in text:
        return StoreError("the endpoint is http:// and not https://; set AWS_ALLOW_HTTP=true to permit that")
    if "configured region" in text:
        return StoreError("the bucket is in another region; set AWS_REGION")
    if shown:
        return StoreError(f"the store answers with an error ({shown})")
    if _TIMED_OUT.search(text):
        return TimedOut("the store took too long; raise the limit with --total-timeout")
    return Unreachable("no connection to the store, or it broke")
