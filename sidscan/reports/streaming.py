"""A report on standard output that is written row by row, while the scan runs."""

from __future__ import annotations

from collections.abc import Callable

from sidscan.records import RunRecord, ScanResult
from sidscan.reports.base import ReportFormat, RowWriter
from sidscan.reports.output_files import ReportOutput, printing


class StreamedReport(ReportOutput):
    """Standard output that gets each result as soon as it is durable, in a format of rows alone.

    Attributes:
        closed: nobody reads standard output any more, as after ``| head``; nothing more is written.
    """

    closed = False
    _write_row: RowWriter | None = None
    _is_shown: Callable[[ScanResult], bool]

    def begin(self, record: RunRecord, is_shown: Callable[[ScanResult], bool] = lambda _: True) -> None:
        """Write the results that an earlier run left.

        Args:
            is_shown: whether a result is written at all.

        Raises:
            OutputError: standard output can't be written.
        """
        self._is_shown = is_shown
        assert isinstance(self.format, ReportFormat)  # only text is streamed
        with printing() as stream:
            self._write_row = self.format.row_writer(record.header(), stream)
        for result in record.results():
            self.add(result)

    def add(self, result: ScanResult) -> bool:
        """Write and flush one result, if it is shown; False if nobody reads it.

        Raises:
            OutputError: standard output can't be written.
        """
        assert self._write_row is not None
        try:
            if not self.closed and self._is_shown(result):
                with printing():
                    self._write_row(result)
        except BrokenPipeError:
            self.closed = True
        return not self.closed

    def write(self, record: RunRecord) -> None:
        """Write what is not written yet: everything, unless it was begun."""
        if self._write_row is None:
            self.begin(record)

    def location(self) -> str:
        """Standard output, and how much of it was read."""
        return f"{super().location()}, closed by its reader" if self.closed else super().location()
