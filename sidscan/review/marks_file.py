"""The file that keeps people's decisions beside a report: ``report.marks.csv`` of ``report.csv``.

It only grows: a decision that is changed or taken back is one more line. It is CSV, so that anybody can read
it without sidscan, and its lines vouch for one another: each ends in a check of all before it, and says where
its batch ends. So a file that was cut, edited or saved again by a spreadsheet is known, refused, and left as
it is. The checks find damage; they are no proof against somebody who means to forge a line.
"""

from __future__ import annotations

import csv
import hashlib
import io
import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import astuple, dataclass, fields, replace
from enum import Enum
from pathlib import Path

from sidscan.errors import OutputError
from sidscan.reports.base import stem_of
from sidscan.reports.csv_escape import escape_text, unescape_cell
from sidscan.reports.output_files import check_writable, locked
from sidscan.reports.reader import LONGEST_LINE
from sidscan.util.files import atomic_write, open_file, real_path, remove_leftovers

MARKS_FORMAT_NUMBER = 1
"""Number of the layout of the file; docs/reference/marks-file.md describes it."""
_FIRST_COLUMN = "sidscan_marks_"
_START = re.compile(rb"sidscan_marks_([1-9][0-9]{0,8}),")
_CHECK_DIGITS = 16
_PATIENCE = 20.0  # seconds to wait for another import
_RESTORE = "Restore it from a backup, or rename it and import the marks again from the files that you have."


class EntryKind(str, Enum):
    """What a line records."""

    DECISION = "decision"  # what a person decided of an image
    SETTLEMENT = "settlement"  # the same, in place of what anybody decided before
    SAME_IMAGE = "same image"  # a person says that `sha256` is a copy of `copy_of`
    OTHER_IMAGE = "other image"  # or that it is not


@dataclass(frozen=True, slots=True)
class MarkEntry:
    """One line of the file.

    Attributes:
        sha256: of the image's bytes, hex; empty for an input that could not be read, which its path names.
        perceptual_hash: of the image, hex; empty where it is not known.
        path: the name that the image had; bytes that are not UTF-8 as surrogate escapes.
        mark: ``suspicious``, ``cleared`` or ``later``; empty where none was given, or it was taken back.
        by: who decided.
        at: when, ISO 8601, UTC.
        copy_of: sha256 of the image that `EntryKind.SAME_IMAGE` and `EntryKind.OTHER_IMAGE` compare with.
        distance: bits in which the two perceptual hashes differ; None in decisions.
        imported_from: name of the file that the decision came in; empty if it came from the terminal.
        recorded_at: when the line was written, ISO 8601, UTC.
    """

    kind: EntryKind
    sha256: str
    path: str
    mark: str
    note: str
    by: str
    at: str
    perceptual_hash: str = ""
    copy_of: str = ""
    distance: int | None = None
    imported_from: str = ""
    recorded_at: str = ""

    @property
    def time(self) -> tuple[str, str]:
        """Orders decisions by time: nobody decides later than it is recorded, whatever their clock says."""
        return min(self.at, self.recorded_at or self.at), self.at


_NAMES = tuple(field.name for field in fields(MarkEntry))
_COLUMNS = ("batch_end", *_NAMES, "check")


class DamagedMarks(ValueError):
    """Why the file can't be trusted."""


def marks_path(report: Path) -> Path:
    """Where the marks of a report lie; reports of one run that differ in their suffix share the file."""
    return report.with_name(f"{stem_of(report)}.marks.csv")


def read_marks_file(path: Path) -> list[MarkEntry]:
    """All lines of a marks file, in order; none if there is no such file.

    Raises:
        OutputError: it can't be read, is damaged or cut, a newer sidscan wrote it, or it is something else.
    """
    content = _content(path)
    return [] if content is None else _parsed(path, content)


@contextmanager
def _beside_its_report() -> Iterator[None]:
    """The file has one place, so another --out is no remedy."""
    try:
        yield
    except OutputError as error:
        if "--out" not in error.remedy:
            raise
        raise OutputError(error.message, "Allow writing there: marks lie beside their report.") from error


@_beside_its_report()
def append_marks(path: Path, entries: Sequence[MarkEntry], recorded_at: str) -> None:
    """Add a batch of lines: all of them or none. What is there stays, byte for byte.

    Raises:
        OutputError: the file can't be written, or what is there is no whole marks file; it is left alone.
    """
    path = real_path(path)
    check_writable(path)
    with locked(path, _PATIENCE, busy="is being written by another sidscan marks"):
        content = _content(path)
        earlier = [] if content is None else _parsed(path, content)
        batch = [replace(entry, recorded_at=recorded_at) for entry in entries]
        remove_leftovers(path)
        try:
            with atomic_write(path) as partial:
                partial.write_bytes((content or b"") + _lines(content or b"", len(earlier), batch))
        except OSError as error:
            raise OutputError(
                f"can't write {path}: {error.strerror}", "Nothing is lost: run the same command again."
            ) from error


def _content(path: Path) -> bytes | None:
    """What is in the file; None if there is none. An empty file is no missing one: its marks are lost."""
    try:
        with open_file(path) as file:
            return file.read()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise OutputError(
            f"can't read the marks in {path}: {error.strerror}", "Check its permissions."
        ) from error


def _lines(content: bytes, earlier: int, batch: Sequence[MarkEntry]) -> bytes:
    """The bytes that add a batch to a file; its first line, too, if the file is empty."""
    new = b"" if content else _joined([f"{_FIRST_COLUMN}{MARKS_FORMAT_NUMBER}", *_COLUMNS]) + b"\r\n"
    check = _check_of_last(content or new)
    lines = [new]
    for number, entry in enumerate(batch, start=earlier + 1):
        line = _joined([str(number), str(earlier + len(batch)), *_cells(entry)])
        check = _check(check, line)
        lines.append(line + b"," + check + b"\r\n")
    return b"".join(lines)


def _check_of_last(content: bytes) -> bytes:
    last = content.rstrip(b"\r\n").rpartition(b"\n")[2]
    return _check(b"", last) if _START.match(last) else last.rpartition(b",")[2]


def _check(before: bytes, line: bytes) -> bytes:
    return hashlib.sha256(before + line).hexdigest()[:_CHECK_DIGITS].encode()


def _cells(entry: MarkEntry) -> Iterator[str]:
    for value in astuple(entry):
        if isinstance(value, EntryKind):
            yield value.value
        else:
            yield "" if value is None else escape_text(str(value))


def _joined(cells: Iterable[str]) -> bytes:
    text = io.StringIO()
    csv.writer(text, lineterminator="").writerow(cells)
    return text.getvalue().encode()


def _parsed(path: Path, content: bytes) -> list[MarkEntry]:
    """Raises OutputError, in words for people."""
    if not content:
        raise OutputError(f"{path} is empty, so the marks that it held are lost; it is left alone", _RESTORE)
    if not (start := _START.match(content)):
        raise OutputError(
            f"{path} is not a marks file of sidscan, or another program saved it again; it is left alone",
            _RESTORE,
        )
    if (number := int(start[1])) > MARKS_FORMAT_NUMBER:
        raise OutputError(
            f"{path} was written by a newer sidscan: its format number is {number}, "
            f"this version reads up to {MARKS_FORMAT_NUMBER}",
            "Install the current sidscan: `pip install --upgrade sidscan`.",
        )
    try:
        return _entries(content)
    # ValueError: not UTF-8, unknown kinds, DamagedMarks
    except (ValueError, csv.Error) as error:
        why = str(error) if isinstance(error, DamagedMarks) else "a line is not as sidscan writes it"
        raise OutputError(f"{path} is damaged: {why}; it is left alone", _RESTORE) from error


def _entries(content: bytes) -> list[MarkEntry]:
    if not content.endswith(b"\r\n"):
        raise DamagedMarks("it ends early")
    csv.field_size_limit(max(csv.field_size_limit(), LONGEST_LINE))
    first, *lines = content.split(b"\r\n")[:-1]
    if first != _joined([f"{_FIRST_COLUMN}{MARKS_FORMAT_NUMBER}", *_COLUMNS]):
        raise DamagedMarks("its first line was changed")
    entries, check, end = list[MarkEntry](), _check(b"", first), "0"
    for number, line in enumerate(lines, start=1):
        body, _, stated = line.rpartition(b",")
        check = _check(check, body)
        if check != stated:
            raise DamagedMarks(f"line {number + 1} or one before it was changed, or is missing")
        stated_number, end, *cells = next(csv.reader([body.decode()], strict=True))
        if stated_number != str(number):
            raise DamagedMarks(f"line {number + 1} has the number {stated_number}")
        entries.append(_entry(cells))
    if end != str(len(entries)):
        raise DamagedMarks(f"it ends early: line {len(entries) + 2} is missing")
    return entries


def _entry(cells: list[str]) -> MarkEntry:
    values = dict(zip(_NAMES, map(unescape_cell, cells), strict=True))
    distance = values.pop("distance")
    kind = EntryKind(values.pop("kind"))
    return MarkEntry(kind=kind, distance=int(distance) if distance else None, **values)
