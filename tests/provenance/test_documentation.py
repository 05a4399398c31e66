"""The reference page lists the markers that the code knows, and explains every word."""

from __future__ import annotations

import re
import runpy
from pathlib import Path

from sidscan.provenance.families import marker_kinds
from sidscan.records import PROVENANCE_STRENGTHS, PROVENANCE_WORDS

DOCS = Path(__file__).parents[2] / "docs"


def test_the_table_is_what_the_code_registers() -> None:
    made = runpy.run_path(str(DOCS / "make_markers.py"))
    page = (DOCS / "reference" / "provenance.md").read_text(encoding="utf-8")
    assert page == made["with_table"](page), "run `python docs/make_markers.py`"
    listed = re.findall(r"^\| `([a-z0-9-]+)` \| `", page, re.MULTILINE)
    assert listed == [kind.id for kind in marker_kinds()]


def test_the_page_explains_every_word() -> None:
    page = (DOCS / "reference" / "provenance.md").read_text(encoding="utf-8")
    words = re.findall(r"^\| `([a-z_]+)` \|", page.partition("## C2PA")[0], re.MULTILINE)
    assert [word for word in words if word in PROVENANCE_WORDS] == list(PROVENANCE_WORDS)
    assert {f"`{word}`" for word in PROVENANCE_STRENGTHS} <= set(re.findall("`[a-z_]+`", page))


def test_markers_are_described() -> None:
    ids = [kind.id for kind in marker_kinds()]
    assert len(ids) == len(set(ids))
    for kind in marker_kinds():
        assert kind.verdict in PROVENANCE_WORDS
        assert kind.strength in ("", *PROVENANCE_STRENGTHS)
        assert (kind.strength == "") == (
            kind.verdict in ("none", "unreadable", "held_elsewhere", "format_not_read")
        )
        assert kind.source in ("seen", "code", "doc")
        assert all((kind.who, kind.place, kind.example))
