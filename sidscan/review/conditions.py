"""Conditions that choose rows, e.g. ``evidence>=moderate``: a column, an operator, a value.

| operator | columns | meaning |
| --- | --- | --- |
| ``=``, ``!=`` | all | the same, whatever the case; an empty value stands for an empty cell |
| ``~``, ``!~`` | text | the cell contains the value, whatever the case |
| ``<``, ``<=``, ``>``, ``>=`` | numbers, dates, evidence | an empty cell meets none of them |

A date may be cut short: ``modified_at=2026-01`` holds for all of January, and so does ``<=``. One with an
offset from UTC is converted, as the columns are in UTC; when an image was taken is local time. Evidence is
ordered weak, moderate, strong, very strong; what is inconclusive is neither more nor less than any of these.
Of several models, ``evidence`` is the strongest; ``NAME.evidence`` is that of one.
"""

from __future__ import annotations

import math
import operator
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any

from sidscan.errors import UsageError
from sidscan.records import CONFLICT, EVIDENCE_WORDS, INCONCLUSIVE, RunHeader, ScanResult, Status
from sidscan.reports.columns import Cell, ReportColumn, find_column

Predicate = Callable[[ScanResult], bool]
"""Whether a result meets a condition."""

_RANKS = {word: rank for rank, word in enumerate(reversed(EVIDENCE_WORDS)) if word != INCONCLUSIVE}
_CONDITION = re.compile(r"\s*(.*?)\s*(>=|<=|!=|!~|==|=|>|<|~)\s*(.*?)\s*", re.DOTALL)
_ORDERS: dict[str, Callable[[Any, Any], bool]] = {
    ">=": operator.ge,
    "<=": operator.le,
    ">": operator.gt,
    "<": operator.lt,
}
_DATE = re.compile(r"\d{4}(-\d\d(-\d\d(T\d\d(:\d\d(:\d\d(\.\d+)?)?(?P<offset>[+-]\d\d:\d\d|Z)?)?)?)?)?")
_LOCAL_COLUMNS = ("exif_original_date_iso",)  # times of the place, few with an offset; other columns are UTC
_EXAMPLE = "Write, for example, 'evidence>=moderate', 'score>=0.8', 'flags~preview' or 'format=JPEG'."
# Columns that hold one of these words, or nothing.
_WORDS = {
    "evidence": EVIDENCE_WORDS,
    "status": tuple(status.value for status in Status),
    "failed": ("yes", "no"),
    "lossless": ("yes", "no"),
    "mark": ("suspicious", "cleared", "later", CONFLICT),
}


@dataclass(frozen=True, slots=True)
class Condition:
    """A condition as somebody wrote it, in its parts."""

    text: str
    column: str
    operator: str
    value: str


def parse_condition(text: str) -> Condition:
    """The parts of a condition.

    Raises:
        UsageError: it is none.
    """
    match = _CONDITION.fullmatch(text)
    if match is None or not match[1]:
        raise UsageError(f"{text!r} is not a condition for --only", _EXAMPLE)
    return Condition(text, match[1], match[2].replace("==", "="), match[3])


def predicates(conditions: Iterable[Condition], header: RunHeader) -> list[Predicate]:
    """What tests each condition on the results of a run.

    Raises:
        UsageError: a report of this run has no such column, or the value does not suit it.
    """
    return [_predicate(condition, selectable_column(header, condition.column)) for condition in conditions]


def selectable_column(header: RunHeader, name: str, also: Sequence[str] = ()) -> ReportColumn:
    """The column of this name, for conditions and orders: ``evidence`` is the strongest of several models.

    Raises:
        UsageError: as `find_column`.
    """
    column = find_column(header, name, also)
    return ReportColumn(name, _strongest_evidence, "evidence") if name == "evidence" else column


def _strongest_evidence(result: ScanResult) -> str | None:
    return result.strongest.evidence if result.strongest else None


def _predicate(condition: Condition, column: ReportColumn) -> Predicate:
    holds = _holds(condition, column)
    return lambda result: holds(column.cell(result))


def _holds(condition: Condition, column: ReportColumn) -> Callable[[Cell], bool]:
    """Whether a cell of the column is as the condition says."""
    sign, value = condition.operator, condition.value
    if sign.startswith("!"):
        fits = _same(condition, column) if sign == "!=" else _contains(condition, column)
        return lambda cell: not fits(cell)
    if sign == "=":
        return _same(condition, column)
    if sign == "~":
        return _contains(condition, column)
    order = _ORDERS[sign]
    if column.kind == "number":
        number = _number(condition)
        return lambda cell: isinstance(cell, int | float) and order(cell, number)
    if column.kind == "evidence":
        rank = _RANKS.get(value.casefold())
        if rank is None:
            raise _unsuitable(condition, f"it is ordered {', '.join(_RANKS)}")
        return lambda cell: cell in _RANKS and order(_RANKS[str(cell)], rank)
    if column.kind == "date":
        day = _date(condition)
        return lambda cell: bool(cell) and order(*_sides(str(cell), day))
    raise UsageError(
        f"{condition.text!r}: {condition.column} is text, which {sign} can't compare", "Use =, !=, ~ or !~."
    )


def _same(condition: Condition, column: ReportColumn) -> Callable[[Cell], bool]:
    if not condition.value:
        return lambda cell: cell is None or cell == ""
    if column.kind == "number":
        number = _number(condition)
        return lambda cell: cell == number
    if column.kind == "date":
        day = _date(condition)
        return lambda cell: str(cell or "").startswith(day)
    value = condition.value.casefold()
    words = _WORDS.get(column.name.rpartition(".")[2], ())
    if words and value not in words:
        raise _unsuitable(condition, f"it is one of {', '.join(words)}")
    return lambda cell: str(cell or "").casefold() == value


def _contains(condition: Condition, column: ReportColumn) -> Callable[[Cell], bool]:
    if column.kind in ("number", "date") or not condition.value:
        raise UsageError(
            f"{condition.text!r}: {condition.operator} looks for a part of a text",
            _EXAMPLE,
        )
    value = condition.value.casefold()
    return lambda cell: value in str(cell or "").casefold()


def _number(condition: Condition) -> float:
    try:
        number = float(condition.value)
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise _unsuitable(condition, "it holds numbers, such as 0.8")
    return number


def _date(condition: Condition) -> str:
    """A date as far as it is given, without its offset: in UTC, if it has one.

    Raises:
        UsageError: it is none, or has an offset where the column's dates have none to compare it with.
    """
    value = condition.value.replace(" ", "T").upper()
    match = _DATE.fullmatch(value)
    if match is None:
        raise _unsuitable(condition, "it holds dates, such as 2026-01 or 2026-01-31T12:00")
    if not (offset := match["offset"]):
        return value
    if condition.column in _LOCAL_COLUMNS:
        raise _unsuitable(condition, "its dates are times of the place; leave the offset from UTC out")
    local = value.removesuffix(offset)
    try:
        return _in_utc(local, offset)
    except (ValueError, OverflowError) as error:
        raise _unsuitable(condition, "there is no such time") from error


def _in_utc(local: str, offset: str) -> str:
    """A time with minutes at least, to the digit that it was given to."""
    minutes, rest = local[:16], local[16:]
    zone = "+00:00" if offset == "Z" else offset
    utc = datetime.fromisoformat(f"{minutes}:00{zone}").astimezone(timezone.utc)
    return utc.isoformat()[: len(minutes)] + rest


def _sides(cell: str, day: str) -> tuple[str, str]:
    """A date of a cell, as far as the other one goes, and that."""
    return cell[: len(day)], day


def _unsuitable(condition: Condition, why: str) -> UsageError:
    return UsageError(f"{condition.text!r}: {condition.column} can't be {condition.value!r}; {why}", _EXAMPLE)
