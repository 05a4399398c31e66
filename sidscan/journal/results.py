"""The results of a record: all, some, their counts, and what the last complete run had otherwise."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from dataclasses import replace

from sidscan.journal import previous, tallies, thumbnails, turns
from sidscan.journal.file import RecordFile
from sidscan.journal.matching import MAX_TRIES
from sidscan.journal.stored_results import load_result
from sidscan.journal.tables import SHA256
from sidscan.records import Counts, JsonObject, ScanResult, Status

# By evidence: what says something before what is inconclusive, then failures, then what was skipped.
_RANK = f"status != 'scored', status = 'skipped', {thumbnails.STRENGTH} DESC, position"


class RecordedResults(RecordFile):
    """A record whose results can be read."""

    def results(self) -> Iterator[ScanResult]:
        """All results, in the order of the inputs."""
        return self._results("TRUE ORDER BY position")

    def ranked(self) -> Iterator[ScanResult]:
        """All results, the strongest evidence first, inputs without a score last."""
        query = f"SELECT position FROM items WHERE finding IS NOT NULL ORDER BY {_RANK}"  # noqa: S608
        for (position,) in self._read(query):  # few are read back where only the strongest are asked for
            yield from self._results("position = ?", (position,))

    def possible_copies(self) -> Iterator[ScanResult]:
        """Those results that `review.copies.find_copies` needs, in the order of the inputs."""
        return self._results(f"{tallies.POSSIBLE_COPIES} ORDER BY position")

    def scored_groups(self, thresholds: Sequence[float | None]) -> Iterator[tallies.ScoredGroup]:
        """All scored images, in groups that closing lines count alike (`tallies.scored_groups`)."""
        return tallies.scored_groups(self._db, thresholds)

    def listing_reasons(self) -> Iterator[tuple[str, int, int]]:
        """Why inputs are not read: the reason, their number, and the position of the first."""
        return tallies.listing_reasons(self._db)

    def other_results(self) -> Iterator[tuple[int, ScanResult]]:
        """Position and result of the inputs that have neither a score nor such a reason."""
        query = f"SELECT position FROM items WHERE finding IS NOT NULL AND {tallies.OTHERS} ORDER BY position"  # noqa: S608
        for (position,) in self._read(query):
            for result in self._results("position = ?", (position,)):
                yield position, result

    def with_statements(self) -> Iterator[ScanResult]:
        """Results of scored images whose files state more of their origin than a verdict."""
        return self._results(f"{tallies.WITH_STATEMENTS} ORDER BY position")

    def _results(self, which: str, values: tuple[object, ...] = ()) -> Iterator[ScanResult]:
        query = f"SELECT name, finding, tries FROM items WHERE finding IS NOT NULL AND {which}"  # noqa: S608
        for name, text, tries in self._read(query, values):
            yield loaded(name, text, tries)

    def selection(self) -> None:
        """None: the record holds all results of its run."""

    def counts(self) -> Counts:
        """How many inputs there are, and how they ended."""
        rows = dict(self._read("SELECT status, count(*) FROM items GROUP BY status").fetchall())
        failed = sum(rows.get(status.value, 0) for status in Status if status.failed)
        scored, skipped = (rows.get(status.value, 0) for status in (Status.SCORED, Status.SKIPPED))
        return Counts(sum(rows.values()), scored, failed, skipped)

    def repeats(self) -> int:
        """Number of scored images whose bytes equal those of another one, not counting the first of each."""
        difference = f"count({SHA256}) - count(DISTINCT {SHA256})"
        query = f"SELECT {difference} FROM items WHERE status = 'scored'"  # noqa: S608
        return int(self._read(query).fetchone()[0])

    def find_by_sha256(self, sha256: str) -> ScanResult | None:
        """The result of an image with these bytes that was scored, now or in an earlier run."""
        query = f"SELECT finding FROM items WHERE status = 'scored' AND {SHA256} = ? LIMIT 1"  # noqa: S608
        row = self._read(query, (sha256,)).fetchone()
        return load_result(row[0]) if row else None

    def sampled(self) -> Iterator[tuple[ScanResult, float, int]]:
        """Of the images of a sample that had their turn: the result, the key and the folder's size."""
        for text, key, folder_size in turns.taken(self._db):
            yield load_result(text), key, folder_size

    def previous_run(self) -> JsonObject | None:
        """The facts about the last complete run before this one; None if there was none."""
        return previous.run_facts(self._db)

    def changed_inputs(self) -> Iterator[previous.ChangedInput]:
        """The inputs whose results of that run are not kept as they were."""
        return previous.changed_inputs(self._db)

    def keeps_files(self) -> bool:
        """Whether the result of any file is kept as that run had it."""
        return previous.keeps_files(self._db)

    def kept_inputs(self) -> Iterator[previous.KeptInput]:
        """The inputs whose results of that run are kept as they were."""
        return previous.kept_inputs(self._db)


def loaded(name: bytes, text: str, tries: int) -> ScanResult:
    """The result that a row of the record holds, by the name that this run has for its input."""
    raw = json.loads(text)
    raw["name"] = os.fsdecode(name)
    result = ScanResult.from_dict(raw)
    return result if tries < MAX_TRIES else _given_up(result, tries)


def _given_up(result: ScanResult, tries: int) -> ScanResult:
    message = f"{result.message}; {tries} scans tried it, and only --retry-failed tries it again"
    return replace(result, message=message)
