"""The two sides of `sidscan diff`: a report in any format, or the record of a run, read as stated results."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

from sidscan.errors import UsageError
from sidscan.isolation.reports import ReportText
from sidscan.journal.file import SQLITE_SIGNATURE
from sidscan.journal.reading import StoredRecord
from sidscan.reports import listed_suffixes, reader
from sidscan.reports.csv import check_columns
from sidscan.reports.jsonl_zst import check_unpackable
from sidscan.reports.private import private_text
from sidscan.reports.stated import PENDING, STATED_COLUMNS, StatedModel, StatedResult, part_of, stated_result
from sidscan.review.joined_marks import load_marks, marks_paths, with_mark
from sidscan.util.files import open_file

RECORD = "record"
"""In place of a report's format: the record of a run (``report.csv.journal``)."""
_NAME_A_RUN = "Name a report of `sidscan scan`, or its .journal."


@dataclass
class ComparedRun:
    """A report or a record. Iterating over it gives its results, and fills what is said of it meanwhile.

    Attributes:
        kind: the format of a report, e.g. ``csv``, or `RECORD`.
        inputs: number of its results; of those, ``pending`` have none yet.
        models: each model and weights that it names; more than one of a name where earlier rows were kept.
        localizers: that made maps of its images.
        versions: of sidscan, that made its rows.
        marks_known: whether it says which images are marked; True if it has no rows.
        marks_withheld: whether some of its marks lack who made them, as in a private report.
        part: what of its inputs the run looked at, in words, as `stated.part_of` gives it; empty for all.
    """

    path: Path
    kind: str
    _results: Iterator[StatedResult]
    inputs: int = 0
    pending: int = 0
    models: dict[StatedModel, None] = field(default_factory=dict)
    localizers: dict[str, None] = field(default_factory=dict)
    versions: dict[str, None] = field(default_factory=dict)
    marks_known: bool = True
    marks_withheld: bool = False
    part: str = ""

    def __iter__(self) -> Iterator[StatedResult]:
        for result in self._results:
            self._add(result)
            yield result

    def _add(self, result: StatedResult) -> None:
        self.inputs += 1
        self.pending += result.status == PENDING
        made_by = result.made_by
        self.part = self.part or made_by.part or ""
        for model in made_by.models:
            self.models[StatedModel(model.name, model.digest)] = None
        if result.localizer:
            self.localizers[result.localizer] = None
        if made_by.sidscan_version:
            self.versions[made_by.sidscan_version] = None
        self.marks_known &= result.marks_known
        self.marks_withheld |= result.mark is not None and not result.mark.by


@contextmanager
def open_compared(path: Path, as_it_was: bool = False, private: bool = False) -> Iterator[ComparedRun]:
    """Open a report or a record for reading.

    Args:
        as_it_was: of the marks that lie beside the reports of a record, take those of the end of its scan.
        private: leave out names of people, their notes, queries of URLs in messages, and the file's folder.

    Raises:
        UsageError: it can't be read, is neither, or is damaged.
        OutputError: a scan uses it; or its marks can't be read.
    """
    try:
        file = open_file(path)
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or error
        raise UsageError(f"can't read {path}: {why}", _NAME_A_RUN) from error
    with file:
        kind = reader.format_of_file(file)
        file.seek(0)
        head = file.read(reader.HEAD_BYTES)
        if kind is None and head.startswith(SQLITE_SIGNATURE):
            with closing(StoredRecord(path)) as record:
                facts = record.stored_run()
                run = _run(path, RECORD, _results_of(record, as_it_was), private)
                run.part = part_of(facts) or ""
                if localizer := facts.get("localizer"):
                    run.localizers[str(localizer["name"])] = None
                yield run
            return
        if kind is None:
            check_columns(head, path)
            check_unpackable(head, path)
            raise UsageError(
                f"{path} is neither a report nor a record of sidscan, or another program rewrote it",
                f"Name a {listed_suffixes()} report as `sidscan scan` wrote it, or its .journal.",
            )
        with closing(ReportText(file, kind, path)) as text:
            results = reader.read_results(text.open(STATED_COLUMNS), kind, path)
            yield _run(path, kind, _naming(path, results), private)


def _run(path: Path, kind: str, results: Iterator[StatedResult], private: bool) -> ComparedRun:
    if not private:
        return ComparedRun(path, kind, results)
    return ComparedRun(Path(path.name), kind, map(_private, results))


def _private(result: StatedResult) -> StatedResult:
    """As a private report states it."""
    mark = replace(result.mark, by="", note="") if result.mark else None
    return replace(result, message=private_text(result.message) or "", mark=mark)


def _naming(path: Path, results: Iterator[StatedResult]) -> Iterator[StatedResult]:
    """The results; an error says which of the two files is meant."""
    try:
        yield from results
    except UsageError as error:
        if str(path) in error.message:
            raise
        raise UsageError(f"{path}: {error.message}", error.remedy) from error


def _results_of(record: StoredRecord, as_it_was: bool) -> Iterator[StatedResult]:
    """The results of a record, with the marks that lie beside its reports."""
    run = record.stored_run()
    marks = load_marks(marks_paths(record.output_paths()), run.get("finished") if as_it_was else None)
    for name, raw in record.stored_results():
        result = stated_result(name, raw, run) if raw else StatedResult(name, None, PENDING)
        yield with_mark(result, marks, private=bool(run.get("private")))
