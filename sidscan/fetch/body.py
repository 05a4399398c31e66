"""Read the body of a response: its size is limited as it arrives, and again as it is decompressed."""

from __future__ import annotations

import io
import zlib
from collections.abc import Iterator
from typing import TYPE_CHECKING

from sidscan.fetch.errors import BadAnswer, Incomplete, TooLarge

if TYPE_CHECKING:
    import httpx

_GZIP, _ZLIB, _RAW = 16 + zlib.MAX_WBITS, zlib.MAX_WBITS, -zlib.MAX_WBITS  # tell zlib which header to expect
_PIECE_BYTES = 1 << 20  # decompressed at a time: a packet may decompress to a thousand times its size
_PROBE_BYTES = 1 << 16  # if so many bytes decompress to nothing, no other format is tried


def read_body(response: httpx.Response, limit: int, option: str = "--max-download") -> bytes:
    """The whole body without its content coding; memory holds it once.

    Args:
        limit: bytes of the body, as sent and as decompressed.
        option: the option that raises the limit.

    Raises:
        TooLarge: before reading where the server states the length, otherwise on the way.
        Incomplete: the body ended before its stated length, last chunk or checksum.
        BadAnswer: it has a coding that was not asked for.
    """
    stated = response.headers.get("content-length", "")
    if stated.isdecimal() and int(stated) > limit:
        raise _too_large(limit, option)
    coding = response.headers.get("content-encoding", "").strip().lower()
    decompress = _decompressor_for(coding)
    body, sent = io.BytesIO(), 0  # BytesIO.getvalue() does not copy, as bytes(bytearray) would
    for chunk in _chunks(response):
        sent += len(chunk)
        for piece in decompress(chunk) if decompress else (chunk,):
            body.write(piece)
            if max(sent, body.tell()) > limit:
                raise _too_large(limit, option)
    if decompress:
        decompress.finish()
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


def _decompressor_for(coding: str) -> _Decompressor | None:
    if coding in ("", "identity"):
        return None
    if coding in ("gzip", "x-gzip"):
        return _Decompressor(_GZIP)
    if coding == "deflate":
        return _Decompressor(_ZLIB, _RAW)  # RFC 9110, 8.4.1.2: some servers omit the zlib header
    raise BadAnswer(f"the body comes in the coding {coding[:40]!r}, though none was asked for")


class _Decompressor:
    """Decompresses gzip or deflate, a limited number of bytes at a time.

    Args:
        formats: values of zlib's ``wbits`` to try in turn on the first bytes.
    """

    def __init__(self, *formats: int) -> None:
        self._formats = list(formats)
        self._zlib = zlib.decompressobj(self._formats.pop(0))
        self._head = b""

    def __call__(self, data: bytes) -> Iterator[bytes]:
        """The decompressed data, in one piece or more; the first may be empty."""
        self._head += data if self._formats else b""
        while True:
            try:
                piece = self._zlib.decompress(data, _PIECE_BYTES)
            except zlib.error as error:
                if not self._formats:
                    raise Incomplete(f"the compressed body is damaged: {error}") from error
                self._zlib, data = zlib.decompressobj(self._formats.pop(0)), self._head
                continue
            if piece or len(self._head) > _PROBE_BYTES:
                self._formats.clear()
                self._head = b""
            if self._zlib.unused_data:
                raise BadAnswer("bytes follow the end of the compressed body")
            yield piece
            data = self._zlib.unconsumed_tail
            # After a full piece zlib may hold more of the same input.
            if not data and len(piece) < _PIECE_BYTES:
                return

    def finish(self) -> None:
        """Raise `Incomplete` unless the end was reached and its checksum is right."""
        if not self._zlib.eof:
            raise Incomplete("the compressed body ended early")
