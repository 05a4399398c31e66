"""Reads reports back: which inputs they name, and which hashes they state. Streaming, for a million rows."""

from __future__ import annotations

import csv
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import TextIOWrapper
from pathlib import Path
from typing import BinaryIO, TextIO

from sidscan.errors import UsageError
from sidscan.reports.base import (
    BINARY_FORMATS,
    REPORT_FORMAT_NUMBER,
    REPORT_FORMATS,
    BinaryFormat,
    ReportFormat,
)
from sidscan.reports.stated import StatedResult

PATH_BYTES = "path_bytes"
"""The column, behind ``path``, of names that are not UTF-8, in formats with types."""
HEAD_BYTES = 1 << 16  # bytes by which a file is recognised
LONGEST_LINE = 1 << 26  # bytes; a row is far shorter, even with all EXIF that a scan keeps
_BOM = b"\xef\xbb\xbf"
VERIFIED_COLUMNS = ("path", PATH_BYTES, "sha256", "saved_as", "perceptual_hash")
"""Columns that a `ReportRow` is made of."""
_SHA256 = re.compile("[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class ReportRow:
    """One input, as a report states it.

    Attributes:
        name: path or URL; bytes that are not UTF-8 as surrogate escapes, as `os.fsdecode` makes them.
        sha256: of the bytes that were read, hex; None if reading failed.
        saved_as: file that keeps the bytes of a URL, if there is one.
        perceptual_hash: of what the image shows, hex; None where the report does not say.
    """

    name: str
    sha256: str | None
    saved_as: str | None = None
    perceptual_hash: str | None = None


class DamagedReport(ValueError):
    """A row is not as sidscan writes it."""


class NewerReport(Exception):
    """A report has a format number that this version does not know."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


def format_of(head: bytes) -> str | None:
    """The format, e.g. ``csv``, of a report that begins so; None if it is not a report of sidscan."""
    head = head.removeprefix(_BOM)
    return next((suffix for suffix, form in REPORT_FORMATS.items() if form.recognises(head)), None)


def format_of_file(file: BinaryIO) -> str | None:
    """As `format_of`, of an open file; also formats that the first bytes alone don't tell."""
    file.seek(0)
    head = file.read(HEAD_BYTES)
    owners = (suffix for suffix, form in BINARY_FORMATS.items() if form.owns(head, file))
    return format_of(head) or next(owners, None)


def checked_row(name: object, sha256: object, saved_as: object, perceptual_hash: object = None) -> ReportRow:
    """A row of these values.

    Raises:
        DamagedReport: sidscan never writes such values.
    """
    if not isinstance(name, str) or not isinstance(saved_as, str | None):
        raise DamagedReport("a path is not text")
    if sha256 is not None and not (isinstance(sha256, str) and _SHA256.fullmatch(sha256)):
        raise DamagedReport("a sha256 is not 64 hexadecimal digits")
    # No hash is no harm: then no copies are found. It is as long as a sha256.
    shows = (
        perceptual_hash if isinstance(perceptual_hash, str) and _SHA256.fullmatch(perceptual_hash) else None
    )
    return ReportRow(name, sha256, saved_as, shows)


def check_comparable(selection: object, columns_missing: bool = False) -> None:
    """Refuse to compare a report that shows a part of its run: the rest would seem to be gone.

    Args:
        selection: what the report states of it (`records.Selection`); None if it shows all.

    Raises:
        UsageError: it shows a part.
    """
    remedy = "Compare the records, or whole reports: `sidscan report RECORD --out FILE` writes one."
    if selection is not None:
        raise UsageError("this report shows only some rows of its run, so it can't be compared", remedy)
    if columns_missing:
        raise UsageError("this report has only some columns, so it can't be compared", remedy)


def check_format_number(number: object) -> None:
    """Refuse reports of a later format; reports of format 1 have no number to check.

    Raises:
        NewerReport: the number is higher than this version's.
        DamagedReport: it is not a format number.
    """
    if type(number) is not int or number < 1:
        raise DamagedReport("its format number is not a positive integer")
    if number > REPORT_FORMAT_NUMBER:
        raise NewerReport(number)


def read_rows(text: BinaryIO, suffix: str, path: Path) -> Iterator[ReportRow]:
    """All rows of a report, in order.

    Args:
        text: the report as lines of text, at their start (`sidscan.isolation.reports.ReportText`).
        suffix: the report's format, as `format_of_file` gives it.
        path: the file's name, for messages.

    Raises:
        UsageError: the report is damaged, a newer sidscan wrote it, or another program rewrote it.
    """
    position = 0
    with _damage_as_usage_error(path, lambda: position):
        for row in _format(suffix).rows(lines_of(text)):
            position += 1
            yield row


def read_results(text: BinaryIO, suffix: str, path: Path) -> Iterator[StatedResult]:
    """As `read_rows`, with all that two runs may differ in."""
    position = 0
    with _damage_as_usage_error(path, lambda: position):
        for result in _format(suffix).results(lines_of(text)):
            checked_row(result.name, result.sha256, None)
            position += 1
            yield result


def redact(text: BinaryIO, suffix: str, path: Path, out: BinaryIO) -> list[str]:
    """Write a report again without what `reports.private` withholds; returns the columns that are emptied.

    Args:
        text, suffix, path: as for `read_rows`.

    Raises:
        UsageError: as `read_rows`; or reports of this format can't be redacted.
    """
    position = 0

    def counted(lines: Iterator[str]) -> Iterator[str]:
        nonlocal position
        for line in lines:
            yield line
            position += 1

    with _damage_as_usage_error(path, lambda: position):
        if suffix in BINARY_FORMATS:
            return BINARY_FORMATS[suffix].redact(counted(lines_of(text)), out)
        if text.read(len(_BOM)) == _BOM:
            out.write(_BOM)
        text.seek(0)
        with text_of(out) as written:
            return REPORT_FORMATS[suffix].redact(counted(lines_of(text)), written)


def _format(suffix: str) -> ReportFormat | BinaryFormat:
    return BINARY_FORMATS.get(suffix) or REPORT_FORMATS[suffix]


@contextmanager
def text_of(out: BinaryIO) -> Iterator[TextIO]:
    """Write a file of bytes as text, in UTF-8; it stays open."""
    text = TextIOWrapper(out, encoding="utf-8", newline="")
    try:
        yield text
        text.flush()
    finally:
        text.detach()


@contextmanager
def _damage_as_usage_error(path: Path, position: Callable[[], int]) -> Iterator[None]:
    """Errors of a report's content in words.

    Args:
        position: the number of rows that were good.
    """
    try:
        yield
    except NewerReport as error:
        raise UsageError(
            f"{path} was written by a newer sidscan: its format number is {error.number}, "
            f"this version reads up to {REPORT_FORMAT_NUMBER}",
            "Install the current sidscan: `pip install --upgrade sidscan`.",
        ) from error
    # ValueError: not UTF-8, not JSON, DamagedReport; LookupError, TypeError, AttributeError: other keys or
    # types; RecursionError: JSON that nests without end
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError, csv.Error) as error:
        why = str(error) if isinstance(error, DamagedReport) else "it is not as sidscan writes it"
        raise UsageError(
            f"{path} is damaged behind row {position()}: {why}", "Use the report as the scan wrote it."
        ) from error


def lines_of(file: BinaryIO) -> Iterator[str]:
    """Lines of UTF-8 text. The last one, too, must end in a newline: otherwise the report was cut."""
    number = 0
    while line := file.readline(LONGEST_LINE):
        if not line.endswith(b"\n"):
            raise DamagedReport("it ends early" if len(line) < LONGEST_LINE else "a line is endless")
        yield (line if number else line.removeprefix(_BOM)).decode("utf-8")
        number += 1
