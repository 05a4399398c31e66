"""What a report format is, and the registry of all formats. Each module of a format registers itself here."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, TextIO

from sidscan.errors import UsageError
from sidscan.records import RunHeader, RunRecord, ScanResult

if TYPE_CHECKING:
    from sidscan.reports.reader import ReportRow
    from sidscan.reports.stated import StatedResult

REPORT_FORMAT_NUMBER = 2
"""Number of the layout that reports have today, whatever their format; docs/report.schema.json describes it.

Format 1 are the reports of sidscan 0.1.0, which hold no number. The number rises when a field or column is
removed, renamed or changes its meaning, not when one is added.
"""


RowWriter = Callable[[ScanResult], object]
"""Writes one result."""

JpegMaker = Callable[[bytes], bytes]
"""Makes a JPEG of a thumbnail (WebP); empty where that fails."""


@dataclass(frozen=True)
class FormatOptions:
    """What a user may choose of how formats are written.

    Attributes:
        csv_dialect: one of `csv.CSV_DIALECTS`.
        html_thumbs: where the small images of a page go: ``inline``, ``files`` beside it, or ``none``; None
            to let the number of rows decide.
        html_rows: rows above which no page is written.
        columns: the only columns of formats that have some, in this order; none means all.
        xlsx_thumbnails: opens what makes JPEG of thumbnails for workbooks; None leaves thumbnails out.
    """

    csv_dialect: str = "standard"
    html_thumbs: str | None = None
    html_rows: int = 250_000
    columns: tuple[str, ...] = ()
    xlsx_thumbnails: Callable[[], AbstractContextManager[JpegMaker]] | None = None


DEFAULT_OPTIONS = FormatOptions()


class OutputFormat(ABC):
    """What all formats of reports have in common. `ReportFormat` is text, `BinaryFormat` is not."""

    shows_thumbnails = False
    """Whether the scan makes a thumbnail of each image for it."""

    def folder_beside(self, report: Path) -> Path | None:  # noqa: ARG002  (html has one)
        """The folder in which a large report keeps a part of itself; None for a format of one file."""
        return None

    def remove_stale(self, report: Path) -> None:  # noqa: B027  (html has a folder)
        """Remove files beside a report that belong to the one that it replaced.

        Raises:
            OutputError: one can't be removed.
        """

    has_columns = False
    """Whether `FormatOptions.columns` changes what it writes."""

    @property
    def most_rows(self) -> int | None:
        """Rows above which `refusal` has a reason that the strongest results alone would not meet."""
        return None

    def refusal(self, rows: int) -> str:  # noqa: ARG002  (html has one)
        """Why a report of so many rows is not written; empty if it is."""
        return ""

    def remark(self, rows: int) -> str:  # noqa: ARG002  (csv has one)
        """What to say of a report of so many rows, once it is written; empty for nothing."""
        return ""

    @abstractmethod
    def write(self, record: RunRecord, path: Path, final: Path) -> None:
        """Write a whole report as a file. A million results must fit: hold only a few of them at a time.

        Args:
            path: the file to write.
            final: the name that it will have; a format of several files writes the others beside that.
        """


class ReportFormat(OutputFormat):
    """How reports of one format are written, recognised and read back, as text."""

    @abstractmethod
    def render(self, record: RunRecord, file: TextIO) -> None:
        """Write a whole report as text. A million results must fit: hold only a few of them at a time."""

    def configured(self, options: FormatOptions) -> ReportFormat:  # noqa: ARG002  (csv and html use them)
        """The format as options ask for it; itself, where none is about it."""
        return self

    def row_writer(self, header: RunHeader, file: TextIO) -> RowWriter | None:  # noqa: ARG002
        """What writes one result to ``file`` at each call; None for a format that has more than rows."""
        return None

    @property
    def streams(self) -> bool:
        """Whether a report can be written row by row."""
        return type(self).row_writer is not ReportFormat.row_writer

    def write(self, record: RunRecord, path: Path, final: Path) -> None:  # noqa: ARG002  (html needs it)
        """Write a whole report as a file, in UTF-8."""
        with path.open("w", encoding="utf-8", newline="") as file:
            self.render(record, file)

    @abstractmethod
    def recognises(self, head: bytes) -> bool:
        """Whether a file that begins with ``head`` is such a report.

        Reports of every format number must be recognised, newer ones included.
        """

    @abstractmethod
    def rows(self, lines: Iterator[str]) -> Iterator[ReportRow]:
        """The rows of a report, from its lines.

        Raises:
            NewerReport: its format number is higher than this version's (`reader.check_format_number`).
            ValueError, LookupError, TypeError: it is damaged; `reader.DamagedReport` says how.
        """

    def results(self, lines: Iterator[str]) -> Iterator[StatedResult]:  # noqa: ARG002  (formats use them)
        """The rows of a report with all that two runs may differ in, for `sidscan diff`.

        Raises:
            UsageError: the format has no such way.
            NewerReport, ValueError, LookupError, TypeError: as `rows`.
        """
        raise UsageError("reports of this format can't be compared", f"Compare {listed_suffixes()}.")

    def redact(self, lines: Iterator[str], file: TextIO) -> list[str]:  # noqa: ARG002  (formats use them)
        """Write a report again without what `reports.private` withholds; returns the columns it emptied.

        Raises:
            UsageError: the format has no such way.
            ValueError, LookupError, TypeError, AttributeError: the report is damaged.
        """
        raise UsageError(
            "reports of this format can't be redacted", "Write one as .csv, .json or .jsonl, and redact that."
        )


class BinaryFormat(OutputFormat):
    """How reports of one format are written, recognised and read back, as files that are not text."""

    extra = ""
    """The extra that brings what it needs; empty if nothing is needed."""

    @abstractmethod
    def configured(self, options: FormatOptions) -> BinaryFormat:
        """The format as options ask for it, ready to write.

        Raises:
            UsageError: what it needs is not installed.
        """

    @abstractmethod
    def owns(self, head: bytes, file: BinaryIO) -> bool:
        """Whether a file is such a report, of any format number; it may be anything.

        Args:
            head: its first bytes.
            file: the whole of it, at any position.
        """

    def check_readable(self) -> None:
        """Refuse to read where what it takes is not installed; nothing is loaded.

        Raises:
            RuntimeUnavailable: it is not.
        """

    @abstractmethod
    def unpacked(self, file: BinaryIO, path: Path, columns: Collection[str]) -> Iterator[bytes]:
        """A report as lines of text, which `rows` and `results` read; a part may be several, or half of one.

        Anybody may have made the file, so only `sidscan.isolation.report_worker` calls this, under limits.

        Args:
            file: open; no name that it had may matter.
            path: the file's name, for a library that opens files itself.
            columns: names of those that are read; with the model's name and a dot before it, too.

        Raises:
            DamagedReport: it says how it is damaged.
            Exception: it is damaged otherwise.
        """

    @abstractmethod
    def rows(self, lines: Iterator[str]) -> Iterator[ReportRow]:
        """The rows of a report, from its lines; errors as `ReportFormat.rows`.

        Raises:
            UsageError: it can't be read, for another reason than damage.
        """

    @abstractmethod
    def results(self, lines: Iterator[str]) -> Iterator[StatedResult]:
        """The same with all that two runs may differ in, for `sidscan diff`."""

    def redact(self, lines: Iterator[str], out: BinaryIO) -> list[str]:  # noqa: ARG002  (a format may use them)
        """As `ReportFormat.redact`, into a file of this format."""
        raise UsageError(
            "reports of this format can't be redacted",
            "Write it again without personal facts: `sidscan report RECORD --private --out NEW`.",
        )


REPORT_FORMATS: dict[str, ReportFormat] = {}
"""Every format of text by its file suffix without the dot, e.g. ``csv``."""
BINARY_FORMATS: dict[str, BinaryFormat] = {}
"""Every other format that can be read back, likewise."""


def report_format(suffix: str) -> Callable[[type[ReportFormat]], type[ReportFormat]]:
    """Class decorator: registers a format for files that end in ``.suffix``."""

    def register(implementation: type[ReportFormat]) -> type[ReportFormat]:
        REPORT_FORMATS[suffix] = implementation()
        return implementation

    return register


def binary_format(suffix: str) -> Callable[[type[BinaryFormat]], type[BinaryFormat]]:
    """Class decorator: registers a format that is not text for files that end in ``.suffix``."""

    def register(implementation: type[BinaryFormat]) -> type[BinaryFormat]:
        BINARY_FORMATS[suffix] = implementation()
        return implementation

    return register


def suffix_of(name: str) -> str:
    """The suffix by which a file's name chooses a format, without the dot; the longest that is known."""
    lower = Path(name).name.lower()
    known = [suffix for suffix in (*REPORT_FORMATS, *BINARY_FORMATS) if lower.endswith(f".{suffix}")]
    return max(known, key=len, default=Path(name).suffix.lstrip(".").lower())


def stem_of(report: Path) -> str:
    """A report's name without the suffix that chooses its format, e.g. ``report`` of ``report.jsonl.zst``."""
    suffix = suffix_of(report.name)
    return report.name[: -len(suffix) - 1] if suffix and report.stem else report.name


def listed_suffixes() -> str:
    """The suffixes of all formats that can be read back, for messages, e.g. ``.csv, .json or .jsonl``."""
    *others, last = (f".{suffix}" for suffix in (*REPORT_FORMATS, *BINARY_FORMATS))
    return f"{', '.join(others)} or {last}"
