"""Where slices end, what they are called, and that each input is in one of them, once."""

from __future__ import annotations

from itertools import chain, groupby
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidscan.distributed.slices import (
    Slice,
    cut,
    decode_item,
    digest_of,
    encode_item,
    read_slice,
    write_slice,
)
from sidscan.distributed.unique import unique
from sidscan.journal import Journal
from sidscan.journal.keys import ReuseKeys
from sidscan.records import Item, Kind

NAMES = st.text(min_size=1, max_size=8)
ITEMS = st.builds(
    Item, NAMES, st.just(Kind.FILE), st.sampled_from(["", "3:4"]), st.sampled_from(["", "a link"])
)


def files(count: int, prefix: str = "file") -> list[Item]:
    return [Item(f"{prefix}-{number:05}.jpg", fingerprint="1:2") for number in range(count)]


def members(archive: str, count: int) -> list[Item]:
    return [Item(f"{archive}!/{number}.jpg", Kind.MEMBER, "1:2|3") for number in range(count)]


@given(st.lists(ITEMS, max_size=60), st.integers(1, 9))
def test_slices_are_all_inputs_in_their_order(items: list[Item], size: int) -> None:
    slices = list(cut(items, size))
    assert list(chain.from_iterable(slices)) == items
    assert all(0 < len(each) <= 2 * size for each in slices)


def test_slices_have_five_sixths_of_the_size_on_average_and_twice_as_much_at_most() -> None:
    sizes = [len(each) for each in cut(files(40_000), 100)]
    assert 0.8 < sum(sizes) / len(sizes) / 100 < 0.87
    assert max(sizes) <= 200


@pytest.mark.parametrize("at", [0, 1, 2_000, 5_003, 9_999, 10_000])
def test_a_file_that_is_inserted_changes_two_slices_at_most(at: int) -> None:
    before = files(10_000)
    after = [*before[:at], Item("new.jpg", fingerprint="5:6"), *before[at:]]
    old, new = ({digest_of(each) for each in cut(items, 300)} for items in (before, after))
    assert 1 <= len(new - old) <= 2
    assert len(old - new) <= 1


@pytest.mark.parametrize(
    ("archives", "whole"),
    [
        pytest.param([30] * 40, True, id="many small"),
        pytest.param([150, 3, 199, 80, 120], True, id="large ones that fit"),
        pytest.param([900], False, id="one that does not fit"),
    ],
)
def test_an_archive_stays_in_one_slice_if_it_fits(archives: list[int], whole: bool) -> None:
    items = files(50)
    for number, count in enumerate(archives):
        items += members(f"a{number}.zip", count)
    slices = list(cut(items, 100))
    assert list(chain.from_iterable(slices)) == items
    assert all(len(each) <= 200 for each in slices)
    of_archive = [
        archive
        for each in slices
        for archive, _ in groupby(item.name.partition("!")[0] for item in each if item.kind is Kind.MEMBER)
    ]
    assert (len(of_archive) == len(set(of_archive))) is whole


@pytest.mark.parametrize(
    "name", ["plain.jpg", "n\newline.jpg", "\udcff\udc00 bytes", "\u202e bidi", "</script>", "a\0b"]
)
def test_any_name_survives(name: str, tmp_path: Path) -> None:
    items = [Item(name, Kind.FILE, "1:2", "why \udce9"), Item("b", Kind.URL)]
    assert [decode_item(encode_item(item)) for item in items] == items
    write_slice(items, tmp_path / "slice")
    assert list(read_slice(tmp_path / "slice")) == items


def test_equal_slices_are_equal_files(tmp_path: Path) -> None:
    for name in ("first", "second"):
        write_slice(files(10), tmp_path / name)
    assert (tmp_path / "first").read_bytes() == (tmp_path / "second").read_bytes()


def test_the_digest_holds_all_that_a_row_depends_on() -> None:
    item = Item("a", Kind.FILE, "1:2", "")
    others = [
        Item("b", Kind.FILE, "1:2"),
        Item("a", Kind.URL, "1:2"),
        Item("a", Kind.FILE, "1:3"),
        Item("a", Kind.FILE, "1:2", "skipped"),
    ]
    assert len({digest_of([each]) for each in (item, *others)}) == 5
    assert digest_of([item, others[0]]) != digest_of([others[0], item])
    assert Slice(digest_of([item]), 1).starts == ()


@given(st.lists(ITEMS, max_size=40))
def test_each_input_is_named_once_as_a_journal_would_have_it(items: list[Item]) -> None:
    journal = Journal(None)
    journal.register_inputs(items, ReuseKeys("", "", ""))
    expected = [(item.name, item.fingerprint, item.skip) for item in journal.pending()]
    journal.close()
    found = [(item.name, item.fingerprint, item.skip) for item in unique(items, str(Path.cwd()))]
    assert found == expected


def test_a_name_in_two_lists_is_one_input_however_it_is_written(tmp_path: Path) -> None:
    names = [
        "a.jpg",
        "b.jpg",
        "./a.jpg",
        str(tmp_path / "b.jpg"),
        "c/../a.jpg",
        "http://x/a.jpg",
        "http://x/a.jpg",
    ]
    (tmp_path / "c").mkdir()
    items = [Item(name, Kind.URL if "://" in name else Kind.FILE) for name in names]
    assert [item.name for item in unique(items, str(tmp_path))] == ["a.jpg", "b.jpg", "http://x/a.jpg"]
