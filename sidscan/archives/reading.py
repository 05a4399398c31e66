"""Open an archive: list its members, find one, read its bytes."""

from __future__ import annotations

import os
import posixpath
import re
import threading
import zlib
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from typing import BinaryIO, NamedTuple

from sidscan.archives import parquet, warc
from sidscan.archives.entries import (
    ArchiveEntry,
    ArchiveError,
    NoSuchMember,
    Packing,
    Problem,
    Span,
    archive_stamp,
)
from sidscan.archives.tar_headers import NOT_A_TAR, read_headers
from sidscan.archives.unpack import (
    CHUNK,
    DAMAGE,
    SolidStream,
    is_compressed,
    is_of_system,
    unpacked,
    zip_unpacker,
)
from sidscan.archives.zip_directory import SPLIT, ends_with_directory, parse_local, read_directory
from sidscan.archives.zip_recovery import recover
from sidscan.util.files import open_file
from sidscan.util.magic import SIGNATURE_BYTES
from sidscan.util.member_names import find_archive, split_member_name

CHANGED = "the archive was changed after it was listed; scan it again"
DAMAGED = "the archive is damaged or cut off there: "
EMPTY_FILE = "the file is empty"
NO_ARCHIVE = "its content is neither a zip nor a tar archive, or damaged at its start"
WEB_PAGE = "it is a web page, as a failed download leaves it; download it again"
_START = 512  # bytes that tell kinds of archives apart
_FIRST_PART = b"PK\x07\x08"
_TAR = re.compile(rb".{257}ustar", re.DOTALL)
_HTML = re.compile(rb"(?:\xef\xbb\xbf)?\s*<(?:!doctype\s+html|html)\b", re.IGNORECASE)
_MOST_CHARACTERS = 4096  # of a name: as many as a path of Linux has bytes
_local = threading.local()

WantsHead = Callable[[str], bool]
"""Whether the first bytes of a member of this name are asked for."""


class Member(NamedTuple):
    """A member of an archive that can be read.

    Attributes:
        stamp: the archive's `archive_stamp` when it was listed; None if nobody knows it.
    """

    archive: str
    span: Span
    stamp: str | None = None

    def read(self) -> Iterator[bytes]:
        """As `read_member`."""
        return read_member(self.archive, self.span, self.stamp)

    def capture(self) -> warc.Capture | None:
        """Where and when a crawler got it; None in other archives.

        Raises:
            Exception: as `read`.
        """
        if self.span.packing is not Packing.WARC:
            return None
        with open_file(self.archive) as file:
            _check_unchanged(file, self.stamp)
            return warc.read_capture(file, self.span.offset)


def list_entries(path: str, wants_head: WantsHead = lambda _: False) -> Iterator[ArchiveEntry]:
    """All members of an archive, each with a name of its own.

    What is to say of the archive as a whole comes last, in an entry without a name.

    Raises:
        OSError: it can't be opened.
    """
    with open_file(path) as file:
        taken: set[str] = set()
        try:
            for entry in _entries(file, wants_head):
                yield replace(entry, name=_own_name(entry.name, taken))
        except ArchiveError as error:
            yield ArchiveEntry("", problem=str(error))


def find_entry(path: str, inner: str) -> ArchiveEntry:
    """The member with a name that `list_entries` gives; lists the archive, once for many members.

    Raises:
        ArchiveError: there is none.
        OSError: the archive can't be opened.
    """
    stamp = archive_stamp(os.stat(path))  # noqa: PTH116  (Path would normalise the name)
    if getattr(_local, "listed", None) != (path, stamp):
        _local.entries = {entry.name: entry for entry in list_entries(path) if entry.name}
        _local.listed = (path, stamp)
    entry = _local.entries.get(inner)
    if entry is None:
        raise NoSuchMember("the archive has no such member")
    assert isinstance(entry, ArchiveEntry)
    return entry


def open_member(name: str, fingerprint: str = "") -> Member:
    """Find a member by its full name.

    Args:
        fingerprint: as `fingerprint_of` gave it, which saves listing the archive.

    Raises:
        ArchiveError: there is no such member, or it can't be read.
        OSError: the archive can't be opened.
    """
    archive, inner = find_archive(name) or split_member_name(name) or (name, "")
    stamp, _, span = fingerprint.partition("|")
    if span:
        return Member(archive, Span.parse(span), stamp)
    entry = find_entry(archive, inner)
    if entry.span is None:
        raise ArchiveError(entry.problem)
    return Member(archive, entry.span, stamp or None)


def read_member(path: str, span: Span, stamp: str | None = None) -> Iterator[bytes]:
    """The bytes of a member, in parts.

    In a compressed tar, members should be read in their order: going back means to start again.

    Args:
        stamp: the archive's `archive_stamp` when it was listed; None does not compare.

    Raises:
        ArchiveError: the member is damaged, or the archive changed.
        OSError: the archive can't be opened.
    """
    size, crc = 0, 0
    try:
        for part in _parts(path, span, stamp):
            size, crc = size + len(part), zlib.crc32(part, crc)
            if size > span.size:
                raise ArchiveError("it unpacks to more than the archive states, as a bomb does")
            yield part
    except ArchiveError:
        raise
    except DAMAGE as error:
        if is_of_system(error):
            raise
        raise ArchiveError(f"{DAMAGED}{error}") from error
    if size < span.size:
        raise ArchiveError(f"{DAMAGED}it unpacks to less than the archive states")
    if span.crc not in (-1, crc):
        raise ArchiveError(f"{DAMAGED}its checksum is not the one that the archive states")


def _own_name(name: str, taken: set[str]) -> str:
    """A name that no other member has: of members with one name, later ones get a number."""
    name = name.replace("\0", "\\0")  # no name of a file holds NUL, and no list of names could
    if len(name) > _MOST_CHARACTERS:  # its end says what it is
        name = f"{name[: _MOST_CHARACTERS // 2]}...{name[-_MOST_CHARACTERS // 2 :]}"
    stem, suffix = posixpath.splitext(name)
    own, number = name, 1
    while own in taken:
        number += 1
        own = f"{stem} ({number}){suffix}"
    taken.add(own)
    return own


def _entries(file: BinaryIO, wants_head: WantsHead) -> Iterator[ArchiveEntry]:
    start = file.read(_START)
    file.seek(0)
    if start.startswith(parquet.SIGNATURE):
        yield from parquet.read_cells(file)
    elif warc.is_warc(start):
        yield from warc.read_records(file)
    elif is_compressed(start):
        with closing(SolidStream(file)) as stream:
            yield from read_headers(stream, Packing.SOLID, wants_head)
    elif start.startswith(b"PK") or (not _TAR.match(start) and ends_with_directory(file)):
        for entry in _zip_entries(file, start):
            yield _with_head(file, entry) if wants_head(entry.name) else entry
    else:
        yield from _tar_entries(file, start, wants_head)


def _tar_entries(file: BinaryIO, start: bytes, wants_head: WantsHead) -> Iterator[ArchiveEntry]:
    """Of a tar, or of what only has the name of an archive."""
    file.seek(0)
    try:
        yield from read_headers(file, Packing.TAR, wants_head)
    except ArchiveError as error:
        if str(error) != NOT_A_TAR:
            raise
        words = WEB_PAGE if _HTML.match(start) else NO_ARCHIVE if start else EMPTY_FILE
        raise ArchiveError(words) from error


def _zip_entries(file: BinaryIO, start: bytes) -> Iterator[ArchiveEntry]:
    """Of a zip; from the headers of its members where the directory is missing or damaged at its start."""
    count = 0
    try:
        for entry in read_directory(file):
            count += 1
            yield entry
    except ArchiveError as error:
        if count or str(error) == SPLIT:
            raise
        if start.startswith(_FIRST_PART):
            raise ArchiveError(SPLIT) from error
        for entry in recover(file):
            count += entry.span is not None
            yield entry
        found = "1 whole member was" if count == 1 else f"{count} whole members were"
        raise ArchiveError(f"{error}; {found} found without it") from error


def _with_head(file: BinaryIO, entry: ArchiveEntry) -> ArchiveEntry:
    if entry.span is None:
        return entry
    try:
        head = next(_zip_content(file, entry.span, SIGNATURE_BYTES), b"")
    except (ArchiveError, *DAMAGE) as error:
        if is_of_system(error):
            raise
        words = str(error) if isinstance(error, ArchiveError) else f"{DAMAGED}{error}"
        return replace(entry, span=None, problem=words)
    return replace(entry, head=head)


def _zip_content(file: BinaryIO, span: Span, part_bytes: int = CHUNK) -> Iterator[bytes]:
    """A member's content, in parts."""
    _, start = parse_local(file, span.offset)
    if start + span.packed > span.bound:
        raise ArchiveError(Problem.OVERLAPPING.value)
    yield from unpacked(file, span.packed, zip_unpacker(span.method), part_bytes)


def _parts(path: str, span: Span, stamp: str | None) -> Iterator[bytes]:
    if span.packing is Packing.SOLID:
        stream = _solid_stream(path, span.offset, stamp)
        stream.skip_to(span.offset)
        yield from unpacked(stream, span.size, None)
        return
    if span.packing is Packing.PARQUET:
        yield from _cell_stream(path, span, stamp).read(span.offset)
        return
    with open_file(path) as file:
        _check_unchanged(file, stamp)
        if span.packing is Packing.ZIP:
            yield from _zip_content(file, span)
        elif span.packing is Packing.WARC:
            yield from warc.read_payload(file, span.offset)
        else:
            file.seek(span.offset)
            yield from unpacked(file, span.size, None)


def _solid_stream(path: str, offset: int, stamp: str | None) -> SolidStream:
    """The stream that this thread read last, if it goes on from there; else a new one."""
    stream: SolidStream | None = getattr(_local, "stream", None)
    if stream is not None and _local.path == path and stream.position <= offset:
        _check_unchanged(stream.file, stamp)
        return stream
    if stream is not None:
        stream.close()
    file = open_file(path)
    _local.stream, _local.path = SolidStream(file), path
    _check_unchanged(file, stamp)
    return _local.stream  # type: ignore[no-any-return]


def _cell_stream(path: str, span: Span, stamp: str | None) -> parquet.CellStream:
    """The cells that this thread read last, if they go on from there; else new ones."""
    stream: parquet.CellStream | None = getattr(_local, "cells", None)
    if stream and _local.cells_of == path and stream.index == span.bound and stream.row <= span.offset:
        _check_unchanged(stream.file, stamp)
        return stream
    if stream:
        stream.close()
        _local.cells = None
    file = open_file(path)
    _check_unchanged(file, stamp)
    _local.cells, _local.cells_of = parquet.CellStream(file, span.bound, span.offset), path
    return _local.cells  # type: ignore[no-any-return]


def _check_unchanged(file: BinaryIO, stamp: str | None) -> None:
    if stamp not in (None, archive_stamp(os.fstat(file.fileno()))):
        raise ArchiveError(CHANGED)
