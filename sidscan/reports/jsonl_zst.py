"""JSON Lines, compressed by Zstandard: the lines of ``.jsonl``, in a fifth of the space or less."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from pathlib import Path
from typing import BinaryIO

from sidscan.archives import zstandard
from sidscan.errors import UsageError
from sidscan.libraries import install_command, require
from sidscan.records import RunRecord
from sidscan.reports.base import BinaryFormat, FormatOptions, binary_format
from sidscan.reports.json import JsonLinesReport
from sidscan.reports.reader import HEAD_BYTES, ReportRow, text_of
from sidscan.reports.stated import StatedResult

_PART = 1 << 18  # bytes that are unpacked at once


@binary_format("jsonl.zst")
class CompressedJsonLinesReport(BinaryFormat):
    """What `JsonLinesReport` writes, as one Zstandard frame. The same lines give the same bytes."""

    extra = "zstd"
    has_columns = True

    def __init__(self, lines: JsonLinesReport | None = None) -> None:
        self._lines = lines or JsonLinesReport()

    def configured(self, options: FormatOptions) -> CompressedJsonLinesReport:
        """The format with some columns."""
        require("a .jsonl.zst report", zstandard.MODULE)
        return CompressedJsonLinesReport(self._lines.configured(options))

    def write(self, record: RunRecord, path: Path, final: Path) -> None:  # noqa: ARG002
        """Write all lines."""
        with path.open("wb") as file, zstandard.compressed(file) as stream, text_of(stream) as text:
            self._lines.render(record, text)

    def owns(self, head: bytes, file: BinaryIO) -> bool:  # noqa: ARG002
        """By the first keys of the first line; never without what unpacks it."""
        if not head.startswith(zstandard.SIGNATURE):
            return False
        try:
            return self._lines.recognises(zstandard.unpacked_start(head, HEAD_BYTES))
        except ImportError:
            return False

    def unpacked(self, file: BinaryIO, path: Path, columns: Collection[str]) -> Iterator[bytes]:  # noqa: ARG002
        """The lines of ``.jsonl``."""
        file.seek(0)
        with zstandard.unpacked(file) as stream:
            while part := stream.read(_PART):
                yield part

    def rows(self, lines: Iterator[str]) -> Iterator[ReportRow]:
        """One row per line."""
        return self._lines.rows(lines)

    def results(self, lines: Iterator[str]) -> Iterator[StatedResult]:
        """The same with all that two runs may differ in."""
        return self._lines.results(lines)

    def redact(self, lines: Iterator[str], out: BinaryIO) -> list[str]:
        """Line by line."""
        with zstandard.compressed(out) as packed, text_of(packed) as text:
            return self._lines.redact(lines, text)


def check_unpackable(head: bytes, path: Path) -> None:
    """Say of a file that no format recognises whether the package that unpacks it is missing.

    Args:
        head: its first bytes.

    Raises:
        UsageError: it is.
    """
    if not head.startswith(zstandard.SIGNATURE):
        return
    try:
        zstandard.unpacked_start(head, 1)
    except ImportError as error:
        raise UsageError(
            f"{path} is compressed by Zstandard, which needs one package more",
            f"`{install_command('backports.zstd')}` brings it.",
        ) from error
