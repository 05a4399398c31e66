"""JSON Lines, compressed by Zstandard: the lines of ``.jsonl``, in a fifth of the space or less."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from sidscan.archives import zstandard
from sidscan.errors import UsageError
from sidscan.libraries import install_command, require
from sidscan.records import RunRecord
from sidscan.reports.base import BinaryFormat, FormatOptions, binary_format
from sidscan.reports.json import JsonLinesReport
from sidscan.reports.reader import HEAD_BYTES, ReportRow, lines_of, text_of
from sidscan.reports.stated import StatedResult


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

    def read_rows(self, file: BinaryIO, path: Path) -> Iterator[ReportRow]:  # noqa: ARG002
        """One row per line."""
        file.seek(0)
        with zstandard.unpacked(file) as stream:
            yield from self._lines.rows(lines_of(stream))

    def read_results(self, file: BinaryIO, path: Path) -> Iterator[StatedResult]:  # noqa: ARG002
        """The same with all that two runs may differ in."""
        file.seek(0)
        with zstandard.unpacked(file) as stream:
            yield from self._lines.results(lines_of(stream))

    def redact(self, file: BinaryIO, out: BinaryIO) -> list[str]:
        """Line by line."""
        file.seek(0)
        with (
            zstandard.unpacked(file) as stream,
            zstandard.compressed(out) as packed,
            text_of(packed) as text,
        ):
            return self._lines.redact(lines_of(stream), text)


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
