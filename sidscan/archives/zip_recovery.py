"""The members of a zip without a directory, as in a download that was cut off, from their own headers."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from typing import BinaryIO

from sidscan.archives.entries import ArchiveEntry, ArchiveError, Problem
from sidscan.archives.unpack import DAMAGE, unpacked, zip_unpacker
from sidscan.archives.zip_directory import (
    DESCRIPTOR,
    ENCRYPTED,
    LOCAL_SIGNATURE,
    METHODS,
    ZipHeader,
    parse_local,
    problem_of,
    span_of,
)

_DESCRIPTOR_BYTES = 24  # at most (APPNOTE 4.3.9)


def recover(file: BinaryIO) -> Iterator[ArchiveEntry]:
    """All members from the start on, until one is cut off or its end can't be found."""
    length, at = file.seek(0, 2), 0
    while True:
        try:
            header, start = parse_local(file, at)
        except ArchiveError:
            return
        if header.flags & DESCRIPTOR and not header.packed and not header.name.endswith("/"):
            measured = _measured(file, header, length - start)
            if measured is None:
                yield ArchiveEntry(header.name, problem=Problem.OUTSIDE.value)
                return
            header = measured
        end = start + header.packed
        if end > length:
            yield ArchiveEntry(header.name, problem=Problem.OUTSIDE.value)
            return
        if not header.is_folder:
            problem = problem_of(header)
            yield ArchiveEntry(
                header.name, None if problem else span_of(header, end), problem.value if problem else ""
            )
        at = _next_header(file, end)


def _measured(file: BinaryIO, header: ZipHeader, left: int) -> ZipHeader | None:
    """A header with what was not known when it was written; None if the content has no end here."""
    unpacker = zip_unpacker(header.method) if header.method in METHODS else None
    if unpacker is None or header.flags & ENCRYPTED:
        return None
    start = file.tell()
    size = crc = 0
    try:
        for part in unpacked(file, left, unpacker):
            size, crc = size + len(part), zlib.crc32(part, crc)
    except DAMAGE:
        return None
    if not unpacker.eof:
        return None
    return header._replace(packed=file.tell() - len(unpacker.unused_data) - start, size=size, crc=crc)


def _next_header(file: BinaryIO, end: int) -> int:
    """Where the next header begins: at once, or behind sizes that follow the content."""
    file.seek(end)
    found = file.read(_DESCRIPTOR_BYTES + len(LOCAL_SIGNATURE)).find(LOCAL_SIGNATURE)
    return end + max(found, 0)
