"""The bytes of files and of members of archives, ``ARCHIVE!/MEMBER``: cells of Parquet, images in a zip."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path

from sidscan.archives.entries import ArchiveEntry, ArchiveError, Span, archive_stamp
from sidscan.archives.reading import list_entries, read_member
from sidscan.util.member_names import find_archive

_MOST_ARCHIVES = 64  # whose lists of members are kept
_lock = threading.Lock()


def read_content(path: Path) -> bytes:
    """All bytes of a file or member.

    Raises:
        OSError: it can't be read, or there is no such member.
    """
    member = find_archive(str(path))
    if member is None:
        return path.read_bytes()
    try:
        return b"".join(read_member(member[0], _span(*member)))
    except ArchiveError as error:
        raise OSError(str(error)) from error


def content_size(path: Path) -> int:
    """Bytes of a file or member.

    Raises:
        OSError: it can't be read, or there is no such member.
    """
    member = find_archive(str(path))
    return path.stat().st_size if member is None else _span(*member).size


def has_content(path: Path) -> bool:
    """Whether there is such a file or member."""
    member = find_archive(str(path))
    if member is None:
        return path.is_file()
    try:
        _span(*member)
    except OSError:
        return False
    return True


def _span(archive: str, inner: str) -> Span:
    entry = _members(archive).get(inner)
    if entry is None or entry.span is None:
        raise OSError(entry.problem if entry else f"{archive} has no member {inner}")
    return entry.span


def _members(archive: str) -> Mapping[str, ArchiveEntry]:
    with _lock:  # so that no two threads list one archive
        return _listed(archive, archive_stamp(Path(archive).stat()))


@lru_cache(_MOST_ARCHIVES)
def _listed(archive: str, stamp: str) -> Mapping[str, ArchiveEntry]:  # noqa: ARG001  (if it changes, again)
    return {entry.name: entry for entry in list_entries(archive) if entry.name}
