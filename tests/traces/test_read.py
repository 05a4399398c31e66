"""Images get their traces while they are open; what fails costs no score."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from sample_images import photo

from sidscan import traces
from sidscan.config import ScanConfig
from sidscan.isolation.reader import IsolatedReader, read_item
from sidscan.records import DecodedImage, Failure, ImageInfo, Item, JsonObject, Trace
from sidscan.traces import TracedImage, TraceKind, trace_kinds

CONFIG = ScanConfig(inputs=("a",))
SEEN = TraceKind("seen", "nothing", "nowhere", "nobody", "It means nothing.")


@pytest.fixture
def image(tmp_path: Path) -> Item:
    path = tmp_path / "a.png"
    photo(300, 240).save(path)
    return Item(str(path))


def registered(monkeypatch: pytest.MonkeyPatch, finder: traces.Finder) -> None:
    trace_kinds()
    monkeypatch.setattr("sidscan.traces._FINDERS", [(finder, (SEEN,))])
    traces.finders.cache_clear()


@pytest.fixture(autouse=True)
def finders_again() -> Iterator[None]:
    yield
    traces.finders.cache_clear()


def test_an_image_without_traces_has_none_of_them(image: Item) -> None:
    result = read_item(image, CONFIG)
    assert isinstance(result, DecodedImage)
    assert (result.facts.traces, result.facts.trace_ids) == ((), "none")


def test_a_worker_finds_what_this_process_finds(image: Item) -> None:
    with Path(image.name).open("ab") as file:
        file.write(b"behind the image")
    reader = IsolatedReader(CONFIG)
    try:
        assert reader(image).facts == read_item(image, CONFIG).facts
    finally:
        reader.close()


def test_an_image_that_is_not_decoded_was_not_looked_at(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(b"\xff\xd8\xff\xe0 nothing")
    result = read_item(Item(str(tmp_path / "a.jpg")), CONFIG)
    assert isinstance(result, Failure)
    assert (result.facts.traces, result.facts.trace_ids) == (None, None)


def test_a_finder_sees_the_open_image(image: Item, monkeypatch: pytest.MonkeyPatch) -> None:
    def find(traced: TracedImage) -> Iterator[Trace]:
        size = traced.image.source.image.size
        assert traced.data[:4] == b"\x89PNG"
        assert traced.image.small is traced.image.small
        yield SEEN.found(f"{size} {traced.facts.format} {traced.metadata.stores}", "PNG", 8, traced.name)

    registered(monkeypatch, find)
    (trace,) = read_item(image, CONFIG).facts.traces or ()
    assert trace == Trace("seen", "(300, 240) PNG []", "PNG", 8, image.name)


@pytest.mark.parametrize("error", [ValueError, MemoryError, RecursionError])
def test_a_finder_that_fails_is_named_and_costs_no_score(
    image: Item, monkeypatch: pytest.MonkeyPatch, error: type[Exception]
) -> None:
    def find(traced: TracedImage) -> Iterator[Trace]:
        yield SEEN.found("one", "", 0)
        raise error("secret")

    registered(monkeypatch, find)
    result = read_item(image, CONFIG)
    assert isinstance(result, DecodedImage)
    assert result.facts.traces == (Trace("not_looked_for", f"seen: {error.__name__}"),)


def test_traces_are_bounded(image: Item, monkeypatch: pytest.MonkeyPatch) -> None:
    def find(traced: TracedImage) -> Iterator[Trace]:
        while True:
            yield SEEN.found("x" * 9999 + "\ud800", "c" * 999, 0, "v" * 9999)

    registered(monkeypatch, find)
    found = read_item(image, CONFIG).facts.traces or ()
    assert len(found) == 20
    assert {len(trace.detail) for trace in found} == {len(trace.value) for trace in found} == {504}


def test_results_of_earlier_versions_load() -> None:
    raw: JsonObject = {"exif": {}, "flags": []}
    assert ImageInfo.from_dict(raw).traces is None
    assert ImageInfo.from_dict({**raw, "traces": []}).traces == ()
    (trace,) = ImageInfo.from_dict({**raw, "traces": [{"id": "seen", "detail": "d", "new": 1}]}).traces or ()
    assert trace == Trace("seen", "d")
