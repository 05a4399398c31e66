"""A part of a run's results, and another order: ``--only``, ``--sort`` and ``--top``.

`SelectedRecord` shows it to the report formats as if it were the whole run, except that `RunRecord.selection`
says what is left out. Results go through a temporary database, so that a million of them need no memory.
"""

from __future__ import annotations

import pickle
import sqlite3
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice

from sidscan.records import INCONCLUSIVE, RunHeader, RunRecord, ScanResult, Score, Selection, Status, num_rows
from sidscan.reports.columns import JOINED_COLUMNS, ReportColumn
from sidscan.reports.private import private_condition
from sidscan.review.conditions import Condition, Predicate, predicates, selectable_column
from sidscan.review.wrapped import WrappedRecord

BY_EVIDENCE, BY_INPUT = "evidence", "inputs"
_ROWS_AT_ONCE = 10_000
_TABLE = """CREATE TABLE rows (position INTEGER PRIMARY KEY, part INTEGER, key, rank_part INTEGER, rank,
result BLOB);"""
_RANKED = "rank_part, rank DESC, position"

Key = tuple[int, float | bytes | None]
"""Where a result stands: results of a lower part come first, whatever the direction of the order."""


@dataclass(frozen=True, slots=True)
class Choice:
    """Which results a report shows, and in which order.

    Attributes:
        only: all of these must hold.
        sort: a column, with ``-`` in front for the highest first; `BY_EVIDENCE` is the strongest first,
            `BY_INPUT` the order of the inputs. Empty is `BY_EVIDENCE` with ``top``, else `BY_INPUT`.
        top: show only so many, the first of the order; None shows all.
    """

    only: tuple[Condition, ...] = ()
    sort: str = ""
    top: int | None = None

    @property
    def order(self) -> str:
        """The order in effect."""
        return self.sort or (BY_INPUT if self.top is None else BY_EVIDENCE)

    @property
    def reorders(self) -> bool:
        """Whether rows are not in the order of the inputs, or not all that meet the conditions."""
        return self.top is not None or self.order != BY_INPUT

    @property
    def streams(self) -> bool:
        """Whether each result can be shown or left out as soon as it is made."""
        return not self.reorders and all(each.column not in JOINED_COLUMNS for each in self.only)

    def __bool__(self) -> bool:
        return bool(self.only) or self.reorders

    def of(self, record: RunRecord) -> RunRecord:
        """What it leaves of a run."""
        if not self:
            return record
        if self.order == BY_EVIDENCE and not self.only:
            return StrongestRecord(record, self.top)
        return SelectedRecord(record, self)

    def check(self, header: RunHeader) -> None:
        """Refuse columns that a report of the run does not have.

        Raises:
            UsageError: it has no such column, or a value does not suit it.
        """
        predicates(self.only, header)
        _key_of(self.order, header)

    def test(self, header: RunHeader) -> Predicate:
        """Whether a result of the run meets all conditions."""
        each = predicates(self.only, header)
        return lambda result: all(test(result) for test in each)

    def least_rows(self, results: int) -> int:
        """How many rows a report of so many results has at least."""
        return 0 if self.only else min(results, self.top or results)


class SelectedRecord(WrappedRecord):
    """The chosen results of a run; a `RunRecord`.

    Raises:
        UsageError: as `Choice.check`.
    """

    def __init__(self, record: RunRecord, choice: Choice) -> None:
        super().__init__(record)
        self._choice = choice
        header = record.header()
        self._test = choice.test(header)
        self._key = _key_of(choice.order, header)
        direction = "DESC" if _descends(choice.order) else "ASC"
        self._order = f"part, key {direction}, position"
        self._rows = sqlite3.connect("")  # a file without a name, which SQLite removes
        self._rows.execute(_TABLE)
        self._of = self._fill()

    def _fill(self) -> int:
        """Keep the chosen results; returns how many the run has."""
        number = kept = 0
        for number, result in enumerate(super().results(), 1):
            if self._test(result):
                kept += 1
                row = (number, *self._key(number, result), *_rank(result), pickle.dumps(result))
                self._rows.execute("INSERT INTO rows VALUES (?, ?, ?, ?, ?, ?)", row)
            if kept >= max(_ROWS_AT_ONCE, self._choice.top or 0):
                self._drop_rest()
                kept = 0
        self._drop_rest()
        return number

    def _drop_rest(self) -> None:
        if self._choice.top is not None:
            self._rows.execute(
                "DELETE FROM rows WHERE position NOT IN "  # noqa: S608
                f"(SELECT position FROM rows ORDER BY {self._order} LIMIT ?)",
                (self._choice.top,),
            )

    def selection(self) -> Selection:
        """What is shown, and of how many."""
        shown = self._rows.execute("SELECT count(*) FROM rows").fetchone()[0]
        only = tuple(condition.text for condition in self._choice.only)
        if self.header().private:
            only = tuple(map(private_condition, only))
        return Selection(only, self._choice.order, self._choice.top, shown, self._of)

    def results(self) -> Iterator[ScanResult]:
        """The chosen results, in the chosen order."""
        return self._read(self._order)

    def ranked(self) -> Iterator[ScanResult]:
        """The same, the strongest evidence first."""
        return self._read(_RANKED)

    def _read(self, order: str) -> Iterator[ScanResult]:
        for (pickled,) in self._rows.execute(f"SELECT result FROM rows ORDER BY {order}"):  # noqa: S608
            yield pickle.loads(pickled)  # noqa: S301  (`_fill` made it, in a file of this process alone)


class StrongestRecord(WrappedRecord):
    """The results with the strongest evidence of a run, in that order.

    Args:
        top: how many; None for all.
    """

    def __init__(self, record: RunRecord, top: int | None) -> None:
        super().__init__(record)
        self._top, self._of = top, num_rows(record)

    def selection(self) -> Selection:
        """What is shown, and of how many."""
        shown = self._of if self._top is None else min(self._top, self._of)
        return Selection((), BY_EVIDENCE, self._top, shown, self._of)

    def results(self) -> Iterator[ScanResult]:
        """These results, the strongest evidence first."""
        return self.ranked()

    def ranked(self) -> Iterator[ScanResult]:
        """The same."""
        return islice(super().ranked(), self._top)


def _descends(order: str) -> bool:
    """Whether high keys come first: evidence does so by itself."""
    return order.startswith("-") != (order.removeprefix("-").rpartition(".")[2] == BY_EVIDENCE)


def _key_of(order: str, header: RunHeader) -> Callable[[int, ScanResult], Key]:
    """What gives a result its place in an order, from its number and itself.

    Raises:
        UsageError: a report of the run has no such column.
    """
    name = order.removeprefix("-")
    if name == BY_INPUT:
        return lambda number, _: (0, float(number))
    column = selectable_column(header, name, also=(BY_INPUT,))
    if name == BY_EVIDENCE:
        return lambda _, result: _rank(result)
    if column.kind == "evidence":
        model = name.rpartition(".")[0]
        return lambda _, result: _strength(_score_of(result, model), result)
    return lambda _, result: _cell_key(column, result)


def _rank(result: ScanResult) -> Key:
    """As `RunRecord.ranked` orders results."""
    return _strength(result.strongest, result)


def _score_of(result: ScanResult, model: str) -> Score | None:
    return next((score for score in result.scores if score.model == model), None)


def _strength(score: Score | None, result: ScanResult) -> Key:
    """By evidence: what says something, then what is inconclusive, failures, and what was skipped."""
    if score is None:
        return (3 if result.status is Status.SKIPPED else 2), None
    return int(score.evidence == INCONCLUSIVE), score.strength


def _cell_key(column: ReportColumn, result: ScanResult) -> Key:
    """By the cell of a column; rows without one come last."""
    cell = column.cell(result)
    if cell is None or cell == "":
        return 1, None
    return 0, cell.encode("utf-8", "surrogatepass") if isinstance(cell, str) else float(cell)
