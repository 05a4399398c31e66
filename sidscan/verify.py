"""Is the evidence still what a report recorded? Files are hashed again; nothing is fetched or decoded."""

from __future__ import annotations

import csv
import os
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from enum import Enum
from functools import partial
from pathlib import Path
from typing import BinaryIO

from sidscan.errors import OutputError, UsageError
from sidscan.reports import output_files, reader, sha256sums
from sidscan.reports.csv_escape import escape_cell
from sidscan.reports.reader import ReportRow
from sidscan.sources.lists import is_url
from sidscan.util import threads
from sidscan.util.files import NotAFile, atomic_write, open_file, real_path, sha256_of


class RowStatus(str, Enum):
    """What became of one row's file. Every row gets exactly one of these."""

    UNCHANGED = "unchanged"
    CHANGED = "changed"
    MISSING = "missing"
    UNREADABLE = "unreadable"
    NOT_RECORDED = "not recorded"
    URL = "url"


ALARMING = (RowStatus.CHANGED, RowStatus.MISSING, RowStatus.UNREADABLE)
"""Results that leave a recorded file unconfirmed."""
_COLUMNS = ("result", "path", "recorded_sha256", "sha256_now", "note")


@dataclass(frozen=True, slots=True)
class CheckedRow:
    """A row, and what was found.

    Attributes:
        sha256: of the file as it is now, hex; None where it was not read.
        note: why it was not read, or what is there instead; empty if there is nothing to say.
    """

    row: ReportRow
    result: RowStatus
    sha256: str | None = None
    note: str = ""


@dataclass(frozen=True)
class OpenReport:
    """A report that was read through once and is whole.

    Attributes:
        kind: ``csv``, ``json`` or ``jsonl``.
        rows: how many it has.
        sha256: of the report itself, hex.
    """

    path: Path
    kind: str
    rows: int
    sha256: str
    _file: BinaryIO

    def check(self, root: Path | None = None, workers: int | None = None) -> Iterator[CheckedRow]:
        """Every row in order, its file hashed again by ``workers`` threads.

        Args:
            root: folder that relative paths start from; None is the current one.

        Raises:
            UsageError: the report was changed meanwhile.
        """
        rows = reader.read_rows(self._file, self.kind, self.path)
        return threads.map_ordered(partial(_checked, root=root), rows, workers)


@contextmanager
def open_report(path: Path) -> Iterator[OpenReport]:
    """Read a report through, before hours of hashing.

    Raises:
        UsageError: it can't be read, is no report of sidscan, or is damaged.
    """
    try:
        file = open_file(path)
    except OSError as error:
        raise UsageError(
            f"can't read {path}: {error.strerror}", "Name a report of `sidscan scan`."
        ) from error
    with file:
        kind = reader.format_of(file.read(output_files.HEAD_BYTES))
        if kind is None:
            raise UsageError(
                f"{path} is no report of sidscan, or another program wrote it anew",
                "Name a .csv, .json or .jsonl report as `sidscan scan` wrote it.",
            )
        count = sum(1 for _ in reader.read_rows(file, kind, path))
        file.seek(0)
        yield OpenReport(path, kind, count, sha256_of(file), file)


def recorded_sha256(report: Path, hash_file: Path | None) -> tuple[Path, str] | None:
    """The detached hash file of a report, the one named or the one beside it, and what it states, if any.

    Raises:
        UsageError: it can't be read, or is none of this report.
    """
    path = hash_file or sha256sums.sums_path(report)
    if hash_file is None and not os.path.lexists(path):
        return None
    return path, sha256sums.read_sums(path, report.name)


def summary(counts: Counter[RowStatus]) -> str:
    """Counts in words: the parts add up to the whole."""
    words = {RowStatus.URL: "URLs (not fetched again)"}
    parts = " + ".join(f"{counts[result]} {words.get(result, result.value)}" for result in RowStatus)
    return f"{counts.total()} rows = {parts}"


@contextmanager
def csv_table(out: Path, overwrite: bool = False) -> Iterator[Callable[[CheckedRow], None]]:
    """A CSV file of what was found, one row per call; it appears when the block ends well.

    Raises:
        UsageError: its name does not end in .csv.
        OutputError: it can't be written, or something else is there.
    """
    if out.suffix.lower() != ".csv":
        raise UsageError(f"unknown kind of table: {out}", "End the name in .csv.")
    output_files.check_replaceable(
        out, lambda head: head.startswith(",".join(_COLUMNS[:2]).encode() + b","), overwrite
    )
    try:
        with (
            atomic_write(real_path(out)) as partial,
            partial.open("w", encoding="utf-8", newline="") as file,
        ):
            writer = csv.writer(file)  # RFC 4180
            writer.writerow(_COLUMNS)
            yield lambda one: writer.writerow(_cells(one))
    except OSError as error:
        raise OutputError(f"can't write {out}: {error.strerror}", "Choose another --out.") from error


def _cells(one: CheckedRow) -> list[str]:
    texts = (one.result.value, one.row.name, one.row.sha256, one.sha256, one.note)
    return [escape_cell(text or "") for text in texts]


def _path(name: str, root: Path | None) -> str:
    return os.path.join(root, name) if root else name  # noqa: PTH118  (Path would change some names)


def _checked(row: ReportRow, root: Path | None) -> CheckedRow:
    name = row.saved_as if is_url(row.name) else row.name
    if name is None:
        return CheckedRow(row, RowStatus.URL)
    if row.sha256 is None:
        return CheckedRow(row, RowStatus.NOT_RECORDED)
    found = _hashed(row, row.sha256, _path(name, root))
    return (
        found
        if name == row.name
        else replace(found, note="; ".join(filter(None, (f"saved as {name}", found.note))))
    )


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
    except ValueError:  # a NUL character, say, in a report that somebody edited
        return CheckedRow(row, RowStatus.MISSING, note="no file can have this name")
    return CheckedRow(row, RowStatus.UNCHANGED if sha256 == recorded else RowStatus.CHANGED, sha256)
