"""The files of an image's map: ``SHA256.map.png``, ``.mask.png`` and ``.overlay.png``, in a folder.

They are named by the sha256 of the image's bytes and written whole or not at all. A file that is there is
replaced only if its run wrote it, byte for byte.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Protocol

from sidscan.errors import OutputError
from sidscan.util.files import atomic_write, content_sha256, open_file
from sidscan.util.own_maps import SUFFIXES, states_sidscan

_HEAD_BYTES = 1024  # hold what `drawings` writes before the pixels


class FilesRecord(Protocol):
    """What knows which files a run wrote; `journal.Journal` does."""

    def map_file_digests(self, path: Path) -> Collection[str]:
        """The sha256 of what the run last wrote there."""
        ...

    def expect_map_file(self, path: Path, sha256: str) -> None:
        """Note what is about to be written."""
        ...

    def confirm_map_file(self, path: Path, sha256: str) -> None:
        """Note that it was."""
        ...


def check_folder(folder: Path) -> None:
    """Refuse, before hours of work, a folder in which nobody can write; nothing is made yet.

    Raises:
        OutputError: neither can files be written there, nor can it be made.
    """
    there = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    if not (there.is_dir() and os.access(there, os.W_OK | os.X_OK)):
        raise OutputError(f"can't write files in the folder {folder}", "Choose another --out-dir.")


class MapFiles:
    """The files in one folder.

    Args:
        record: of the run that writes them.
        overwrite: replace whatever is there.
    """

    def __init__(self, folder: Path, record: FilesRecord, overwrite: bool = False) -> None:
        self.folder, self._record, self._overwrite = folder, record, overwrite

    def prepare(self) -> None:
        """Make the folder.

        Raises:
            OutputError: there is something else, or it can't be made.
        """
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise OutputError(
                f"can't make the folder {self.folder}: {error.strerror}", "Choose another --out-dir."
            ) from error

    def paths(self, sha256: str) -> Iterator[Path]:
        """The files of an image, by the sha256 of its bytes."""
        return (self.folder / f"{sha256}{suffix}" for suffix in SUFFIXES)

    def are_there(self, sha256: str) -> bool:
        """Whether the run wrote all files of an image, and nobody changed them since."""
        return all(self._content(path) in self._record.map_file_digests(path) for path in self.paths(sha256))

    def check(self, sha256: str, localizer: str) -> None:
        """Refuse, before an image is read, what could not be written in the end.

        The map that another run made with the same localizer may turn out to be the same, byte for byte.

        Args:
            localizer: its digest.

        Raises:
            OutputError: somebody else's file is there.
        """
        for path in () if self._overwrite else self.paths(sha256):
            content = self._content(path)
            known = self._record.map_file_digests(path)
            if content is not None and content not in known and (known or not _is_map(path, localizer)):
                raise _foreign(path)

    def write(self, sha256: str, contents: Mapping[str, bytes]) -> None:
        """Write the files of an image.

        Args:
            contents: by suffix.

        Raises:
            OutputError: one can't be written, or somebody else's file is there.
        """
        for suffix, data in contents.items():
            path, digest = self.folder / f"{sha256}{suffix}", hashlib.sha256(data).hexdigest()
            content = self._content(path)
            known = self._record.map_file_digests(path)
            if content is not None and content not in (digest, *known) and not self._overwrite:
                raise _foreign(path)
            self._record.expect_map_file(path, digest)
            if content != digest:
                self._replace(path, data)
            self._record.confirm_map_file(path, digest)

    def _replace(self, path: Path, data: bytes) -> None:
        try:
            with atomic_write(path) as partial:
                partial.write_bytes(data)
        except OSError as error:
            raise OutputError(f"can't write {path}: {error.strerror}", "Choose another --out-dir.") from error

    def _content(self, path: Path) -> str | None:
        try:
            return content_sha256(path)
        except OSError as error:
            raise OutputError(f"can't read {path}: {error.strerror}", "Choose another --out-dir.") from error


def _is_map(path: Path, localizer: str) -> bool:
    """Whether a file says that sidscan made it with this localizer."""
    with open_file(path) as file:
        head = file.read(_HEAD_BYTES)
    return states_sidscan(head) and f"({localizer})".encode() in head


def _foreign(path: Path) -> OutputError:
    return OutputError(
        f"{path} is there, and this run did not write it as it is; it is left alone",
        "Choose another --out-dir, or replace it with --overwrite.",
    )
