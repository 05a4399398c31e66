"""A scan as programs see it: what `sidscan.scan` returns."""

from __future__ import annotations

import inspect
import weakref
from collections.abc import Callable, Generator, Iterator
from itertools import chain

from sidscan.errors import UsageError
from sidscan.models.refs import ModelChoice
from sidscan.pipeline import Scan
from sidscan.records import Counts, RunRecord, ScanResult

Progress = Callable[[int, int], object]
"""Called with the number of inputs that are done and the number of all inputs."""


class ScanRun:
    """A scan for programs: all results, those of an earlier run that still hold included (`sidscan.scan`).

    Iterating again, once an iteration has ended, gives the results again. The run's record stays open, and
    locked against other runs, until `close` or the end of this object.
    """

    def __init__(self, opened: Scan, progress: Progress | None = None) -> None:
        self._scan, self._progress = opened, progress
        self._ended = False
        # Weak, or an iteration that nobody holds any more would not end.
        self._iteration: weakref.ref[Generator[ScanResult, None, None]] | None = None
        self._finalizer = weakref.finalize(self, opened.journal.close)

    @property
    def record(self) -> RunRecord:
        """What reports are made of."""
        return self._scan.journal

    @property
    def choice(self) -> ModelChoice:
        """The models, and why these."""
        return self._scan.choice

    def counts(self) -> Counts:
        """How the inputs ended so far; ``enumerated`` is how many there are."""
        return self._scan.counts()

    def __len__(self) -> int:
        return self.counts().enumerated

    def __iter__(self) -> Iterator[ScanResult]:
        """All results.

        Raises:
            UsageError: an earlier iteration has not ended: both would score the same inputs.
        """
        if self._live_iteration():
            raise UsageError(
                "this run is being iterated over already",
                "End that loop first, or keep its results in a list.",
            )
        results = self._results()
        self._iteration = weakref.ref(results)
        return results

    def _results(self) -> Generator[ScanResult, None, None]:
        total = len(self)
        for done, result in enumerate(chain(self.record.results(), self._new_results()), 1):
            if self._progress:
                self._progress(done, total)
            yield result

    def finish(self) -> None:
        """Make the results that are still missing, and record the end of the run.

        Raises:
            UsageError: an iteration has not ended.
        """
        if not self._ended:
            for _ in self:
                pass

    def close(self) -> None:
        """End what is being read or scored, and release the record; a run in memory is gone then."""
        if results := self._live_iteration():
            results.close()
        self._finalizer()

    def _live_iteration(self) -> Generator[ScanResult, None, None] | None:
        """The iteration that somebody holds and that has not ended."""
        results = self._iteration() if self._iteration else None
        live = results is not None and inspect.getgeneratorstate(results) != inspect.GEN_CLOSED
        return results if live else None

    def _new_results(self) -> Iterator[ScanResult]:
        """Of the inputs that had none; at the end the record says that the run is finished, once."""
        if not self._ended:
            yield from self._scan
            self._ended = True
