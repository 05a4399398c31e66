"""The body of an answer: bounded as it comes over the wire, and again as it is unpacked."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from typing import TYPE_CHECKING

from sidscan.readers.fetch_errors import BadAnswer, Incomplete, TooLarge

if TYPE_CHECKING:
    import httpx

_GZIP, _ZLIB, _RAW = 16 + zlib.MAX_WBITS, zlib.MAX_WBITS, -zlib.MAX_WBITS  # of zlib: which header to expect


def read(response: httpx.Response, limit: int) -> bytes:
    """The whole body, without the coding it may have travelled in.

    Args:
        limit: bytes, of the body as sent and as unpacked.

    Raises:
        TooLarge: found out before reading where the server states the length, else on the way.
        Incomplete: it ended before its stated length, last chunk or checksum.
        BadAnswer: a coding that was not asked for.
    """
    _check_length(response.headers.get("content-length", ""), limit)
    coding = response.headers.get("content-encoding", "").strip().lower()
    unpack = _unpacker(coding)
    body, sent = bytearray(), 0
    for chunk in _chunks(response):
        sent += len(chunk)
        body += unpack(chunk, limit + 1 - len(body)) if unpack else chunk
        if max(sent, len(body)) > limit:
            raise _too_large(limit)
    if unpack:
        unpack.finish()
    return bytes(body)


def _check_length(stated: str, limit: int) -> None:
    if stated.isdecimal() and int(stated) > limit:
        raise _too_large(limit)


def _too_large(limit: int) -> TooLarge:
    return TooLarge(f"larger than {limit} bytes; raise the limit with --max-bytes")


def _chunks(response: httpx.Response) -> Iterator[bytes]:
    import httpcore

    try:
        yield from response.iter_raw()
    except (httpcore.RemoteProtocolError, httpcore.ReadError) as error:
        raise Incomplete(
            f"the body did not arrive whole: {str(error)[:200] or 'the connection broke'}"
        ) from error


def _unpacker(coding: str) -> _Unpacker | None:
    if coding in ("", "identity"):
        return None
    if coding in ("gzip", "x-gzip"):
        return _Unpacker(_GZIP)
    if coding == "deflate":
        return _Unpacker(_ZLIB, _RAW)  # RFC 9110, 8.4.1.2: some send it without the zlib header
    raise BadAnswer(f"the body comes in the coding {coding[:40]!r}, though none was asked for")


class _Unpacker:
    """Undoes gzip or deflate, a bounded number of bytes at a time.

    Args:
        formats: `zlib` window sizes to try in turn on the first bytes.
    """

    def __init__(self, *formats: int) -> None:
        self._formats = list(formats)
        self._zlib = zlib.decompressobj(self._formats.pop(0))
        self._first = b""

    def __call__(self, data: bytes, most: int) -> bytes:
        """At most ``most`` bytes, unpacked; what more there might be is too much for the caller anyway."""
        try:
            self._first += data if self._formats else b""
            unpacked = self._zlib.decompress(data, most)
        except zlib.error as error:
            if not self._formats:
                raise Incomplete(f"the compressed body is damaged: {error}") from error
            self._zlib, data = zlib.decompressobj(self._formats.pop(0)), self._first
            return self(data, most)
        if unpacked:
            self._formats.clear()
        if self._zlib.unused_data:
            raise BadAnswer("bytes follow the end of the compressed body")
        return unpacked

    def finish(self) -> None:
        """Raises `Incomplete` unless the end was reached and its checksum right."""
        if not self._zlib.eof:
            raise Incomplete("the compressed body ended early")
