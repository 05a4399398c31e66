"""Writes the table of traces in docs/reference/traces.md from what the code registers.

Run it after you add or change a trace: `python docs/make_traces.py`.
tests/traces/test_documentation.py fails if the table is not what this script writes.
"""

from __future__ import annotations

import re
from pathlib import Path

from sidscan.traces import TraceKind, trace_kinds

PAGE = Path(__file__).with_name("reference") / "traces.md"
_TABLE = re.compile(r"(<!-- traces -->\n).*?(<!-- end of traces -->)", re.DOTALL)


def table() -> str:
    """All traces, one row each."""
    head = "| id | what is observed | where | what leaves it | what it does not mean |\n"
    return head + "| --- " * 5 + "|\n" + "".join(map(_row, trace_kinds()))


def _row(kind: TraceKind) -> str:
    cells = (f"`{kind.id}`", kind.observed, kind.place, kind.who, kind.limits)
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |\n"


def with_table(page: str) -> str:
    """A page with the table of today."""
    return _TABLE.sub(lambda match: match[1] + table() + match[2], page)


if __name__ == "__main__":
    PAGE.write_text(with_table(PAGE.read_text(encoding="utf-8")), encoding="utf-8", newline="\n")
