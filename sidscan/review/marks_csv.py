"""Reads the CSV of marks that the HTML report exports, also after a spreadsheet saved it again.

What a spreadsheet changes is read right where only one reading is possible, and refused otherwise.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path

from sidscan.errors import UsageError
from sidscan.reports.csv_escape import unescape_cell
from sidscan.reports.reader import LONGEST_LINE
from sidscan.review.marks import image_key, person_key
from sidscan.review.marks_file import EntryKind, MarkEntry
from sidscan.util.files import open_file

WORDS = ("suspicious", "cleared", "later")
"""What a person may decide of an image."""
NO_MARK = "none"
"""Stands in an export for a mark that was taken back, or for a note alone."""
_DELIMITERS = ",;\t"
_NAMES = {"marked_at": "mark_at", "at": "mark_at", "by": "mark_by"}  # other names of columns -> ours
_NEEDED = ("sha256", "mark")
_SHA256 = re.compile("[0-9a-f]{64}")
_REPORT_ID = re.compile("[0-9a-f]{16}")
_AS_NUMBER = re.compile(r"[\d.,]+(?:E\+\d+)?")  # what a spreadsheet makes of digits
_TIME = re.compile(r"(\d{4}-\d\d-\d\d)[T ](\d\d:\d\d(?::\d\d)?)(?:[.,]\d+)?(Z|[+-]\d\d:?\d\d)?")
_SAVE_AGAIN = "Export the marks from the report again; a spreadsheet must save them as CSV UTF-8."


@dataclass(frozen=True, slots=True)
class ImportedMarks:
    """What one file holds.

    Attributes:
        entries: a decision per image, in the order of the file.
        blank: rows without a mark and a note, which decide nothing.
    """

    entries: tuple[MarkEntry, ...]
    blank: int


class _Unreadable(ValueError):
    """What is wrong with a row, and what to do."""

    def __init__(self, message: str, remedy: str = "Mend the row, or export the marks again.") -> None:
        super().__init__(message)
        self.remedy = remedy


def read_marks_csv(path: Path, by: str, now: str, settle: bool = False) -> ImportedMarks:
    """The decisions in a file.

    Args:
        by: who decided where a row names nobody; empty if nobody said.
        now: time of a row that states none, ISO 8601, UTC.
        settle: the decisions replace what anybody decided before.

    Raises:
        UsageError: the file can't be read, holds no marks, or a row has more than one reading.
    """
    table = _table(path, _text(path))
    kind = EntryKind.SETTLEMENT if settle else EntryKind.DECISION
    entries, blank = dict[tuple[str, str, str], tuple[int, MarkEntry]](), 0
    for number, row in table:
        try:
            entry = _entry(row, kind, by, now, path.name)
            _check_report_id(row.get("report_id", "").strip())
            if entry is None:
                blank += 1
                continue
            image_person_time = (image_key(entry.sha256, entry.path), person_key(entry.by), entry.at)
            known = entries.setdefault(image_person_time, (number, entry))
            _check_equal(known, entry)
        except _Unreadable as error:
            raise UsageError(f"row {number} of {path}: {error}", error.remedy) from error
    return ImportedMarks(tuple(entry for _, entry in entries.values()), blank)


def _text(path: Path) -> str:
    try:
        with open_file(path) as file:
            data = file.read()
    except (OSError, ValueError) as error:
        raise UsageError(
            f"can't read the marks in {path}: {getattr(error, 'strerror', None) or error}",
            "Name the CSV file that the HTML report exported.",
        ) from error
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UsageError(
            f"the marks in {path} are not UTF-8 text, so names and notes can't be read right", _SAVE_AGAIN
        ) from error


def _table(path: Path, text: str) -> Iterator[tuple[int, dict[str, str]]]:
    """The rows below the names of the columns, each with its line number in a spreadsheet."""
    csv.field_size_limit(max(csv.field_size_limit(), LONGEST_LINE))
    delimiter, names = _header(path, text)
    number = 0
    try:
        for number, cells in enumerate(csv.reader(io.StringIO(text), delimiter=delimiter, strict=True), 1):
            if number == 1 or not any(map(str.strip, cells)):
                continue
            if len(cells) != len(names):
                raise _Unreadable(f"it has {len(cells)} cells, and the first row names {len(names)} columns")
            yield number, dict(zip(names, cells, strict=True))
    except (csv.Error, _Unreadable) as error:
        raise UsageError(f"row {number or 1} of {path} can't be read: {error}", _SAVE_AGAIN) from error


def _header(path: Path, text: str) -> tuple[str, list[str]]:
    line = text.partition("\n")[0].rstrip("\r")
    for delimiter in _DELIMITERS:
        names = [name.strip().casefold() for name in next(csv.reader([line], delimiter=delimiter), [])]
        names = [_NAMES.get(name, name) for name in names]
        if all(name in names for name in _NEEDED):
            if repeated := next((name for name in names if name and names.count(name) > 1), None):
                raise UsageError(f"{path} has two columns {repeated}", "Give each its own name.")
            return delimiter, names
    raise UsageError(
        f"{path} holds no marks: its first line names no columns sha256 and mark",
        "Name the file that `Export marks` in the HTML report wrote, and the report last.",
    )


def _entry(row: Mapping[str, str], kind: EntryKind, by: str, now: str, file: str) -> MarkEntry | None:
    """The decision of a row; None if it holds none."""
    mark, note = _mark(row["mark"]), unescape_cell(row.get("note", ""))
    if not row["mark"].strip() and not note:
        return None
    sha256, path = row["sha256"].strip().lower(), unescape_cell(row.get("path", ""))
    if sha256 and not _SHA256.fullmatch(sha256):
        raise _Unreadable(f"its sha256 {sha256[:70]!r} is not 64 hexadecimal digits")
    if not sha256 and not path:
        raise _Unreadable("it names no image: sha256 and path are empty")
    person = " ".join(unescape_cell(row.get("mark_by", "")).split()) or by
    if not person:
        raise _Unreadable("it does not say who decided", "Name the person with --by NAME.")
    at = _time(row.get("mark_at", "").strip()) or now
    return MarkEntry(kind, sha256, path, mark, note, person, at, imported_from=file)


def _mark(cell: str) -> str:
    word = cell.strip().casefold()
    if word not in (*WORDS, NO_MARK, ""):
        raise _Unreadable(f"its mark {cell[:40]!r} is none of {', '.join(WORDS)} and {NO_MARK}")
    return "" if word == NO_MARK else word


def _time(cell: str) -> str:
    """A time as ISO 8601, UTC; the page writes UTC, so a time without an offset has lost its Z."""
    if not cell:
        return ""
    match = _TIME.fullmatch(cell)
    if not match:
        raise _Unreadable(
            f"its time {cell[:40]!r} is not as the report writes it (2026-01-31T18:30:00Z)",
            "A spreadsheet changed it: export the marks again and save that file, or leave the cell empty.",
        )
    offset = (match[3] or "Z").replace("Z", "+00:00")
    offset = offset if ":" in offset else f"{offset[:3]}:{offset[3:]}"
    try:
        time = datetime.fromisoformat(f"{match[1]}T{match[2]}{offset}")
        return time.astimezone(timezone.utc).isoformat(timespec="seconds")
    except (ValueError, OverflowError) as error:
        raise _Unreadable(f"its time {cell[:40]!r} is no time") from error


def _check_report_id(stated: str) -> None:
    """It is the last cell of an export, so a part of one shows that the file was cut."""
    if stated and not _REPORT_ID.fullmatch(stated) and not _AS_NUMBER.fullmatch(stated):
        raise _Unreadable(f"its report_id {stated[:40]!r} is not 16 hexadecimal digits; was the file cut?")


def _check_equal(known: tuple[int, MarkEntry], entry: MarkEntry) -> None:
    """Images with equal bytes share a mark, so an export names each of them; a person may have edited one."""
    number, other = known
    if (other.mark, other.note) != (entry.mark, entry.note):
        raise _Unreadable(
            f"row {number} is of the same image, person and time, and says something else",
            "Keep the row that counts, and remove the other.",
        )
