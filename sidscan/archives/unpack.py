"""The bytes of compressed streams, a part at a time, never more than asked for."""

from __future__ import annotations

import bz2
import gzip
import lzma
import os
import zlib
from collections.abc import Callable, Iterator, Mapping
from typing import Any, BinaryIO, Protocol

from sidscan.archives import zstandard
from sidscan.archives.entries import MAX_UNPACKED_RATIO, ArchiveError

CHUNK = 1 << 20  # bytes
DAMAGE = (OSError, EOFError, ValueError, zlib.error, lzma.LZMAError)
"""What the standard library raises over damaged data; an `ArchiveError` is a ValueError, too."""
_COMPRESSED: Mapping[bytes, Callable[[BinaryIO], Any]] = {
    b"\x1f\x8b": gzip.open,
    b"BZh": bz2.open,
    b"\xfd7zXZ\x00": lzma.open,
    zstandard.SIGNATURE: zstandard.ZstdStream,
}
_SPARE = 16 << 20  # bytes that any compressed tar may have


def is_of_system(error: BaseException) -> bool:
    """Whether an error is of a disk or the like, not of what a file holds."""
    return isinstance(error, OSError) and error.errno is not None


class Readable(Protocol):
    """What content is read from."""

    def read(self, size: int, /) -> bytes:
        """Up to ``size`` bytes; none at the end."""


class Unpacker(Protocol):
    """What `zlib.decompressobj` and `bz2.BZ2Decompressor` have in common."""

    @property
    def eof(self) -> bool:
        """Whether the stream ended."""

    @property
    def unused_data(self) -> bytes:
        """What was read behind its end."""

    def decompress(self, data: bytes, max_length: int) -> bytes:
        """At most ``max_length`` more bytes."""


def zip_unpacker(method: int) -> Unpacker | None:
    """Of a zip's compression; None for what is stored as it is."""
    if method == 8:
        return _Inflater()
    return bz2.BZ2Decompressor() if method == 12 else None


def unpacked(
    file: Readable, packed: int, unpacker: Unpacker | None, part_bytes: int = CHUNK
) -> Iterator[bytes]:
    """The content of the next ``packed`` bytes, in parts of at most ``part_bytes``.

    Raises:
        one of `DAMAGE`: they are damaged, or there are fewer.
    """
    left = packed
    while left:
        data = file.read(min(left, part_bytes))
        if not data:
            raise EOFError("the archive is cut off there")
        left -= len(data)
        if unpacker is None:
            yield data
            continue
        part = unpacker.decompress(data, part_bytes)
        while part:
            yield part
            part = b"" if unpacker.eof else unpacker.decompress(b"", part_bytes)
        if unpacker.eof:
            return


class _Inflater:
    """A raw deflate stream; unlike bz2's object, zlib's hands back what it has not looked at."""

    def __init__(self) -> None:
        self._stream, self._rest = zlib.decompressobj(-zlib.MAX_WBITS), b""

    @property
    def eof(self) -> bool:
        return self._stream.eof

    @property
    def unused_data(self) -> bytes:
        return self._stream.unused_data

    def decompress(self, data: bytes, max_length: int) -> bytes:
        part = self._stream.decompress(self._rest + data, max_length)
        self._rest = self._stream.unconsumed_tail
        return part


def is_compressed(head: bytes) -> bool:
    """Whether a file starts as gzip, bzip2, xz or Zstandard do."""
    return any(head.startswith(start) for start in _COMPRESSED)


class SolidStream:
    """A compressed file, unpacked from its start to its end once; it can only go forward.

    Attributes:
        file: compressed; it is closed with this stream.
        position: bytes that were read so far, unpacked.

    Raises:
        ArchiveError: `read` would give more than a bomb of this size should have.
    """

    def __init__(self, file: BinaryIO) -> None:
        self.file = file
        head = file.read(8)
        file.seek(0)
        opener = next(opener for start, opener in _COMPRESSED.items() if head.startswith(start))
        self._stream = opener(file)
        self._most = _SPARE + MAX_UNPACKED_RATIO * os.fstat(file.fileno()).st_size
        self._damage: Exception | None = None
        self.position = 0

    def read(self, size: int, /) -> bytes:
        """Up to ``size`` bytes; what comes before damage is still read."""
        parts: list[bytes] = []
        left = size
        while left and self._damage is None:
            try:
                data = self._stream.read1(left)
            except DAMAGE as error:
                self._damage = error
                break
            if not data:
                break
            parts.append(data)
            left -= len(data)
        if self._damage is not None and not parts:
            raise self._damage
        data = b"".join(parts)
        self.position += len(data)
        if self.position > self._most:
            raise ArchiveError(
                f"it unpacks to more than {MAX_UNPACKED_RATIO:,} times its size, as a bomb does"
            )
        return data

    def skip_to(self, offset: int) -> None:
        """Read on to an offset.

        Raises:
            EOFError: it ends before.
        """
        while self.position < offset:
            if not self.read(min(CHUNK, offset - self.position)):
                raise EOFError("the archive is cut off there")

    def close(self) -> None:
        """Close the file."""
        self._stream.close()
        self.file.close()
