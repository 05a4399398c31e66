"""Verify a run: its own files first, then all images of its rows."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from sidscan.distributed.journals import PublishedJournal
from sidscan.distributed.place import RunPlace
from sidscan.distributed.run_folder import RUN, RunFolder
from sidscan.distributed.sums import changed_files
from sidscan.errors import UsageError
from sidscan.isolation.reports import ReportText
from sidscan.reports.reader import ReportRow
from sidscan.verify import OpenReport


@dataclass(frozen=True)
class OpenRun(OpenReport):
    """The rows of a run, as of a report.

    Attributes:
        run: the run.
        changed: files of the run that are not what its SHA256SUMS says; rows are not read then.
    """

    run: RunFolder
    changed: tuple[str, ...]

    def read(self) -> Iterator[ReportRow]:
        """Yield every row in order."""
        scoring = self.run.scoring()
        assert scoring is not None
        with TemporaryDirectory(prefix="sidscan-verify-") as scratch:
            for each in self.run.current_plan().slices:
                path = self.run.store.get(self.run.journal_name(each.digest, scoring), Path(scratch))
                with closing(PublishedJournal(path)) as journal:
                    for result in journal.results():
                        response = result.facts.response
                        yield ReportRow(
                            result.name, result.facts.sha256, response.saved_as if response else None
                        )


@contextmanager
def open_run(place: RunPlace) -> Iterator[OpenRun]:
    """Open a run whose results are all there, and compare its files with its hashes.

    Raises:
        UsageError: it is not a run, or has no hashes.
    """
    if isinstance(place, Path) and not (place / RUN).is_file():
        raise UsageError(f"{place} is a folder, and not a run of shards", "Name a report in it.")
    run = RunFolder(place)
    changed = tuple(changed_files(run))
    path = Path(run.location)
    text = ReportText(io.BytesIO(), "", path)
    yield OpenRun(path, "run of shards", run.current_plan().inputs, "", text, run, changed)
