"""Zstandard, by Python 3.14 or by the package `backports.zstd`, which is the same code for earlier ones."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, BinaryIO, cast

from sidscan.archives.entries import ArchiveError

SIGNATURE = b"\x28\xb5\x2f\xfd"
NEEDS_PACKAGE = (
    "it is compressed by Zstandard, which needs one package more: pip install backports.zstd; then run the "
    "scan again"
)
MODULE = "compression.zstd" if sys.version_info >= (3, 14) else "backports.zstd"
_MAX_WINDOW_LOG = 27  # 128 MiB; zstd itself asks for permission beyond that (--long=31)


class ZstdStream:
    """A compressed file, unpacked; damage is a ValueError.

    Raises:
        ArchiveError: the package is missing.
    """

    def __init__(self, file: BinaryIO) -> None:
        try:
            zstd: Any = importlib.import_module(MODULE)
        except ImportError as error:
            raise ArchiveError(NEEDS_PACKAGE) from error
        self._stream, self._error = zstd.ZstdFile(file, options=_limits(zstd)), zstd.ZstdError

    def read1(self, size: int) -> bytes:
        """Up to ``size`` bytes; none at the end."""
        try:
            data: bytes = self._stream.read1(size)
        except self._error as error:
            raise ValueError(str(error)) from error
        return data

    def close(self) -> None:
        """Close the stream, not the file."""
        self._stream.close()


@contextmanager
def compressed(file: BinaryIO) -> Iterator[BinaryIO]:
    """What is written to it goes into ``file``, compressed; the same content gives the same bytes.

    Raises:
        ImportError: the package is missing.
    """
    zstd: Any = importlib.import_module(MODULE)
    with zstd.ZstdFile(file, "wb") as stream:
        yield cast(BinaryIO, stream)


@contextmanager
def unpacked(file: BinaryIO) -> Iterator[BinaryIO]:
    """The content of a compressed file, from its position on; damage is a ValueError.

    Raises:
        ImportError: the package is missing.
    """
    zstd: Any = importlib.import_module(MODULE)
    try:
        with zstd.ZstdFile(file, options=_limits(zstd)) as stream:
            yield cast(BinaryIO, stream)
    except (zstd.ZstdError, EOFError) as error:
        raise ValueError(str(error)) from error


def unpacked_start(head: bytes, size: int) -> bytes:
    """The first bytes, ``size`` at most, of what begins with ``head``; none if that is damaged.

    Raises:
        ImportError: the package is missing.
    """
    zstd: Any = importlib.import_module(MODULE)
    try:
        return bytes(zstd.ZstdDecompressor(options=_limits(zstd)).decompress(head, size))
    except zstd.ZstdError:
        return b""


def _limits(zstd: Any) -> dict[Any, int]:
    return {zstd.DecompressionParameter.window_log_max: _MAX_WINDOW_LOG}
