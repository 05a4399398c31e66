"""Options that choose rows, their order and columns, of `sidscan scan` and `sidscan report`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sidscan.cli.options import Decorator, sectioned_option, stack
from sidscan.cli.param_types import WholeNumber
from sidscan.errors import UsageError
from sidscan.records import ModelRecord, RunHeader, RunRecord
from sidscan.records.localization import LocalizerRecord
from sidscan.reports import ReportOutput
from sidscan.reports.columns import choose_columns
from sidscan.reports.private import URL_COLUMNS, WITHHELD_COLUMNS
from sidscan.review.conditions import parse_condition
from sidscan.review.selection import Choice

_ANY_MODEL = RunHeader(models=(ModelRecord("", ""),), localizer=LocalizerRecord(""))


def selection() -> Decorator:
    """Which results reports show, and in which order."""
    return stack(
        sectioned_option(
            "--only",
            section="Output",
            multiple=True,
            metavar="CONDITION",
            help="Rows that reports show: 'evidence>=moderate', 'score>=0.8', 'flags~preview', "
            "'format=JPEG'. Repeatable; all must hold.",
        ),
        sectioned_option(
            "--sort",
            section="Output",
            metavar="COLUMN",
            default="",
            show_default="the order of the inputs",
            help="Sort the rows of reports by COLUMN, by '-COLUMN' from the highest, or by 'evidence' from "
            "the strongest.",
        ),
        sectioned_option(
            "--top",
            section="Output",
            type=WholeNumber(1),
            metavar="N",
            help="Show the first N rows only; without --sort, those with the strongest evidence.",
        ),
        sectioned_option(
            "--columns",
            section="Output",
            metavar="NAMES",
            show_default="all",
            help="Columns of .csv, .xlsx, .jsonl, .parquet and .db reports, in this order, e.g. "
            "path,score,evidence.",
        ),
    )


@dataclass(frozen=True)
class Shown:
    """What reports show: which results, and which columns in formats that have some; none means all."""

    choice: Choice
    columns: tuple[str, ...]

    @classmethod
    def pop_from(cls, options: dict[str, Any]) -> Shown:
        """What the options of `selection` say; they are removed.

        Raises:
            UsageError: a condition is none, or a column is unknown, as far as that can be told before the
                models are known.
        """
        only, columns = options.pop("only"), options.pop("columns")
        choice = Choice(tuple(map(parse_condition, only)), options.pop("sort"), options.pop("top"))
        shown = cls(choice, () if columns is None else _split(columns))
        shown._of_any_model().check(_ANY_MODEL)
        return shown

    def __bool__(self) -> bool:
        return bool(self.choice or self.columns)

    def _of_any_model(self) -> Shown:
        """The part that names no column of a further model."""
        only = tuple(condition for condition in self.choice.only if "." not in condition.column)
        sort = "" if "." in self.choice.sort else self.choice.sort
        columns = tuple(name for name in self.columns if "." not in name)
        return Shown(Choice(only, sort, self.choice.top), columns)

    def check(self, header: RunHeader) -> None:
        """Refuse what a report of the run can't show.

        Raises:
            UsageError: it has no such column, the value of a condition does not suit it, or rows are chosen
                by what --private leaves out.
        """
        self.choice.check(header)
        choose_columns(header, self.columns)
        if header.private:
            self._check_private()

    def _check_private(self) -> None:
        """Refuse to choose by what is not there: no row would show, and the report would tell the value."""
        conditions = [condition.column for condition in self.choice.only]
        for name in (*conditions, self.choice.sort.removeprefix("-")):
            if name in WITHHELD_COLUMNS:
                raise UsageError(
                    f"rows can't be chosen or sorted by {name}, which --private leaves out",
                    "Choose by another column.",
                )
        for name in conditions:
            if name in URL_COLUMNS:
                raise UsageError(
                    f"rows can't be chosen by {name}, of which --private leaves out the queries of URLs",
                    "Choose by another column, such as error_class or path.",
                )

    def check_outputs(self, writers: Sequence[ReportOutput]) -> None:
        """Refuse options that no report would follow.

        Raises:
            UsageError: there are some.
        """
        if self and not writers:
            raise UsageError(
                "--only, --sort, --top and --columns are for reports",
                "Name one with --out FILE, or write to standard output with --out -.",
            )
        if self.columns and not any(writer.format.has_columns for writer in writers):
            raise UsageError(
                "--columns is for .csv, .xlsx, .jsonl, .parquet and .db reports",
                "JSON and HTML hold all that is known; leave --columns out, or add --out FILE.csv.",
            )

    def of(self, record: RunRecord) -> RunRecord:
        """The record as reports show it."""
        return self.choice.of(record)


def _split(names: str) -> tuple[str, ...]:
    """The names of columns.

    Raises:
        UsageError: one is there twice, or none.
    """
    columns = tuple(name for part in names.split(",") if (name := part.strip()))
    if not columns or len(set(columns)) < len(columns):
        raise UsageError(
            "--columns names no column, or one twice", "Write, for example, path,score,evidence."
        )
    return columns
