"""Verify a run: its own files first, then all images of its rows."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory

from sidscan.distributed.journals import PublishedJournal
from sidscan.distributed.place import RunPlace
from sidscan.distributed.run_folder import RUN, RunFolder
from sidscan.distributed.sums import changed_files, sums_name
from sidscan.errors import UsageError
from sidscan.isolation.reports import ReportText
from sidscan.reports import parquet_folder, reader
from sidscan.reports.reader import ReportRow
from sidscan.util.files import open_file
from sidscan.verify import OpenReport


@dataclass(frozen=True)
class OpenRun(OpenReport):
    """The rows of a run, as of a report.

    Attributes:
        run: the run.
        sums: the name of the file with its hashes.
        changed: files of the run that are not what that file says; rows are not read then.
    """

    run: RunFolder
    sums: str
    changed: tuple[str, ...]

    def read(self) -> Iterator[ReportRow]:
        """Yield every row in order."""
        published = self.run.published()
        with TemporaryDirectory(prefix="sidscan-verify-") as scratch:
            for each in self.run.current_plan().slices:
                path = self.run.store.get(published[each.digest], Path(scratch))
                with closing(PublishedJournal(path)) as journal:
                    for result in journal.results():
                        response = result.facts.response
                        yield ReportRow(
                            result.name, result.facts.sha256, response.saved_as if response else None
                        )


@dataclass(frozen=True)
class OpenParquetFolder(OpenReport):
    """The rows of a folder that ``collect --parquet-folder`` wrote, as of a report.

    Attributes:
        sums: the name of the file with its hashes.
        changed: files that are not what that file says; rows are not read then.
    """

    sums: str
    changed: tuple[str, ...]

    def read(self) -> Iterator[ReportRow]:
        """Yield every row in order."""
        for name in sorted(parquet_folder.read_sums(self.path)):
            path = self.path / name
            with open_file(path) as file, closing(ReportText(file, "parquet", path)) as text:
                yield from reader.read_rows(text.open(reader.VERIFIED_COLUMNS), "parquet", path)


@contextmanager
def open_folder(place: RunPlace) -> Iterator[OpenRun | OpenParquetFolder]:
    """Open a run whose results are all there, or its folder of Parquet; compare its files with its hashes.

    Raises:
        UsageError: it is neither, or has no hashes.
    """
    if isinstance(place, Path) and not (place / RUN).is_file():
        if not parquet_folder.is_parquet_folder(place):
            raise UsageError(f"{place} is a folder, and not a run of shards", "Name a report in it.")
        changed, text = tuple(parquet_folder.changed_files(place)), ReportText(io.BytesIO(), "", place)
        opened = OpenParquetFolder(place, "folder of Parquet", 0, "", text, parquet_folder.SUMS_NAME, changed)
        yield opened if changed else replace(opened, rows=sum(1 for _ in opened.read()))
        return
    run = RunFolder(place)
    plan = run.current_plan()
    changed = tuple(changed_files(run))
    path = Path(run.location)
    text = ReportText(io.BytesIO(), "", path)
    yield OpenRun(path, "run of shards", plan.inputs, "", text, run, sums_name(run, plan), changed)
