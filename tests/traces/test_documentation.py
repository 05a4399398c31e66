"""The reference page lists the traces that the code knows."""

from __future__ import annotations

import json
import re
import runpy
from pathlib import Path

from sidscan.traces import trace_kinds

DOCS = Path(__file__).parents[2] / "docs"


def test_the_table_is_what_the_code_registers() -> None:
    made = runpy.run_path(str(DOCS / "make_traces.py"))
    page = (DOCS / "reference" / "traces.md").read_text(encoding="utf-8")
    assert page == made["with_table"](page), "run `python docs/make_traces.py`"
    rows = page.partition("<!-- traces -->")[2].partition("<!-- end of traces -->")[0]
    listed = re.findall(r"^\| `([a-z_]+)` \|", rows, re.MULTILINE)
    assert listed == [kind.id for kind in trace_kinds()]


def test_traces_are_described() -> None:
    ids = [kind.id for kind in trace_kinds()]
    assert len(ids) == len(set(ids))
    for kind in trace_kinds():
        assert re.fullmatch("[a-z0-9_]{1,40}", kind.id)  # the protocol of workers takes no other
        assert all((kind.observed, kind.place, kind.who, kind.limits))
        assert kind.limits.endswith(".")


def test_the_page_of_reports_shows_the_limits_of_each() -> None:
    strings = json.loads((DOCS.parent / "sidscan/reports/html/page/strings.json").read_text(encoding="utf-8"))
    assert strings["traceLimits"] == {kind.id: kind.limits for kind in trace_kinds()}
