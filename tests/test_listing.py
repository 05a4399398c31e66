"""A scan begins before all inputs are listed: the same rows, in order, and an honest end if it is cut."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
from equal_reports import assert_equal_reports
from hypothesis import given
from hypothesis import strategies as st
from sample_images import folder

from sidscan import pipeline, sources
from sidscan.config import ScanConfig
from sidscan.errors import UsageError
from sidscan.journal import Journal, accept_gone
from sidscan.journal.keys import ReuseKeys
from sidscan.records import Item, RunHeader, Status
from sidscan.scoring import listing

Run = Callable[..., Any]
MINI = ("--model", "mini", "--crops", "center")
KEYS = ReuseKeys("", "", "")
LONG = 60.0  # seconds; longer than any test here takes

_items = st.builds(
    Item,
    st.sampled_from(["a", "b", "./a", "c", "x/d"]),
    fingerprint=st.sampled_from(["1:1", "2:2"]),
    skip=st.sampled_from(["", "", "a link"]),
)


def paused_after(items: list[Item]) -> tuple[Any, ...]:
    """Arguments of `register_inputs` that stop behind some inputs."""
    ended: list[bool] = []

    def each() -> Iterator[Item | None]:
        yield from items
        ended.append(True)
        yield None

    return each(), KEYS, False, False, accept_gone, False, None, lambda: bool(ended)


@given(st.lists(st.lists(_items, max_size=4), min_size=1, max_size=4), st.booleans())
def test_inputs_in_parts_are_the_inputs_at_once(parts: list[list[Item]], was_complete: bool) -> None:
    tables = []
    for first in (parts[0], [item for part in parts for item in part]):
        journal = Journal(None)
        if was_complete:  # an empty folder, a year ago
            journal.register_inputs([], KEYS)
            journal.set_header(RunHeader(finished="2026-01-01T00:00:00+00:00"))
        assert journal.can_grow()
        registered = journal.register_inputs(*paused_after(first))
        rest = parts[1:] if first is parts[0] else []
        repeated = registered.repeated + sum(journal.add_inputs(part, False).repeated for part in rest)
        rows = journal._db.execute("SELECT position, name, path, kind, stamp, skip FROM items").fetchall()
        noted = journal._db.execute("SELECT path, name, finding FROM previous ORDER BY path").fetchall()
        tables.append((rows, noted, repeated))
    assert tables[0] == tables[1]


def test_a_record_grows_only_where_nothing_can_be_set_aside() -> None:
    journal = Journal(None)
    assert journal.can_grow()
    assert journal.register_inputs([Item("a"), None], KEYS, may_pause=lambda: True).listing_complete is False
    assert journal.header().listing_complete is False
    assert journal.can_grow(), "its listing broke off"
    journal.add_inputs([Item("b")], complete=True)
    assert journal.header().listing_complete
    assert not journal.can_grow()


def test_a_listing_that_broke_off_goes_on_behind_the_inputs_that_are_known() -> None:
    journal = Journal(None)
    journal.register_inputs(*paused_after([Item("a"), Item("b")]))
    again = journal.register_inputs(map(Item, "abcd"), KEYS, may_pause=lambda: True)
    assert not again.listing_complete
    assert journal.counts().enumerated == 2
    journal.register_inputs(map(Item, "xab"), KEYS, may_pause=lambda: True)
    assert [item.name for item in journal.pending()] == ["x", "a", "b"], "listed to the end"


class Source:
    """In place of the sources: it lists no more than ``first`` inputs until the scan goes on."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, first: int) -> None:
        self.go_on = threading.Event()
        self.first: int | None = first
        self.error: BaseException | None = None
        monkeypatch.setattr("sidscan.pipeline.opening.open_sources", self._items)
        monkeypatch.setattr(listing, "_BEFORE", 0.3)

    def _items(self, *arguments: Any) -> Iterator[Item]:
        for number, item in enumerate(sources.open_sources(*arguments)):
            if number == self.first:
                assert self.go_on.wait(LONG), "the scan waits for the listing"
                if self.error:
                    raise self.error
            yield item


def scan(path: Path, *inputs: Path, **options: Any) -> pipeline.Scan:
    config = ScanConfig(
        inputs=tuple(map(str, inputs)),
        models=("mini",),
        crops="center",
        journal=path / "run.journal",
        **options,
    )
    return pipeline.open_scan(config, stream=True)


def test_an_image_is_scored_while_the_next_one_is_not_listed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = Source(monkeypatch, first=1)
    run = scan(tmp_path, folder(tmp_path / "images", count=5, side=64))
    assert run.is_listing
    assert run.counts().enumerated == 1
    results = iter(run)
    assert next(results).status is Status.SCORED
    assert run.journal.header().listing_complete is False
    assert run.pace.seconds_left() is None
    source.go_on.set()
    assert len(list(results)) == 4
    header, counts = run.journal.header(), run.counts()
    assert (header.listing_complete, header.sessions[-1].ending, counts.scored) == (True, "finished", 5)
    names = [item.name for item in sources.open_sources(run.config)]
    assert [result.name for result in run.journal.results()] == names


@pytest.mark.parametrize("in_order", [False, True])
def test_a_link_that_is_named_later_is_read_and_has_one_row(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, in_order: bool
) -> None:
    images = folder(tmp_path / "images", count=2, side=64)
    link = images / "a.jpg"
    link.symlink_to(images / "photo-0.jpg")
    (images / "photo-0.txt").write_text("no image")
    order = [item.name for item in sources.open_sources(ScanConfig(inputs=(str(images),)))]
    source = Source(monkeypatch, first=len(order))
    run = scan(tmp_path, images, link, in_order=in_order)
    assert run.is_listing
    threading.Timer(0.3, source.go_on.set).start()
    rows = [(result.name, result.status.value) for result in run]
    expected = [(name, "skipped" if name.endswith(".txt") else "scored") for name in order]
    assert (rows if in_order else sorted(rows)) == (expected if in_order else sorted(expected))
    assert [result.name for result in run.journal.results()] == order


@pytest.mark.parametrize("in_order", [False, True])
def test_a_link_that_an_interrupted_scan_skipped_is_read_when_it_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, in_order: bool
) -> None:
    monkeypatch.setattr(listing, "_LINGER", 0.0)
    images = folder(tmp_path / "images", count=2, side=64)
    link = images / "a.jpg"
    link.symlink_to(images / "photo-0.jpg")
    (images / "z.txt").write_text("no image")
    source = Source(monkeypatch, first=3)
    run = scan(tmp_path, images)
    results = iter(run)
    assert {result.name: result.status.value for result in islice(results, 3)}[str(link)] == "skipped"
    results.close()
    run.journal.close()
    source.go_on.set()
    source.go_on, source.first = threading.Event(), 4

    again = scan(tmp_path, images, link, in_order=in_order)
    assert again.is_listing
    threading.Timer(0.3, source.go_on.set).start()
    rows = {result.name: result.status.value for result in again}
    assert rows == {str(images / "z.txt"): "skipped", str(link): "scored"}
    assert again.counts().scored == 3


def start_and_end(source: Source, sidscan: Run, error: BaseException, *arguments: str | Path) -> Any:
    """A scan whose listing raises something after the first result."""
    record = pipeline.Scan._record
    source.error = error

    def recorded(*values: Any) -> Any:
        source.go_on.set()
        return record(*values)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pipeline.Scan, "_record", recorded)
        return sidscan("scan", *arguments)


@pytest.mark.parametrize(
    ("error", "code"),
    [(KeyboardInterrupt(), 130), (UsageError("the list is bad", "Save it as UTF-8."), 2)],
    ids=["interrupt", "late error"],
)
def test_a_scan_that_ends_while_it_lists_says_so_and_goes_on(
    sidscan: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: BaseException, code: int
) -> None:
    images = folder(tmp_path / "images", count=3, side=64)
    source, out = Source(monkeypatch, first=1), tmp_path / "cut.csv"
    ended = start_and_end(source, sidscan, error, images, *MINI, "-o", out)
    assert ended.code == code
    kept = f"{out}.journal, and the same command continues"
    assert f"interrupted after 1 of 1 input listed so far; results are kept in {kept}" in ended.err
    assert ("the list is bad" in ended.err) == (code == 2)
    report = sidscan("report", f"{out}.journal", "-o", tmp_path / "cut.json")
    assert "not all inputs were listed yet; the scan's command continues" in report.err
    facts = json.loads((tmp_path / "cut.json").read_text())
    assert (facts["run"]["listing_complete"], facts["run"]["finished"]) == (False, None)
    assert facts["run"]["sessions"][-1]["ending"] == "interrupted"

    if code == 2:
        return
    source.first = None
    assert sidscan("scan", images, *MINI, "-o", tmp_path / "whole.csv").code == 0
    again = sidscan("scan", images, *MINI, "-o", out)
    assert again.code == 0
    assert "1 result kept from an earlier run" in again.err
    assert "3 inputs = 3 scored + 0 failed + 0 skipped" in again.err
    assert_equal_reports(str(out), str(tmp_path / "whole.csv"))
