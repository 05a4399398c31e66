"""Archives in a process of their own: in order, within limits, and whatever it sends."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import BinaryIO

import pytest
from sample_archives import local_entry, write_by_hand, write_tar, write_zip

from sidscan.archives import reading
from sidscan.archives.entries import archive_stamp, fingerprint_of
from sidscan.archives.unpack import SolidStream
from sidscan.config import ScanConfig
from sidscan.isolation import archives
from sidscan.isolation.archives import ArchiveReader
from sidscan.isolation.frames import Frame, ProtocolError
from sidscan.isolation.protocol import WorkerOptions
from sidscan.records import Failure, Item, Kind, Status

OPTIONS = WorkerOptions.from_config(ScanConfig(inputs=("x",)))
MEMBERS = [(f"{index}.png", os.urandom(50_000 + index)) for index in range(6)]


def items(path: Path, reader: ArchiveReader) -> list[Item]:
    stamp = archive_stamp(path.stat())
    return [
        Item(f"{path}!/{entry.name}", Kind.MEMBER, fingerprint_of(stamp, entry.span))
        for entry in reader.list_entries(str(path))
    ]


@pytest.fixture
def reader() -> Iterator[ArchiveReader]:
    with closing(ArchiveReader(OPTIONS)) as each:
        yield each


@pytest.mark.parametrize("order", [slice(None), slice(None, None, -1), slice(None, None, 2)])
def test_announced_members_come_whoever_asks_first(
    tmp_path: Path, reader: ArchiveReader, order: slice
) -> None:
    path = write_tar(tmp_path / "a.tgz", MEMBERS, "gz")
    announced = list(reader.announced(items(path, reader)))
    for item, (_, content) in list(zip(announced, MEMBERS, strict=True))[order]:
        given = reader.read(item)
        assert not isinstance(given, Failure)
        data, info = given
        assert (data, info.bytes, info.modified_at) == (content, len(content), "2001-09-09T01:46:40+00:00")


def test_members_in_order_take_one_pass(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened = []

    class Counted(SolidStream):
        def __init__(self, file: BinaryIO) -> None:
            opened.append(file)
            super().__init__(file)

    monkeypatch.setattr(reading, "SolidStream", Counted)
    path = write_tar(tmp_path / "a.tgz", MEMBERS, "gz")
    spans = [entry.span for entry in reading.list_entries(str(path))]
    for span in spans:
        assert span
        assert sum(map(len, reading.read_member(str(path), span))) == span.size
    assert len(opened) == 2


def test_an_archive_that_takes_too_long_is_one_entry(tmp_path: Path) -> None:
    content = local_entry(b"a.txt", b"1")
    entries = [{"name": b"%06d.txt" % number, "size": 1} for number in range(60_000)]
    path = write_by_hand(tmp_path / "a.zip", entries, content)
    with closing(ArchiveReader(replace(OPTIONS, item_timeout=0.05))) as reader:
        *_, last = reader.list_entries(str(path))
    assert (last.name, last.problem) == ("", "not listed after 0.05 s; raise the limit with --item-timeout")


def test_a_member_beyond_the_limit(tmp_path: Path) -> None:
    path = write_tar(tmp_path / "a.tgz", MEMBERS, "gz")
    options = replace(OPTIONS, limits=replace(OPTIONS.limits, max_bytes=50_003))
    with closing(ArchiveReader(options)) as reader:
        given = list(map(reader.read, items(path, reader)))
    assert [each.status if isinstance(each, Failure) else "read" for each in given] == [
        *["read"] * 4,
        *[Status.TOO_LARGE] * 2,
    ]


def test_an_archive_that_changed(tmp_path: Path, reader: ArchiveReader) -> None:
    path = write_tar(tmp_path / "a.tgz", MEMBERS, "gz")
    listed = items(path, reader)
    write_tar(path, MEMBERS[:1], "gz")
    given = reader.read(listed[0])
    assert isinstance(given, Failure)
    assert given.message == "the archive was changed after it was listed; scan it again"


def test_an_archive_that_costs_processes_is_given_up(
    tmp_path: Path, reader: ArchiveReader, monkeypatch: pytest.MonkeyPatch
) -> None:
    long_to_read = [(name, bytes(20 << 20)) for name, _ in MEMBERS[:2]]
    path = write_tar(tmp_path / "a.tgz", [*long_to_read, *MEMBERS[2:]], "gz")
    listed = items(path, reader)
    monkeypatch.setattr(reader, "_seconds", lambda _: 0.001)
    given = [reader.read(item) for item in listed]
    assert [each.status for each in given if isinstance(each, Failure)] == [
        *[Status.TIMEOUT] * 2,
        *[Status.CRASHED] * 4,
    ]


def test_an_archive_that_is_gone(tmp_path: Path, reader: ArchiveReader) -> None:
    (entry,) = reader.list_entries(str(tmp_path / "none.zip"))
    assert (entry.name, entry.problem) == ("", "No such file or directory")


def test_hashes(tmp_path: Path, reader: ArchiveReader) -> None:
    import hashlib

    path = write_zip(tmp_path / "a.zip", MEMBERS)
    futures = [reader.hash_later(f"{path}!/{name}") for name, _ in MEMBERS]
    assert [each.result() for each in futures] == [hashlib.sha256(data).hexdigest() for _, data in MEMBERS]


@pytest.mark.parametrize(
    ("head", "payload"),
    [
        pytest.param({"entries": 1}, b"", id="no list"),
        pytest.param({"entries": [["a", "", ""]]}, b"", id="too short"),
        pytest.param({"entries": [["a", "", "", -1]]}, b"", id="below zero"),
        pytest.param({"entries": [["a", "", "", True]]}, b"", id="no number"),
        pytest.param({"entries": [[1, "", "", 0]]}, b"", id="no text"),
        pytest.param({"entries": [["\ud800", "", "", 0]]}, b"", id="no name"),
        pytest.param({"entries": [["a", "zip:1", "", 0]]}, b"", id="no span"),
        pytest.param({"entries": [["a", "rar:1:2:3:4:5:6:", "", 0]]}, b"", id="no packing"),
        pytest.param({"entries": [["a" * 70_000, "", "", 0]]}, b"", id="long"),
        pytest.param({"error": "x", "message": None}, b"", id="no message"),
    ],
)
def test_what_no_process_sends(head: dict[str, object], payload: bytes) -> None:
    with pytest.raises(ProtocolError):
        list(archives._entries(Frame(head, payload, last=False)))


def test_texts_that_no_record_can_hold_are_changed() -> None:
    (entry,) = archives._entries(Frame({"entries": [["", "", "\udcff", 0]]}, last=False))
    assert entry.problem == "\\udcff"
