"""Lists of compressed tars are kept in the record, whole ones only, as long as the archive stays as it is."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from itertools import islice
from pathlib import Path

import pytest
from sample_archives import TARS, write_archive, write_tar

from sidscan.archives.entries import ArchiveEntry, Problem
from sidscan.archives.reading import list_entries
from sidscan.journal import Journal, listings
from sidscan.journal.listings import KeptListings

MEMBERS = [
    ("a.png", b"\x89PNG\r\n\x1a\n..."),
    ("b\udcff.jpg", b"1"),
    ("d/c", b"\xff\xd8\xff"),
    ("\udce4", b""),
]


class Lists:
    """Kept lists, and which archives were listed for them."""

    def __init__(self, journal: Journal, made_by: str = "1") -> None:
        self.listed: list[str] = []
        self.kept: KeptListings = journal.keeping_lists(self._list_now, made_by)

    def __call__(self, path: Path) -> list[ArchiveEntry]:
        return list(self.kept.list_entries(str(path)))

    def _list_now(self, path: str) -> Iterator[ArchiveEntry]:
        self.listed.append(path)
        yield from list_entries(path, lambda _: True)


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    with closing(Journal(tmp_path / "r.journal")) as each:
        yield each


@pytest.mark.parametrize("per_part", [1, 2, 4, 1000])
@pytest.mark.parametrize("kind", ["gz", "bz2", "xz"])
def test_an_unchanged_tar_is_listed_once(
    tmp_path: Path, journal: Journal, monkeypatch: pytest.MonkeyPatch, kind: str, per_part: int
) -> None:
    monkeypatch.setattr(listings, "_ENTRIES", per_part)
    path = write_archive(tmp_path / "a", kind, MEMBERS)
    first, second = Lists(journal), Lists(journal)
    entries = first(path)
    assert [entry.name for entry in entries] == [name for name, _ in MEMBERS]
    assert second(path) == entries
    assert (first.listed, second.listed) == ([str(path)], [])


@pytest.mark.parametrize("kind", ["zip", ""])
def test_what_is_listed_quickly_is_not_kept(tmp_path: Path, journal: Journal, kind: str) -> None:
    path, lists = write_archive(tmp_path / "a", kind, MEMBERS[:1]), Lists(journal)
    assert lists(path) == lists(path)
    assert len(lists.listed) == 2


def test_a_changed_tar_is_listed_again(tmp_path: Path, journal: Journal) -> None:
    path, lists = write_tar(tmp_path / "a", MEMBERS, "gz"), Lists(journal)
    lists(path)
    before = path.stat()
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns + 1))
    lists(path)
    write_tar(path, MEMBERS[:1], "gz")
    assert [entry.name for entry in lists(path)] == ["a.png"]
    assert len(lists.listed) == 3
    assert len(lists(path)) == 1
    assert len(lists.listed) == 3


def test_other_limits_or_versions_list_again(tmp_path: Path, journal: Journal) -> None:
    path = write_tar(tmp_path / "a", MEMBERS, "gz")
    Lists(journal)(path)
    other = Lists(journal, "2")
    other(path)
    assert other.listed == [str(path)]


def test_a_list_that_is_not_whole_is_not_kept(tmp_path: Path, journal: Journal) -> None:
    path = write_tar(tmp_path / "a", MEMBERS, "gz")
    path.write_bytes(path.read_bytes()[:-20])
    lists = Lists(journal)
    assert lists(path)[-1].name == ""
    lists(path)
    assert len(lists.listed) == 2


def test_a_list_that_nobody_read_to_its_end_is_not_used(
    tmp_path: Path, journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listings, "_ENTRIES", 1)
    path, lists = write_tar(tmp_path / "a", MEMBERS, "gz"), Lists(journal)
    assert len(list(islice(lists.kept.list_entries(str(path)), 3))) == 3
    assert len(lists(path)) == len(MEMBERS)
    assert len(lists.listed) == 2


def test_a_tar_that_changes_while_it_is_listed_is_not_kept(tmp_path: Path, journal: Journal) -> None:
    path, lists = write_tar(tmp_path / "a", MEMBERS, "gz"), Lists(journal)
    entries = lists.kept.list_entries(str(path))
    next(entries)
    path.write_bytes(path.read_bytes() + b"\0")
    list(entries)
    lists(path)
    assert len(lists.listed) == 2


def test_problems_of_members_are_kept(tmp_path: Path, journal: Journal) -> None:
    def list_now(_: str) -> Iterator[ArchiveEntry]:
        yield ArchiveEntry("link.png", problem=Problem.LINK.value)

    path = write_tar(tmp_path / "a", [], "gz")
    journal.keeping_lists(list_now, "1")
    assert list(journal.keeping_lists(list_now, "1").list_entries(str(path)))
    kept = list(journal.keeping_lists(lambda _: iter(()), "1").list_entries(str(path)))
    assert kept == [ArchiveEntry("link.png", problem=Problem.LINK.value)]


def test_lists_of_other_archives_are_forgotten(tmp_path: Path, journal: Journal) -> None:
    one, two = (write_tar(tmp_path / name, MEMBERS, TARS["gzip"]) for name in "ab")
    lists = Lists(journal)
    lists(one)
    lists(two)
    again = Lists(journal)
    again(one)
    again.kept.purge()
    last = Lists(journal)
    last(one)
    last(two)
    assert last.listed == [str(two)]


def test_a_record_names_no_folder_for_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    path = write_tar(Path("a.tgz"), MEMBERS, "gz")
    with closing(Journal(Path("r.journal"))) as journal:
        lists = journal.keeping_lists(list_entries, "1", private=True)
        assert len(list(lists.list_entries(str(path)))) == len(MEMBERS)
    with closing(sqlite3.connect("r.journal")) as database:
        dumped = "\n".join(database.iterdump())
    assert tmp_path.name not in dumped
