"""What a member of an archive is, and where its bytes lie."""

from __future__ import annotations

import os
from dataclasses import astuple, dataclass
from datetime import datetime, timezone
from enum import Enum

MAX_UNPACKED_RATIO = 1_100
"""Bytes that one byte of an archive may become. Deflate reaches 1,032; beyond it are bombs."""


class ArchiveError(ValueError):
    """An archive, or a member, is not read; the message says why."""


class NoSuchMember(ArchiveError):
    """An archive has no member of that name."""


class Packing(str, Enum):
    """How the bytes of a member are reached."""

    ZIP = "zip"
    TAR = "tar"
    SOLID = "solid"  # in a compressed tar: only after all bytes before it
    WARC = "warc"
    PARQUET = "parquet"  # a cell: fast only after those before it


class Problem(str, Enum):
    """Why a member is not read, in words."""

    ENCRYPTED = "it is encrypted; unpack it with its password and scan the folder"
    OVERLAPPING = "its bytes overlap those of another member, as in a zip bomb"
    BOMB = f"it would unpack to more than {MAX_UNPACKED_RATIO:,} times its size"
    METHOD = "it is compressed in a way that is not read; unpack it and scan the folder"
    OUTSIDE = "it lies outside of its archive, which is damaged or cut off"
    SPARSE = "it is stored with holes; unpack it and scan the folder"
    HARD_LINK = "a hard link to another member, not followed"
    LINK = "a symbolic link, not followed"
    SPECIAL = "not a regular file"
    REVISIT = "a revisit record: the crawler got the same bytes before, and another record has them"
    SEGMENT = "it is one part of a payload in several records, which are not joined"
    NO_BYTES = "this row has no bytes"
    CODING = "its body has a coding that is not read"


@dataclass(frozen=True, slots=True)
class Span:
    """Where the bytes of a member lie.

    Attributes:
        offset: of a zip's local header, of a WARC's record, or of a tar's content in the tar itself,
            uncompressed; of a Parquet file the row.
        size: bytes of the content.
        packed: bytes that it takes in the archive.
        bound: in a zip, where something else begins; in a Parquet file the column's index.
        method: of a zip's compression.
        crc: CRC-32 of the content; -1 where the archive states none.
        modified_at: ISO 8601, UTC; empty where the archive does not state it with its zone.
    """

    packing: Packing
    offset: int
    size: int
    packed: int = 0
    bound: int = 0
    method: int = 0
    crc: int = -1
    modified_at: str = ""

    def __str__(self) -> str:
        return ":".join(str(value) for value in (self.packing.value, *astuple(self)[1:]))

    @classmethod
    def parse(cls, text: str) -> Span:
        """The inverse of `str`.

        Raises:
            ValueError: it is not a span.
        """
        packing, *numbers, modified_at = text.split(":", 7)
        offset, size, packed, bound, method, crc = map(int, numbers)
        return cls(Packing(packing), offset, size, packed, bound, method, crc, modified_at)


@dataclass(frozen=True, slots=True)
class ArchiveEntry:
    """A member of an archive; directories are none.

    Attributes:
        name: inner name, unlike that of any other entry; undecodable bytes as surrogate escapes. Empty for
            what is to say of the archive as a whole.
        span: None where it can't be read.
        problem: why it can't be read; of the archive any message.
        head: its first bytes, where they were asked for.
    """

    name: str
    span: Span | None = None
    problem: str = ""
    head: bytes = b""


def archive_stamp(status: os.stat_result) -> str:
    """Size and time of modification: whether an archive changed."""
    return f"{status.st_size}:{status.st_mtime_ns}"


def fingerprint_of(stamp: str, span: Span | None) -> str:
    """By which a later scan sees that a member is the same; it also says where its bytes are."""
    return f"{stamp}|{span}" if span else stamp


def is_read_in_order(fingerprint: str) -> bool:
    """Whether a member's bytes come only after those before it, or nobody knows yet where they are."""
    packing = fingerprint.partition("|")[2].partition(":")[0]
    return packing not in (Packing.ZIP.value, Packing.TAR.value, Packing.WARC.value)


def utc(seconds: float) -> str:
    """ISO 8601; empty for a time that no calendar has."""
    try:
        return datetime.fromtimestamp(seconds, timezone.utc).isoformat(timespec="seconds")
    except (ValueError, OverflowError, OSError):
        return ""
