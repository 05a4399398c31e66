"""Where the files of a run lie: each is written once, whole, by whoever comes first, and never replaced."""

from __future__ import annotations

import errno
import os
import secrets
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

from sidscan.errors import OutputError
from sidscan.util.files import NOT_SUPPORTED, atomic_write, flush_to_disk, remove_old_leftovers, sync_folder

PROBE = "probe"
"""The file by which a store shows that it never replaces one."""
_RESULTS = "shards"
_ROOM = 1 << 20  # bytes, about what the results of a thousand inputs take
_OTHER_FOLDER = "Choose a folder on a local disk, or on a share that has hard links, such as NFS."


class RunStore(Protocol):
    """Files by their names, such as ``shards/0f.journal``."""

    location: str
    """Where it is, for messages."""

    def list(self, prefix: str) -> Iterator[str]:
        """The names that begin so, in any order."""
        ...

    def head(self, name: str) -> int | None:
        """The bytes that a file has; None if there is none."""
        ...

    def get(self, name: str, scratch: Path) -> Path:
        """A local file with its bytes: the file itself, or a copy in the folder ``scratch``.

        Raises:
            OutputError: it is not there, or can't be read.
        """
        ...

    def put_if_absent(self, name: str, path: Path) -> bool:
        """Write a file whole, unless there is one of that name; returns whether it was written.

        Where an answer may be lost, one of the same bytes may count as written.

        Raises:
            OutputError: it can't be written.
        """
        ...


class FolderStore:
    """A folder of a local disk or of a share."""

    def __init__(self, root: Path) -> None:
        self.root, self.location = root, str(root)

    def list(self, prefix: str) -> Iterator[str]:
        """The names that begin so; those of one folder.

        Raises:
            OutputError: the folder can't be read.
        """
        folder, _, start = prefix.rpartition("/")
        try:
            with os.scandir(self.root / folder) as found:
                entries = list(found)
        except FileNotFoundError:
            return
        except OSError as error:
            raise _unreadable(self.root / folder, error) from error
        for entry in entries:
            if entry.name.startswith(start) and not entry.name.startswith(".sidscan-"):
                yield f"{folder}/{entry.name}" if folder else entry.name

    def head(self, name: str) -> int | None:
        """The bytes that a file has; None if there is none."""
        try:
            return (self.root / name).stat().st_size
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            raise _unreadable(self.root / name, error) from error

    def get(self, name: str, scratch: Path) -> Path:  # noqa: ARG002  (nothing is copied)
        """The file itself."""
        path = self.root / name
        try:
            with path.open("rb"):
                return path
        except FileNotFoundError as error:
            raise OutputError(
                f"{path} is missing", "Was it moved or removed? Copy it back, or plan again."
            ) from error
        except OSError as error:
            raise _unreadable(path, error) from error

    def put_if_absent(self, name: str, path: Path) -> bool:
        """Copy a file beside its place, make it durable, and link it there: a link replaces nothing."""
        final = self.root / name
        if self.head(name) is not None:
            return False
        try:
            final.parent.mkdir(parents=True, exist_ok=True)
            remove_old_leftovers(final.parent)
            return _link(path, final)
        except OSError as error:
            if error.errno in _NO_LINKS:
                message = (
                    f"{self.location} has no hard links, so nothing keeps one shard from replacing another"
                )
                raise OutputError(message, _OTHER_FOLDER) from error
            raise OutputError(
                f"can't write {final}: {error.strerror}",
                "Make room or allow writing there, and run it again.",
            ) from error

    def check_room(self) -> None:
        """Write what results may take where they will lie, and remove it again.

        Raises:
            OutputError: it can't be written.
        """
        results = self.root / _RESULTS
        folder = results if results.is_dir() else self.root
        partial = folder / _partial_name()
        try:
            folder.mkdir(parents=True, exist_ok=True)
            try:
                partial.write_bytes(bytes(_ROOM))
                with partial.open("rb") as file:
                    flush_to_disk(file.fileno())
            finally:
                partial.unlink(missing_ok=True)
        except OSError as error:
            raise OutputError(
                f"can't write into {folder}: {error.strerror}",
                "Make room or allow writing there, or name another folder with --run.",
            ) from error

    def remove(self, name: str) -> None:
        """Remove a file, if it is there.

        Raises:
            OutputError: it can't be removed.
        """
        try:
            (self.root / name).unlink(missing_ok=True)
        except OSError as error:
            raise OutputError(
                f"can't remove {self.root / name}: {error.strerror}", "Allow writing there, and run it again."
            ) from error

    def empty(self, name: str) -> None:
        """Take the bytes of a file that nobody needs, and leave its name.

        Raises:
            OutputError: it can't be written.
        """
        path = self.root / name
        try:
            with atomic_write(path) as partial:
                partial.write_bytes(b"")
        except OSError as error:
            raise OutputError(
                f"can't write {path}: {error.strerror}", "Allow writing there, and run it again."
            ) from error


def _unreadable(path: Path, error: OSError) -> OutputError:
    return OutputError(f"can't read {path}: {error.strerror}", "Allow reading it, and run it again.")


_NO_LINKS = (*NOT_SUPPORTED, errno.EPERM)  # the latter is what Linux says of FAT


def _link(path: Path, final: Path) -> bool:
    partial = final.with_name(_partial_name())
    try:
        shutil.copyfile(path, partial)
        with partial.open("rb") as file:
            flush_to_disk(file.fileno())
        try:
            os.link(partial, final)
        except FileExistsError:
            return False
        sync_folder(final.parent)
        return True
    finally:
        partial.unlink(missing_ok=True)


def _partial_name() -> str:
    """As `atomic_write` names files, so that `remove_old_leftovers` knows them."""
    return f".sidscan-{secrets.token_hex(6)}-{secrets.token_hex(6)}"


def put_text(store: RunStore, name: str, text: str) -> bool:
    """`RunStore.put_if_absent` of a short text."""
    with tempfile.TemporaryDirectory(prefix="sidscan-put-") as scratch:
        path = Path(scratch) / "text"
        path.write_text(text, encoding="utf-8")
        return store.put_if_absent(name, path)


def get_text(store: RunStore, name: str) -> str:
    """The text of a file.

    Raises:
        OutputError: it is not there, or can't be read.
    """
    with tempfile.TemporaryDirectory(prefix="sidscan-get-") as scratch:
        try:
            return store.get(name, Path(scratch)).read_text(encoding="utf-8")
        except (OSError, ValueError) as error:
            raise OutputError(f"can't read {store.location}/{name}: {error}", "Is it damaged?") from error


def check_writable(store: RunStore) -> None:
    """Find out, before hours of work, whether results can be published.

    Raises:
        OutputError: the store can't be written, or replaces files.
    """
    if isinstance(store, FolderStore):
        store.check_room()
    check_writes_once(store)


def check_writes_once(store: RunStore) -> None:
    """Refuse a store that would replace a file.

    Raises:
        OutputError: it does, or can't be written.
    """
    put_text(store, PROBE, secrets.token_hex(16))
    second = secrets.token_hex(16)
    if put_text(store, PROBE, second) or get_text(store, PROBE) == second:
        raise OutputError(
            f"{store.location} replaces files that are there, so one machine could replace what another made",
            "Choose another place for --run: a folder, or a bucket of a store that knows conditional writes.",
        )
