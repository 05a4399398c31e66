"""Writes the table of markers in docs/reference/provenance.md from what the code registers.

Run it after you add or change a marker: `python docs/make_markers.py`.
tests/provenance/test_documentation.py fails if the table is not what this script writes.
"""

from __future__ import annotations

import re
from pathlib import Path

from sidscan.provenance.families import MarkerKind, marker_kinds

PAGE = Path(__file__).with_name("reference") / "provenance.md"
_TABLE = re.compile(r"(<!-- markers -->\n).*?(<!-- end of markers -->)", re.DOTALL)
_LONGEST = 60  # characters of an example


def table() -> str:
    """All markers, one row each."""
    head = "| id | says | strength | who writes it | what it is | example | known from |\n"
    return head + "| --- " * 7 + "|\n" + "".join(map(_row, marker_kinds()))


def _row(kind: MarkerKind) -> str:
    example = kind.example if len(kind.example) <= _LONGEST else f"{kind.example[:_LONGEST]} ..."
    strength = f"`{kind.strength}`" if kind.strength else ""
    cells = (f"`{kind.id}`", f"`{kind.verdict}`", strength, kind.who, kind.place, f"`{example}`", kind.source)
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |\n"


def with_table(page: str) -> str:
    """A page with the table of today."""
    return _TABLE.sub(lambda match: match[1] + table() + match[2], page)


if __name__ == "__main__":
    PAGE.write_text(with_table(PAGE.read_text(encoding="utf-8")), encoding="utf-8", newline="\n")
