"""Compare files with the sha256 that a report recorded: hash them again; fetch and decode nothing."""

from __future__ import annotations

import csv
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from sidscan.config import ReadLimits, ScanConfig
from sidscan.errors import UsageError
from sidscan.isolation.reports import ReportText
from sidscan.journal.file import SQLITE_SIGNATURE
from sidscan.records import Failure
from sidscan.reports import listed_suffixes, output_files, reader, sha256sums
from sidscan.reports.csv import check_columns
from sidscan.reports.csv_escape import escape_cell
from sidscan.reports.jsonl_zst import check_unpackable
from sidscan.reports.reader import ReportRow
from sidscan.sources.lists import is_url
from sidscan.util import threads
from sidscan.util.files import NotAFile, open_file, sha256_of
from sidscan.util.member_names import find_archive, has_file_and_archive
from sidscan.util.object_urls import is_object_url, parse_object_url

if TYPE_CHECKING:
    from sidscan.isolation.archives import ArchiveReader


class RowStatus(str, Enum):
    """The result of checking one row's file. Every row gets exactly one of these."""

    UNCHANGED = "unchanged"
    CHANGED = "changed"
    MISSING = "missing"
    UNREADABLE = "unreadable"
    NOT_RECORDED = "not recorded"
    URL = "url"
    OBJECT = "object"  # of a store that nobody named, so it is not read


ALARMING = (RowStatus.CHANGED, RowStatus.MISSING, RowStatus.UNREADABLE)
"""A recorded file with one of these is not confirmed."""
_COLUMNS = ("result", "path", "recorded_sha256", "sha256_now", "note")


@dataclass(frozen=True, slots=True)
class CheckedRow:
    """A row of a report, and whether its file is still the same.

    Attributes:
        sha256: of the file as it is now, hex; None where it was not read.
        note: why it was not read, or what is there instead; may be empty.
    """

    row: ReportRow
    status: RowStatus
    sha256: str | None = None
    note: str = ""


@dataclass(frozen=True)
class OpenReport:
    """A report that was read to its end once and is not damaged.

    Attributes:
        kind: its format, as `reader.format_of_file` gives it, e.g. ``csv``.
        rows: the number of rows.
        sha256: of the report itself, hex.
    """

    path: Path
    kind: str
    rows: int
    sha256: str
    _text: ReportText

    def check(
        self, root: Path | None = None, workers: int | None = None, buckets: Sequence[str] = ()
    ) -> Iterator[CheckedRow]:
        """Yield every row in order, with the result of hashing its file again.

        Args:
            root: folder that relative paths start from; None is the current folder.
            workers: threads that hash; None is one per core.
            buckets: object stores that may be read, as ``s3://BUCKET``: a report is somebody else's text.

        Raises:
            UsageError: the report was changed meanwhile.
        """
        objects = _Objects(buckets)
        with closing(_Archives()) as archives:
            rows = (_task(row, root, archives, objects) for row in self.read())
            yield from threads.map_ordered(_checked, rows, workers)

    def read(self) -> Iterator[ReportRow]:
        """Yield every row in order.

        Raises:
            UsageError: the report was changed meanwhile.
        """
        return reader.read_rows(self._text.open(reader.VERIFIED_COLUMNS), self.kind, self.path)

    def redact(self, out: BinaryIO) -> list[str]:
        """Write the report again without what `reports.private` withholds; returns the columns it emptied.

        Raises:
            UsageError: reports of this format can't be redacted, or this one is damaged.
        """
        return reader.redact(self._text.open(), self.kind, self.path, out)


@contextmanager
def open_report(path: Path) -> Iterator[OpenReport]:
    """Open a report and read it to its end, so that damage is found before hours of hashing.

    Raises:
        UsageError: the file can't be read, is not a report of sidscan, or is damaged.
    """
    try:
        file = open_file(path)
    except OSError as error:
        raise UsageError(
            f"can't read {path}: {error.strerror}", "Name a report of `sidscan scan`."
        ) from error
    with file:
        kind = reader.format_of_file(file)
        file.seek(0)
        head = file.read(reader.HEAD_BYTES)
        if kind is None and head.startswith(SQLITE_SIGNATURE):
            raise UsageError(
                f"{path} is the record of a scan, not a report", "Name a report that this scan wrote."
            )
        if kind is None and path.suffix.lower() == ".xlsx":
            raise UsageError(
                f"{path} is a workbook, which can't be read back",
                "Name another report of the same scan; `sidscan report RECORD --out FILE.csv` writes one.",
            )
        if kind is None:
            check_columns(head, path)
            check_unpackable(head, path)
            raise UsageError(
                f"{path} is not a report of sidscan, or another program rewrote it",
                f"Name a {listed_suffixes()} report as `sidscan scan` wrote it.",
            )
        with closing(ReportText(file, kind, path)) as text:
            lines = text.open(reader.VERIFIED_COLUMNS)
            count = sum(1 for _ in reader.read_rows(lines, kind, path))
            file.seek(0)
            yield OpenReport(path, kind, count, sha256_of(file), text)


def recorded_sha256(report: Path, hash_file: Path | None) -> tuple[Path, str] | None:
    """The hash file of a report, and the sha256 that it states; None if there is no hash file.

    Args:
        hash_file: None is the file beside the report, if there is one.

    Raises:
        UsageError: the hash file can't be read, or is of another report.
    """
    path = hash_file or sha256sums.sums_path(report)
    if hash_file is None and not os.path.lexists(path):
        return None
    return path, sha256sums.read_sums(path, report.name)


@contextmanager
def csv_table(out: Path, overwrite: bool = False) -> Iterator[Callable[[CheckedRow], None]]:
    """Write checked rows to a CSV file, one per call; the file appears when the block ends without an error.

    Raises:
        UsageError: the file's name does not end in .csv.
        OutputError: the file can't be written, or something is there.
    """
    if out.suffix.lower() != ".csv":
        raise UsageError(f"unknown kind of table: {out}", "End the name in .csv.")
    with output_files.new_file(out, overwrite) as file:
        writer = csv.writer(file)  # RFC 4180
        writer.writerow(_COLUMNS)
        yield lambda checked: writer.writerow(_cells(checked))


def _cells(checked: CheckedRow) -> list[str]:
    row = checked.row
    values = (checked.status.value, row.name, row.sha256, checked.sha256, checked.note)
    return [escape_cell(value or "") for value in values]


class _Archives:
    """Hashes members of archives; what it takes for that is loaded with the first one."""

    def __init__(self) -> None:
        self._reader: ArchiveReader | None = None

    def hash_later(self, path: str) -> Future[str | Failure] | None:
        """The sha256 of a member, hex; None if the path is not that of a member."""
        if find_archive(path) is None and not has_file_and_archive(path):
            return None
        if self._reader is None:
            from sidscan.isolation.archives import ArchiveReader
            from sidscan.isolation.protocol import WorkerOptions

            limits = WorkerOptions(ScanConfig.memory_limit, ScanConfig.item_timeout, ReadLimits())
            self._reader = ArchiveReader(limits)
        return self._reader.hash_later(path)

    def close(self) -> None:
        """End the process that reads them."""
        if self._reader is not None:
            self._reader.close()


class _Objects:
    """Hashes objects of the buckets that somebody named.

    Raises:
        RuntimeUnavailable: what reads them is not installed.
    """

    def __init__(self, buckets: Sequence[str]) -> None:
        self._allowed = {parse_object_url(bucket).store for bucket in buckets}
        if self._allowed:
            from sidscan.fetch.object_stores import ObjectStores, StoreLimits, require_obstore

            require_obstore()
            self._stores = ObjectStores(StoreLimits())

    def may_read(self, name: str) -> bool:
        """Whether a name is one of an object in these buckets."""
        if not self._allowed or not is_object_url(name):
            return False
        try:
            return parse_object_url(name).store in self._allowed
        except ValueError:  # a report is somebody else's text
            return False

    def checked(self, row: ReportRow) -> CheckedRow:
        """The result for an object."""
        from sidscan.fetch.errors import FetchError, NoSuchObject

        try:
            sha256 = self._stores.sha256(row.name)
        except FetchError as error:
            missing = isinstance(error, NoSuchObject)
            return CheckedRow(row, RowStatus.MISSING if missing else RowStatus.UNREADABLE, note=str(error))
        return CheckedRow(row, RowStatus.UNCHANGED if sha256 == row.sha256 else RowStatus.CHANGED, sha256)


def _is_remote(name: str) -> bool:
    return is_url(name) or is_object_url(name)


@dataclass(frozen=True, slots=True)
class _Task:
    """A row to check.

    Attributes:
        path: of the file with the recorded bytes; None if there is none.
        sha256: of a member of an archive, read in the order of the rows.
        objects: what reads the row's object.
    """

    row: ReportRow
    path: str | None = None
    sha256: Future[str | Failure] | None = None
    objects: _Objects | None = None


def _task(row: ReportRow, root: Path | None, archives: _Archives, objects: _Objects) -> _Task:
    if row.sha256 is not None and objects.may_read(row.name):
        return _Task(row, row.name, objects=objects)
    name = row.saved_as if _is_remote(row.name) else row.name
    if name is None or row.sha256 is None:
        return _Task(row, name)
    path = os.path.join(root, name) if root else name  # noqa: PTH118  (Path would change some names)
    return _Task(row, path, archives.hash_later(path))


def _checked(task: _Task) -> CheckedRow:
    row = task.row
    if task.path is None:
        return CheckedRow(row, RowStatus.URL if is_url(row.name) else RowStatus.OBJECT)
    if row.sha256 is None:
        return CheckedRow(row, RowStatus.NOT_RECORDED)
    if task.objects is not None:
        return task.objects.checked(row)
    if task.sha256 is not None:
        checked = _member_checked(row, task.sha256.result())
        if checked.status is RowStatus.UNCHANGED or not has_file_and_archive(task.path):
            return checked
    checked = _hashed(row, row.sha256, task.path)
    if not _is_remote(row.name):
        return checked
    return replace(checked, note="; ".join(filter(None, (f"saved as {row.saved_as}", checked.note))))


def _member_checked(row: ReportRow, sha256: str | Failure) -> CheckedRow:
    if isinstance(sha256, Failure):
        missing = sha256.error in ("NoSuchMember", "FileNotFoundError")
        return CheckedRow(row, RowStatus.MISSING if missing else RowStatus.UNREADABLE, note=sha256.message)
    return CheckedRow(row, RowStatus.UNCHANGED if sha256 == row.sha256 else RowStatus.CHANGED, sha256)


def _hashed(row: ReportRow, recorded: str, path: str) -> CheckedRow:
    try:
        with open_file(path) as file:
            sha256 = sha256_of(file)
    except (FileNotFoundError, NotADirectoryError):
        return CheckedRow(row, RowStatus.MISSING)
    except NotAFile:
        return CheckedRow(row, RowStatus.CHANGED, note="not a regular file")
    except OSError as error:
        return CheckedRow(row, RowStatus.UNREADABLE, note=error.strerror or type(error).__name__)
    except ValueError:  # e.g. a NUL character, in a report that somebody edited
        return CheckedRow(row, RowStatus.MISSING, note="no file can have this name")
    return CheckedRow(row, RowStatus.UNCHANGED if sha256 == recorded else RowStatus.CHANGED, sha256)
