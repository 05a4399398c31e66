"""The body of an answer: bounded as it comes over the wire, and again as it is unpacked."""

from __future__ import annotations

import io
import zlib
from collections.abc import Iterator
from typing import TYPE_CHECKING

from sidscan.fetch.errors import BadAnswer, Incomplete, TooLarge

if TYPE_CHECKING:
    import httpx

_GZIP, _ZLIB, _RAW = 16 + zlib.MAX_WBITS, zlib.MAX_WBITS, -zlib.MAX_WBITS  # of zlib: which header to expect
_PIECE_BYTES = 1 << 20  # bytes that are unpacked at a time: one packet may hold a thousand times its own
_PROBE_BYTES = 1 << 16  # bytes that may unpack to nothing before another format is out of the question


def read_body(response: httpx.Response, limit: int, option: str = "--max-download") -> bytes:
    """The whole body, without the coding it may have travelled in; it is held in memory once.

    Args:
        limit: bytes, of the body as sent and as unpacked.
        option: what would raise the limit.

    Raises:
        TooLarge: found out before reading where the server states the length, else on the way.
        Incomplete: it ended before its stated length, last chunk or checksum.
        BadAnswer: a coding that was not asked for.
    """
    stated = response.headers.get("content-length", "")
    if stated.isdecimal() and int(stated) > limit:
        raise _too_large(limit, option)
    coding = response.headers.get("content-encoding", "").strip().lower()
    unpack = _decompressor_for(coding)
    body, sent = io.BytesIO(), 0  # its value is no copy, as that of a bytearray would be
    for chunk in _chunks(response):
        sent += len(chunk)
        for piece in unpack(chunk) if unpack else (chunk,):
            body.write(piece)
            if max(sent, body.tell()) > limit:
                raise _too_large(limit, option)
    if unpack:
        unpack.finish()
    return body.getvalue()


def _too_large(limit: int, option: str) -> TooLarge:
    return TooLarge(f"larger than {limit} bytes; raise the limit with {option}")


def _chunks(response: httpx.Response) -> Iterator[bytes]:
    import httpcore

    try:
        yield from response.iter_raw()
    except (httpcore.RemoteProtocolError, httpcore.ReadError) as error:
        raise Incomplete(
            f"the body did not arrive whole: {str(error)[:200] or 'the connection broke'}"
        ) from error


def _decompressor_for(coding: str) -> _Unpacker | None:
    if coding in ("", "identity"):
        return None
    if coding in ("gzip", "x-gzip"):
        return _Decompressor(_GZIP)
    if coding == "deflate":
        return _Decompressor(_ZLIB, _RAW)  # RFC 9110, 8.4.1.2: some send it without the zlib header
    raise BadAnswer(f"the body comes in the coding {coding[:40]!r}, though none was asked for")


class _Decompressor:
    """Undoes gzip or deflate, a bounded number of bytes at a time.

    Args:
        formats: `zlib` window sizes to try in turn on the first bytes.
    """

    def __init__(self, *formats: int) -> None:
        self._formats = list(formats)
        self._zlib = zlib.decompressobj(self._formats.pop(0))
        self._first = b""

    def __call__(self, data: bytes) -> Iterator[bytes]:
        """What it unpacks to, in one piece or more, of which the first may be empty."""
        self._first += data if self._formats else b""
        while True:
            try:
                piece = self._zlib.decompress(data, _PIECE_BYTES)
            except zlib.error as error:
                if not self._formats:
                    raise Incomplete(f"the compressed body is damaged: {error}") from error
                self._zlib, data = zlib.decompressobj(self._formats.pop(0)), self._first
                continue
            if piece or len(self._first) > _PROBE_BYTES:
                self._formats.clear()
                self._first = b""
            if self._zlib.unused_data:
                raise BadAnswer("bytes follow the end of the compressed body")
            yield piece
            data = self._zlib.unconsumed_tail
            if (
                not data and len(piece) < _PIECE_BYTES
            ):  # after a full one zlib may hold more of the same input
                return

    def finish(self) -> None:
        """Raises `Incomplete` unless the end was reached and its checksum right."""
        if not self._zlib.eof:
            raise Incomplete("the compressed body ended early")
