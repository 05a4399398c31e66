"""Zstandard, by Python 3.14 or by the package `backports.zstd`, which is the same code for earlier ones."""

from __future__ import annotations

import importlib
import sys
from typing import Any, BinaryIO

from sidscan.archives.entries import ArchiveError

SIGNATURE = b"\x28\xb5\x2f\xfd"
NEEDS_PACKAGE = (
    "it is compressed by Zstandard, which needs one package more: pip install backports.zstd; then run the "
    "scan again"
)
_MODULE = "compression.zstd" if sys.version_info >= (3, 14) else "backports.zstd"
_MAX_WINDOW_LOG = 27  # 128 MiB; zstd itself asks for permission beyond that (--long=31)


class ZstdStream:
    """A compressed file, unpacked; damage is a ValueError.

    Raises:
        ArchiveError: the package is missing.
    """

    def __init__(self, file: BinaryIO) -> None:
        try:
            zstd: Any = importlib.import_module(_MODULE)
        except ImportError as error:
            raise ArchiveError(NEEDS_PACKAGE) from error
        limits = {zstd.DecompressionParameter.window_log_max: _MAX_WINDOW_LOG}
        self._stream, self._error = zstd.ZstdFile(file, options=limits), zstd.ZstdError

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
