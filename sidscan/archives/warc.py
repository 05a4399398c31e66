"""WARC files (ISO 28500): their records, and the payloads of those that hold what a crawler got.

A record is found by its offset. In a compressed file each record is a gzip member of its own, so that one
can be read without those before it; a file that was compressed as a whole is refused. It is read here and not
by a library, since what counts is what readers of whole files leave out: telling a record that ends early,
states another length or unpacks to too much from one that is whole.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import BinaryIO

from sidscan.archives.entries import (
    MAX_UNPACKED_RATIO,
    ArchiveEntry,
    ArchiveError,
    Packing,
    Problem,
    Span,
)
from sidscan.archives.unpack import CHUNK, DAMAGE, is_of_system
from sidscan.util.magic import SIGNATURE_BYTES
from sidscan.util.urls import mask_credentials

NOT_SEPARATE = (
    "its records are compressed as a whole, so that none can be reached alone; `warcio recompress` mends it"
)
CUT = "the archive is cut off there"
RECORDED_HEADERS = (
    "content-type",
    "content-length",
    "content-encoding",
    "last-modified",
    "etag",
    "date",
    "server",
)
_GZIP = b"\x1f\x8b"
_GZIP_BITS = 31  # of zlib: with gzip's header
_VERSION = re.compile(rb"WARC/\d{1,2}\.\d{1,2}\r?\n")
_STATUS = re.compile(rb"HTTP/\d(?:\.\d)? +(\d{3})")
_CHUNK_SIZE = re.compile(rb"([0-9A-Fa-f]{1,15})[ \t]*(?:;[^\n]*)?\r?\n")
_WITH_PAYLOAD = ("response", "resource", "conversion")
_MOST_HEAD = 1 << 16  # bytes of a record's head, and of an HTTP head
_INPUT = 1 << 16  # bytes that are unpacked at once
_SPARE = 16 << 20  # bytes that any payload may have
_MOST_HEADER = 1000  # characters of a header that a row shows
_MOST_URL = 8000  # characters
_DATE = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,9})?Z")


@dataclass(frozen=True, slots=True)
class Capture:
    """What a record says of how its payload was got.

    Attributes:
        url: as the crawler asked for it.
        date: ISO 8601, UTC; empty where the record does not state it so.
        http_status: None where it was not got by HTTP.
        headers: of the answer, those that rows show.
    """

    url: str
    date: str
    http_status: int | None
    headers: Mapping[str, str]


def is_warc(start: bytes) -> bool:
    """Whether a file starts as a WARC does, compressed or not.

    Args:
        start: its first bytes, some hundred.
    """
    if start.startswith(_GZIP):
        try:
            start = zlib.decompressobj(31).decompress(start, 16)
        except zlib.error:
            return False
    return start.startswith(b"WARC/")


def read_records(file: BinaryIO) -> Iterator[ArchiveEntry]:
    """A member for each record with a payload, and each revisit; named by the offset of the record.

    Raises:
        ArchiveError: the file is damaged or cut off; earlier members were yielded.
    """
    file.seek(0)
    packed = file.read(2) == _GZIP
    count, offset = 0, 0
    while _has_more(file, offset):
        with _damage_of(count):
            record = Record(file, offset, packed)
            entry = record.entry()
        try:
            with _damage_of(count):
                end = record.end()
        except ArchiveError:
            if entry is not None:
                yield replace(entry, span=None, problem=entry.problem or Problem.OUTSIDE.value)
            raise
        if entry is not None:
            span = replace(entry.span, packed=end - offset) if entry.span else None
            yield replace(entry, span=span)
        count, offset = count + 1, end


def read_payload(file: BinaryIO, offset: int) -> Iterator[bytes]:
    """The payload of the record at an offset, in parts.

    Raises:
        ArchiveError: it unpacks to too much, or has a coding that is not read.
        one of `DAMAGE`: it is damaged or cut off.
    """
    return Record(file, offset, _is_packed(file)).payload()


def read_capture(file: BinaryIO, offset: int) -> Capture:
    """What the record at an offset says of its payload.

    Raises:
        one of `DAMAGE`: it is damaged.
    """
    return Record(file, offset, _is_packed(file)).capture()


class Record:
    """A record, read once from its start to its end.

    Raises:
        one of `DAMAGE`: there is none at this offset.
    """

    def __init__(self, file: BinaryIO, offset: int, packed: bool) -> None:
        self._offset = offset
        self._source = _Member(file, offset) if packed else _Plain(file, offset)
        version = self._source.read_line(_MOST_HEAD)
        if not _VERSION.fullmatch(version):
            raise ArchiveError("no record begins where one should")
        self.fields = _fields(self._source)
        length = self.fields.get("content-length", "")
        if not (length.isdecimal() and len(length) <= 18):
            raise ArchiveError("a record does not state its length")
        self._left = int(length)
        self._http: tuple[int | None, Mapping[str, str]] = (None, {})
        self._has_http_head = False

    def entry(self) -> ArchiveEntry | None:
        """The member that it is, its payload read; None for a record without one, such as a request."""
        name, kind = str(self._offset), self.fields.get("warc-type", "").lower()
        if kind == "revisit":
            return ArchiveEntry(name, problem=Problem.REVISIT.value)
        if kind not in _WITH_PAYLOAD:
            return None
        if "warc-segment-number" in self.fields:
            return ArchiveEntry(name, problem=Problem.SEGMENT.value)
        head, size = b"", 0
        try:
            for part in self.payload():
                if len(head) < SIGNATURE_BYTES:
                    head = (head + part)[:SIGNATURE_BYTES]
                size += len(part)
        except DAMAGE as error:
            if is_of_system(error):
                raise
            words = str(error) if isinstance(error, ArchiveError) else f"it is damaged or cut off: {error}"
            return ArchiveEntry(name, None, words, head)
        return ArchiveEntry(name, Span(Packing.WARC, self._offset, size), head=head)

    def capture(self) -> Capture:
        """What its fields and its HTTP head say."""
        self._read_http_head()
        status, headers = self._http
        url = self.fields.get("warc-target-uri", "").strip("<>")[:_MOST_URL]  # some crawlers wrote them
        date = self.fields.get("warc-date", "")
        if not self._has_http_head:
            headers = self.fields  # of which content-type is one
        shown = {name: _text(headers[name])[:_MOST_HEADER] for name in RECORDED_HEADERS if name in headers}
        is_date = _DATE.fullmatch(date) is not None
        return Capture(mask_credentials(_text(url)), date[:-1] + "+00:00" if is_date else "", status, shown)

    def payload(self) -> Iterator[bytes]:
        """Its payload, without the codings that HTTP laid upon it."""
        self._read_http_head()
        _, headers = self._http
        body: Iterator[bytes] = self._block()
        if "chunked" in headers.get("transfer-encoding", "").lower():
            body = self._dechunked()
        coding = headers.get("content-encoding", "").strip().lower()
        size = 0
        for part in _decoded(body, coding):
            size += len(part)
            if size > _SPARE + MAX_UNPACKED_RATIO * self._source.consumed():
                raise ArchiveError(Problem.BOMB.value)
            yield part

    def end(self) -> int:
        """The offset behind it, and behind the blank lines that follow.

        Raises:
            one of `DAMAGE`: the file ends before, or it goes on otherwise.
        """
        for _ in self._block():
            pass
        return self._source.end()

    def _read_http_head(self) -> None:
        """Take the HTTP head from the block of a record that has one."""
        if self._has_http_head or self.fields.get("warc-type", "").lower() != "response":
            return
        if not self.fields.get("content-type", "application/http").lower().startswith("application/http"):
            return
        self._has_http_head = True
        status = _STATUS.match(self._line())
        self._http = (int(status[1]) if status else None, _fields_of(self._line))

    def _line(self) -> bytes:
        line = self._source.read_line(min(self._left, _MOST_HEAD))
        self._left -= len(line)
        return line

    def _read(self, size: int) -> bytes:
        data = self._source.read(min(size, self._left))
        if not data and size and self._left:
            raise EOFError(CUT)
        self._left -= len(data)
        return data

    def _block(self) -> Iterator[bytes]:
        while self._left:
            yield self._read(_INPUT)

    def _dechunked(self) -> Iterator[bytes]:
        """The chunks of a body (RFC 9112, section 7.1); a body that only claims to be chunked as it is."""
        is_first = True
        while self._left:
            line = self._line()
            size = _CHUNK_SIZE.fullmatch(line)
            if not size and is_first:
                yield line
                yield from self._block()
                return
            if not size:
                raise ArchiveError("a chunk of its body does not state its length")
            is_first, left = False, int(size[1], 16)
            if not left:
                return
            while left:
                part = self._read(min(left, _INPUT))
                if not part:
                    raise EOFError("a chunk of its body is cut off")
                left -= len(part)
                yield part
            self._line()  # the end of the chunk's line
        raise EOFError("the last chunk of its body is missing")


class _Plain:
    """An uncompressed file, from an offset on."""

    def __init__(self, file: BinaryIO, offset: int) -> None:
        self._file, self._offset = file, offset
        file.seek(offset)

    def read(self, size: int) -> bytes:
        return self._file.read(size)

    def read_line(self, most: int) -> bytes:
        return self._file.readline(most)

    def consumed(self) -> int:
        return self._file.tell() - self._offset

    def end(self) -> int:
        """Behind the line breaks that end a record."""
        while (byte := self._file.read(1)) in (b"\r", b"\n"):
            pass
        return self._file.tell() - len(byte)


class _Member:
    """One member of a gzip file, unpacked from an offset on."""

    def __init__(self, file: BinaryIO, offset: int) -> None:
        self._file, self._offset, self._buffer = file, offset, b""
        self._stream = zlib.decompressobj(31)  # with gzip's header
        file.seek(offset)

    def read(self, size: int) -> bytes:
        if not self._buffer:
            self._fill(1)
        data, self._buffer = self._buffer[:size], self._buffer[size:]
        return data

    def read_line(self, most: int) -> bytes:
        at = -1
        while (at := self._buffer.find(b"\n", max(at, 0))) < 0 and len(self._buffer) < most:
            if not self._fill(len(self._buffer) + 1):
                break
        end = min(most, at + 1 if at >= 0 else len(self._buffer))
        line, self._buffer = self._buffer[:end], self._buffer[end:]
        return line

    def consumed(self) -> int:
        return self._file.tell() - self._offset - len(self._stream.unconsumed_tail)

    def end(self) -> int:
        """Behind the member.

        Raises:
            ArchiveError: something other than line breaks follows in it, such as another record.
        """
        while rest := self.read(_INPUT):
            if rest.strip(b"\r\n"):
                raise ArchiveError(NOT_SEPARATE)
        return self._file.tell() - len(self._stream.unused_data)

    def _fill(self, size: int) -> bool:
        """Have so many bytes in the buffer; False at the member's end."""
        while len(self._buffer) < size:
            if self._stream.eof:
                return False
            data = self._stream.unconsumed_tail or self._file.read(_INPUT)
            part = self._stream.decompress(data, _INPUT)
            if not data and not part and not self._stream.eof:
                raise EOFError(CUT)
            self._buffer += part
        return True


def _decoded(body: Iterator[bytes], coding: str) -> Iterator[bytes]:
    """A body without its content coding; one that only claims to have it as it is."""
    first = next(body, b"")
    is_zlib = first[:1] in (b"\x78", b"\x58", b"\x48", b"\x38", b"\x28", b"\x18", b"\x08")
    if coding in ("gzip", "x-gzip") and first.startswith(_GZIP):
        yield from _inflated(first, body, _GZIP_BITS)
    elif coding == "deflate":
        yield from _inflated(first, body, zlib.MAX_WBITS if is_zlib else -zlib.MAX_WBITS)
    elif coding in ("", "identity", "none", "gzip", "x-gzip"):
        yield first
        yield from body
    else:
        raise ArchiveError(Problem.CODING.value)


def _inflated(first: bytes, body: Iterator[bytes], bits: int) -> Iterator[bytes]:
    """A compressed body unpacked; of gzip, all of its members (RFC 1952). What follows them is left out."""
    stream = zlib.decompressobj(bits)
    data: bytes | None = first
    while data is not None:
        while data or stream.unconsumed_tail:
            part = stream.decompress(stream.unconsumed_tail or data, CHUNK)
            data = b""
            if part:
                yield part
            elif stream.eof or not stream.unconsumed_tail:
                break
        if stream.eof:
            data = stream.unused_data
            while len(data) < len(_GZIP) and (more := next(body, b"")):
                data += more
            if bits != _GZIP_BITS or not data.startswith(_GZIP):
                return
            stream = zlib.decompressobj(bits)
            continue
        data = next(body, None)
    while part := stream.decompress(b"", CHUNK):
        yield part
    if not stream.eof:
        raise EOFError("its body is cut off")


def _fields(source: _Plain | _Member) -> Mapping[str, str]:
    return _fields_of(lambda: source.read_line(_MOST_HEAD))


def _fields_of(read_line: Callable[[], bytes]) -> Mapping[str, str]:
    """The fields of a head up to its blank line, names in lower case; of equal names the first.

    Raises:
        ArchiveError: it is longer than any head should be.
    """
    fields: dict[str, str] = {}
    name, size = "", 0
    while (line := read_line()).rstrip(b"\r\n"):
        size += len(line)
        if size > _MOST_HEAD:
            raise ArchiveError("the head of a record is too long")
        text = line.decode("utf-8", "replace").rstrip("\r\n")
        if text[:1] in " \t" and name:  # it goes on
            fields[name] += f" {text.strip()}"
            continue
        name, _, value = text.partition(":")
        name = name.strip().lower()
        if name in fields:
            name = ""
        elif name:
            fields[name] = value.strip()
    return fields


def _text(text: str) -> str:
    """A text that any report can hold, without control characters."""
    return "".join(each if each.isprintable() else "\ufffd" for each in text)


def _is_packed(file: BinaryIO) -> bool:
    file.seek(0)
    return file.read(2) == _GZIP


def _has_more(file: BinaryIO, offset: int) -> bool:
    file.seek(offset)
    return bool(file.read(1))


@contextmanager
def _damage_of(count: int) -> Iterator[None]:
    """Say behind how many records a file is damaged."""
    try:
        yield
    except DAMAGE as error:
        if is_of_system(error):
            raise
        records = "1 record" if count == 1 else f"{count} records"
        words = f"it is damaged or cut off after {records} ({error})"
        raise ArchiveError(str(error) if str(error) == NOT_SEPARATE else words) from error
