"""Files of a run in a bucket: the store itself keeps one from being replaced (conditional writes)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import gettempdir

from sidscan.distributed.store import PROBE
from sidscan.errors import OutputError
from sidscan.fetch.errors import FetchError, NoSuchObject
from sidscan.fetch.object_stores import ObjectStores, StoreLimits, require_obstore
from sidscan.util.files import atomic_write
from sidscan.util.object_urls import ObjectUrl

_CONNECT, _REQUEST = 20.0, 1800.0  # seconds; results of a large shard may be a gigabyte


class ObjectStore:
    """A prefix of a bucket, as `distributed.store.RunStore`.

    Whoever uses it calls `check_writes_once` first: some servers accept a conditional write and overwrite.

    Args:
        url: its key is the prefix, which ends in a slash or is empty.

    Raises:
        RuntimeUnavailable: obstore is not installed.
    """

    def __init__(self, url: ObjectUrl) -> None:
        require_obstore()
        self.location = str(url).rstrip("/")
        self._url = url
        self._stores = ObjectStores(StoreLimits(_CONNECT, _REQUEST))

    def list(self, prefix: str) -> Iterator[str]:
        """The names that begin so, in any order."""
        folder, _, _ = prefix.rpartition("/")
        with self._errors("list", prefix):
            for each in self._stores.list(self._at(f"{folder}/" if folder else "")):
                name = each.url.removeprefix(f"{self.location}/")
                if name.startswith(prefix):
                    yield name

    def head(self, name: str) -> int | None:
        """The bytes that a file has; None if there is none."""
        with self._errors("read", name):
            try:
                return self._stores.find(self._at(name)).size
            except NoSuchObject:
                return None

    def get(self, name: str, scratch: Path) -> Path:
        """A copy in the folder ``scratch``, made once: no file of a run is ever replaced.

        Raises:
            OutputError: it is not there, or can't be read or copied.
        """
        path = scratch / name.replace("/", "-")
        if not path.exists():
            with self._errors("read", name), atomic_write(path) as partial:
                self._stores.save(self._at(name), partial)
        return path

    def put_if_absent(self, name: str, path: Path) -> bool:
        """Write a file whole, by one request that the store refuses if there is one of that name.

        One with the same bytes counts as written.

        Raises:
            OutputError: it can't be written.
        """
        with self._errors("write", name):
            return self._stores.put_if_absent(self._at(name), path)

    def _at(self, name: str) -> ObjectUrl:
        return ObjectUrl(self._url.scheme, self._url.bucket, self._url.key + name)

    @contextmanager
    def _errors(self, verb: str, name: str) -> Iterator[None]:
        where = self.location if name == PROBE else self._at(name)
        try:
            yield
        except FetchError as error:
            raise OutputError(
                f"can't {verb} {where}: {error}",
                "Check the name, and the credentials in the environment; then run it again.",
            ) from None
        except OSError as error:
            raise OutputError(
                f"can't copy {where} to {gettempdir()}: {error.strerror}",
                "Make room there, or set TMPDIR to a folder on another disk.",
            ) from error
