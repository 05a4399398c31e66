"""Writes the tables of docs/reference/traces.md from what the code registers: traces, and shapes of names.

Run it after you add or change one: `python docs/make_traces.py`.
tests/traces/test_documentation.py fails if the table is not what this script writes.
"""

from __future__ import annotations

import re
from pathlib import Path

from sidscan.traces import TraceKind, trace_kinds
from sidscan.traces.file_names import PATTERNS

PAGE = Path(__file__).with_name("reference") / "traces.md"
_TABLE = re.compile(r"(<!-- traces -->\n).*?(<!-- end of traces -->)", re.DOTALL)
_NAMES = re.compile(r"(<!-- names -->\n).*?(<!-- end of names -->)", re.DOTALL)


def table() -> str:
    """All traces, one row each."""
    head = "| id | what is observed | where | what leaves it | what it does not mean |\n"
    return head + "| --- " * 5 + "|\n" + "".join(map(_row, trace_kinds()))


def _row(kind: TraceKind) -> str:
    cells = (f"`{kind.id}`", kind.observed, kind.place, kind.who, kind.limits)
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |\n"


def names_table() -> str:
    """All shapes of names, one row each."""
    head = "| id | who gives such names | example | known from |\n" + "| --- " * 4 + "|\n"
    rows = ((f"`{each.kind.id}`", each.given_by, f"`{each.example}`", each.source) for each in PATTERNS)
    return head + "".join(f"| {' | '.join(row)} |\n" for row in rows)


def with_table(page: str) -> str:
    """A page with the tables of today."""
    page = _TABLE.sub(lambda match: match[1] + table() + match[2], page)
    return _NAMES.sub(lambda match: match[1] + names_table() + match[2], page)


if __name__ == "__main__":
    PAGE.write_text(with_table(PAGE.read_text(encoding="utf-8")), encoding="utf-8", newline="\n")
