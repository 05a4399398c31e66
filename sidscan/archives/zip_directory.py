"""The directory of a zip file (PKWARE's APPNOTE 6.3.10), entry by entry.

`zipfile` gives up a whole archive over one entry with a bad name or field, and holds all entries in memory.
Here an entry costs at most its own row.
"""

from __future__ import annotations

import struct
import zlib
from bisect import bisect_right
from collections.abc import Iterator
from typing import BinaryIO, NamedTuple

from sidscan.archives.entries import (
    MAX_UNPACKED_RATIO,
    ArchiveEntry,
    ArchiveError,
    Packing,
    Problem,
    Span,
    utc,
)

LOCAL = struct.Struct("<4s5H3I2H")  # 4.3.7: signature ... crc, packed, size, length of name, of extra
LOCAL_SIGNATURE = b"PK\x03\x04"
METHODS = (0, 8, 12)  # stored, deflate, bzip2
DESCRIPTOR = 0x08  # flag: sizes and CRC follow the content
ENCRYPTED = 0x2041  # flags: encrypted, strong encryption, masked header
UTF_8 = 0x800

SPLIT = "it is one part of a zip in several files; join them first: zip -s 0 NAME.zip --out WHOLE.zip"

_CENTRAL = struct.Struct("<4s6H3I5H2I")  # 4.3.12
_CENTRAL_SIGNATURE = b"PK\x01\x02"
_END = struct.Struct("<4s4H2IH")  # 4.3.16
_END_SIGNATURE = b"PK\x05\x06"
_ZIP64_LOCATOR, _ZIP64_END = struct.Struct("<4sIQI"), struct.Struct("<4sQ2H2I4Q")  # 4.3.15, 4.3.14
_MAX_COMMENT = 1 << 16
_MAX_32, _MAX_16 = 0xFFFFFFFF, 0xFFFF
_ZIP64_FIELD, _TIME_FIELD, _NAME_FIELD = 0x0001, 0x5455, 0x7075
_UNIX, _LINK, _TYPE = 3, 0o120000, 0o170000
_OFFSET_BITS = 64
_SMALL = 1 << 20  # bytes: a member this small is no bomb, whatever its ratio


class ZipHeader(NamedTuple):
    """What the directory, or a local header, says of a member."""

    name: str
    flags: int
    method: int
    crc: int
    packed: int
    size: int
    offset: int  # of the local header, in this file
    modified_at: str
    mode: int  # of Unix; 0 if unknown

    @property
    def is_folder(self) -> bool:
        """Whether it holds nothing."""
        return self.name.endswith("/") and not self.size

    @property
    def least_end(self) -> int:
        """Where its content ends at the earliest."""
        return self.offset + LOCAL.size + self.packed


class _Place(NamedTuple):
    start: int  # of the directory
    size: int
    shift: int  # bytes before the archive, as in a program that unpacks itself
    stated: int  # entries


def read_directory(file: BinaryIO) -> Iterator[ArchiveEntry]:
    """All members, in the order of the directory.

    Raises:
        ArchiveError: there is no directory, or it is damaged; earlier entries were yielded.
    """
    place = _find(file)
    spans = sorted(
        header.offset << _OFFSET_BITS | header.least_end
        for header in _headers(file, place)
        if header is not None and not header.is_folder and _is_inside(header, place)
    )
    overlapping = _overlapping(spans)
    count = 0
    for header in _headers(file, place):
        count += 1
        if header is None:
            raise ArchiveError(f"its directory is damaged after {count - 1} entries")
        if not header.is_folder:
            yield _entry(header, spans, overlapping, place)
    if count != place.stated:
        raise ArchiveError(f"its directory names {place.stated} entries, and holds {count}")


def parse_local(file: BinaryIO, offset: int) -> tuple[ZipHeader, int]:
    """A member's own header, and where its content begins.

    Raises:
        ArchiveError: there is none.
    """
    file.seek(offset)
    fixed = file.read(LOCAL.size)
    if len(fixed) < LOCAL.size or not fixed.startswith(LOCAL_SIGNATURE):
        raise ArchiveError(Problem.OUTSIDE.value)
    _, _, flags, method, _, _, crc, packed, size, name_length, extra_length = LOCAL.unpack(fixed)
    name, extra = file.read(name_length), file.read(extra_length)
    fields = _fields(extra)
    size, packed, _ = _zip64(fields, size, packed, 0)
    header = ZipHeader(
        _name(name, flags, fields), flags, method, crc, packed, size, offset, _modified(fields), 0
    )
    return header, offset + LOCAL.size + name_length + extra_length


def problem_of(header: ZipHeader) -> Problem | None:
    """Why a member is not read, as far as its header says."""
    kind = header.mode & _TYPE
    if kind == _LINK:
        return Problem.LINK
    if header.flags & ENCRYPTED:
        return Problem.ENCRYPTED
    if header.method not in METHODS:
        return Problem.METHOD
    if header.size > max(_SMALL, header.packed * MAX_UNPACKED_RATIO):
        return Problem.BOMB
    return None


def _entry(header: ZipHeader, spans: list[int], overlapping: set[int], place: _Place) -> ArchiveEntry:
    index = bisect_right(spans, (header.offset + 1) << _OFFSET_BITS)
    after = spans[index] >> _OFFSET_BITS if index < len(spans) else place.start
    problem = problem_of(header)
    if not _is_inside(header, place):
        problem = Problem.OUTSIDE
    elif header.offset in overlapping:
        problem = Problem.OVERLAPPING
    return ArchiveEntry(
        header.name, None if problem else span_of(header, after), problem.value if problem else ""
    )


def _is_inside(header: ZipHeader, place: _Place) -> bool:
    return header.offset >= 0 and header.least_end <= place.start


def span_of(header: ZipHeader, bound: int) -> Span:
    """Where a member lies; something else begins at ``bound``."""
    return Span(
        Packing.ZIP,
        header.offset,
        header.size,
        header.packed,
        bound,
        header.method,
        header.crc,
        header.modified_at,
    )


def _overlapping(spans: list[int]) -> set[int]:
    """Offsets of members that share bytes with another one."""
    found: set[int] = set()
    last, end, mask = -1, 0, (1 << _OFFSET_BITS) - 1
    for span in spans:
        offset = span >> _OFFSET_BITS
        if offset < end:
            found |= {last, offset}
        if span & mask > end:
            last, end = offset, span & mask
    return found


def _find(file: BinaryIO) -> _Place:
    """Where the directory lies.

    Raises:
        ArchiveError: there is none.
    """
    length, tail = _tail(file)
    at = _end_in(tail)
    if at < 0:
        at = tail.rfind(_END_SIGNATURE)  # something follows the archive
    if at < 0 or len(tail) - at < _END.size:
        raise ArchiveError(
            "its directory is missing: the file is cut off, or one part of several, to be joined first"
        )
    end = length - len(tail) + at
    _, disk, *_, count, size, offset, _ = _END.unpack_from(tail, at)
    if _MAX_32 in (size, offset) or count == _MAX_16:
        end, disk, count, size, offset = _zip64_end(file, end) or (end, disk, count, size, offset)
    if disk:
        raise ArchiveError(SPLIT)
    start = end - size
    if start < 0:
        raise ArchiveError("its directory lies outside of it: the file is damaged")
    return _Place(start, size, start - offset, count)


def ends_with_directory(file: BinaryIO) -> bool:
    """Whether a file that starts otherwise ends as a zip: it unpacks itself, or is a last part."""
    return _end_in(_tail(file)[1]) >= 0


def _tail(file: BinaryIO) -> tuple[int, bytes]:
    """The length of a file, and its end."""
    length = file.seek(0, 2)
    file.seek(max(length - _MAX_COMMENT - _END.size, 0))
    return length, file.read()


def _end_in(tail: bytes) -> int:
    """Where the record at the end of a zip begins, whose comment must reach to its end; -1 if nowhere."""
    at = len(tail)
    while (at := tail.rfind(_END_SIGNATURE, 0, at)) >= 0:
        if len(tail) - at >= _END.size and at + _END.size + _END.unpack_from(tail, at)[-1] == len(tail):
            return at
    return -1


def _zip64_end(file: BinaryIO, end: int) -> tuple[int, int, int, int, int] | None:
    """Where the record of a large archive begins, its disk, and entries, size and offset of its directory."""
    file.seek(max(end - _ZIP64_LOCATOR.size, 0))
    locator = file.read(_ZIP64_LOCATOR.size)
    if not locator.startswith(b"PK\x06\x07") or len(locator) < _ZIP64_LOCATOR.size:
        return None
    for at in (_ZIP64_LOCATOR.unpack(locator)[2], end - _ZIP64_LOCATOR.size - _ZIP64_END.size):
        if not 0 <= at < end:
            continue
        file.seek(at)
        record = file.read(_ZIP64_END.size)
        if len(record) == _ZIP64_END.size and record.startswith(b"PK\x06\x06"):
            *_, disk, _, _, count, size, offset = _ZIP64_END.unpack(record)
            return at, disk, count, size, offset
    return None


def _headers(file: BinaryIO, place: _Place) -> Iterator[ZipHeader | None]:
    """The directory's entries; None, once, where it is damaged."""
    at, end = place.start, place.start + place.size
    while at < end:
        file.seek(at)
        fixed = file.read(_CENTRAL.size)
        if len(fixed) < _CENTRAL.size or not fixed.startswith(_CENTRAL_SIGNATURE):
            yield None
            return
        (_, made_by, _, flags, method, _, _, crc, packed, size, name_length, extra_length, comment_length,
         _, _, attributes, offset) = _CENTRAL.unpack(fixed)  # fmt: skip
        name, extra = file.read(name_length), file.read(extra_length)
        at += _CENTRAL.size + name_length + extra_length + comment_length
        fields = _fields(extra)
        size, packed, offset = _zip64(fields, size, packed, offset)
        mode = attributes >> 16 if made_by >> 8 == _UNIX else 0
        yield ZipHeader(
            _name(name, flags, fields),
            flags,
            method,
            crc,
            packed,
            size,
            offset + place.shift,
            _modified(fields),
            mode,
        )


def _fields(extra: bytes) -> dict[int, bytes]:
    """Extra fields by their number; the first of each (4.5.1)."""
    found: dict[int, bytes] = {}
    at = 0
    while at + 4 <= len(extra):
        number, length = struct.unpack_from("<2H", extra, at)
        found.setdefault(number, extra[at + 4 : at + 4 + length])
        at += 4 + length
    return found


def _zip64(fields: dict[int, bytes], size: int, packed: int, offset: int) -> tuple[int, int, int]:
    """The three numbers; those of a large archive are in an extra field (4.5.3)."""
    field = fields.get(_ZIP64_FIELD, b"")
    numbers = [value for (value,) in struct.iter_unpack("<Q", field[: len(field) // 8 * 8])]
    values = [numbers.pop(0) if value == _MAX_32 and numbers else value for value in (size, packed, offset)]
    return values[0], values[1], values[2]


def _name(raw: bytes, flags: int, fields: dict[int, bytes]) -> str:
    """UTF-8 where it is that, flag or not; else code page 437, which has all bytes (APPNOTE D)."""
    unicode_path = fields.get(_NAME_FIELD, b"")
    if len(unicode_path) > 5 and struct.unpack_from("<I", unicode_path, 1)[0] == zlib.crc32(raw):
        raw, flags = unicode_path[5:], flags | UTF_8
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError:
        return raw.decode("utf-8", "surrogateescape") if flags & UTF_8 else raw.decode("cp437")


def _modified(fields: dict[int, bytes]) -> str:
    """The time of modification in UTC; the header's own has no time zone."""
    field = fields.get(_TIME_FIELD, b"")
    if len(field) < 5 or not field[0] & 1:
        return ""
    return utc(float(struct.unpack_from("<i", field, 1)[0]))
