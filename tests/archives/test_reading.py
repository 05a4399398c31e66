"""Zip and tar: every member is an entry, whatever the archive says of itself; no member is two."""

from __future__ import annotations

import io
import os
import struct
import zipfile
import zlib
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sample_archives import (
    TARS,
    local_entry,
    write_bomb,
    write_by_hand,
    write_links,
    write_overlapping,
    write_tar,
    write_zip,
)

from sidscan.archives import reading
from sidscan.archives.entries import ArchiveError, NoSuchMember, Packing, Problem, Span, archive_stamp
from sidscan.archives.reading import CHANGED, find_entry, list_entries, open_member, read_member
from sidscan.archives.zip_directory import SPLIT
from sidscan.util.member_names import member_name

MEMBERS = [
    ("a.png", b"first" * 1000),
    ("dir/b.png", os.urandom(70_000)),
    ("dir/c.txt", b""),
    ("d.png", b"last"),
]


def contents(path: Path) -> dict[str, bytes]:
    return {
        entry.name: b"".join(read_member(str(path), entry.span))
        for entry in list_entries(str(path))
        if entry.span
    }


def problems(path: Path) -> dict[str, str]:
    return {entry.name: entry.problem for entry in list_entries(str(path)) if entry.problem}


@pytest.mark.parametrize("compression", TARS.values(), ids=TARS)
def test_members_of_tars(tmp_path: Path, compression: str) -> None:
    path = write_tar(tmp_path / "a.tar", MEMBERS, compression)
    entries = list(list_entries(str(path)))
    assert [entry.name for entry in entries] == [name for name, _ in MEMBERS]
    packing = Packing.SOLID if compression else Packing.TAR
    assert {(entry.span.packing, entry.span.modified_at) for entry in entries if entry.span} == {
        (packing, "2001-09-09T01:46:40+00:00")
    }
    assert contents(path) == dict(MEMBERS)


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2])
def test_members_of_zips(tmp_path: Path, method: int) -> None:
    assert contents(write_zip(tmp_path / "a.zip", MEMBERS, method)) == dict(MEMBERS)


def test_going_back_in_a_compressed_tar_starts_again(tmp_path: Path) -> None:
    path = write_tar(tmp_path / "a.tgz", MEMBERS, "gz")
    spans = [entry.span for entry in list_entries(str(path)) if entry.span]
    for index in (3, 0, 1, 1):
        assert b"".join(read_member(str(path), spans[index])) == MEMBERS[index][1]


def test_a_span_survives_as_text() -> None:
    span = Span(Packing.ZIP, 1, 2, 3, 4, 8, 5, "2001-09-09T01:46:40+00:00")
    assert Span.parse(str(span)) == span


def test_first_bytes_come_where_they_are_asked_for(tmp_path: Path) -> None:
    for path in (write_zip(tmp_path / "a.zip", MEMBERS), write_tar(tmp_path / "a.tgz", MEMBERS, "gz")):
        heads = {entry.name: entry.head for entry in list_entries(str(path), lambda name: name == "a.png")}
        assert heads == {"a.png": MEMBERS[0][1][:512], "dir/b.png": b"", "dir/c.txt": b"", "d.png": b""}


def test_members_of_one_name_are_two(tmp_path: Path) -> None:
    path = write_zip(
        tmp_path / "a.zip", [("d/a.b", b"1"), ("d/a.b", b"2"), ("d/a (2).b", b"3"), ("d/a.b", b"4")]
    )
    assert contents(path) == {"d/a.b": b"1", "d/a (2).b": b"2", "d/a (2) (2).b": b"3", "d/a (3).b": b"4"}


@pytest.mark.parametrize(
    ("raw", "flags", "name"),
    [
        pytest.param("é.png".encode(), 0x800, "é.png", id="UTF-8"),
        pytest.param("é.png".encode(), 0, "é.png", id="UTF-8 without the flag"),
        pytest.param(b"\x82.png", 0, "é.png", id="code page 437"),
        pytest.param(b"\xff.png", 0x800, "\udcff.png", id="not UTF-8"),
        pytest.param(b"../../a.png", 0, "../../a.png", id="upwards"),
        pytest.param(b"/etc/a.png", 0, "/etc/a.png", id="absolute"),
        pytest.param(b"a\0b.png", 0, "a\\0b.png", id="NUL"),
        pytest.param(b"x" * 5000 + b".png", 0, f"{'x' * 2048}...{'x' * 2044}.png", id="long"),
    ],
)
def test_names(tmp_path: Path, raw: bytes, flags: int, name: str) -> None:
    entry = {"name": raw, "size": 1, "crc": zlib.crc32(b"1"), "flags": flags}
    path = write_by_hand(tmp_path / "a.zip", [entry], local_entry(raw, b"1", flags=flags))
    assert contents(path) == {name: b"1"}


def test_names_of_a_tar_that_are_not_utf_8(tmp_path: Path) -> None:
    assert list(contents(write_tar(tmp_path / "a.tar", [("caf\udce9.png", b"1")]))) == ["caf\udce9.png"]


@pytest.mark.parametrize(
    ("entry", "problem"),
    [
        pytest.param({"flags": 1}, Problem.ENCRYPTED, id="encrypted"),
        pytest.param({"flags": 0x2001}, Problem.ENCRYPTED, id="strong encryption"),
        pytest.param({"method": 9}, Problem.METHOD, id="deflate64"),
        pytest.param({"method": 14}, Problem.METHOD, id="LZMA"),
        pytest.param({"method": 93}, Problem.METHOD, id="Zstandard"),
        pytest.param({"offset": 1 << 30}, Problem.OUTSIDE, id="behind the end"),
        pytest.param({"packed": 1 << 30}, Problem.OUTSIDE, id="longer than the archive"),
        pytest.param({"size": 1 << 31, "packed": 2}, Problem.BOMB, id="ratio"),
    ],
)
def test_members_that_are_not_read(tmp_path: Path, entry: dict[str, object], problem: Problem) -> None:
    whole = {"name": b"a.png", "size": 2, "crc": zlib.crc32(b"12"), **entry}
    good = {"name": b"good.png", "offset": 37, "size": 1, "crc": zlib.crc32(b"1")}
    content = local_entry(b"a.png", b"12") + local_entry(b"good.png", b"1")
    path = write_by_hand(tmp_path / "a.zip", [whole, good], content)
    assert problems(path) == {"a.png": problem.value}
    assert contents(path) == {"good.png": b"1"}


def test_overlapping_members_are_refused(tmp_path: Path) -> None:
    path = write_overlapping(tmp_path / "a.zip", b"1" * 20, b"2" * 20)
    assert problems(path) == dict.fromkeys(("a.png", "b.png"), Problem.OVERLAPPING.value)
    same = {"size": 1, "crc": zlib.crc32(b"1")}
    twice = [{"name": b"a.png", **same}, {"name": b"b.png", **same}]
    path = write_by_hand(tmp_path / "b.zip", twice, local_entry(b"a.png", b"1"))
    assert problems(path) == dict.fromkeys(("a.png", "b.png"), Problem.OVERLAPPING.value)


def test_a_header_of_its_own_that_reaches_into_another_member(tmp_path: Path) -> None:
    """The directory says nothing of it: only the member's own header has the long extra field."""
    first = bytearray(local_entry(b"a.png", b"1"))
    first[28:30] = (40).to_bytes(2, "little")
    content = bytes(first) + local_entry(b"b.png", b"2")
    one = {"size": 1, "crc": zlib.crc32(b"1")}
    entries = [{"name": b"a.png", **one}, {"name": b"b.png", **one, "offset": len(first)}]
    path = write_by_hand(tmp_path / "a.zip", entries, content)
    with pytest.raises(ArchiveError, match="overlap"):
        b"".join(open_member(f"{path}!/a.png").read())


def test_bombs(tmp_path: Path) -> None:
    assert problems(write_bomb(tmp_path / "a.zip")) == {"bomb.png": Problem.BOMB.value}
    (problem,) = problems(write_tar(tmp_path / "a.tar.xz", [("a.png", bytes(64 << 20))], "xz")).values()
    assert problem == "it unpacks to more than 1,100 times its size, as a bomb does"


def test_a_member_that_unpacks_to_more_than_it_states(tmp_path: Path) -> None:
    packed = zlib.compress(bytes(1000))[2:-4]
    entry = {"name": b"a.png", "size": 10, "packed": len(packed), "method": 8, "crc": zlib.crc32(bytes(10))}
    path = write_by_hand(tmp_path / "a.zip", [entry], local_entry(b"a.png", packed, method=8))
    with pytest.raises(ArchiveError, match="more than the archive states"):
        b"".join(open_member(f"{path}!/a.png").read())


def test_a_wrong_checksum(tmp_path: Path) -> None:
    path = write_by_hand(tmp_path / "a.zip", [{"name": b"a.png", "size": 1}], local_entry(b"a.png", b"1"))
    with pytest.raises(ArchiveError, match="checksum"):
        b"".join(open_member(f"{path}!/a.png").read())


def test_links_and_devices_of_a_tar(tmp_path: Path) -> None:
    assert problems(write_links(tmp_path / "a.tar")) == {
        "sym.png": Problem.LINK.value,
        "hard.png": Problem.HARD_LINK.value,
        "null.png": Problem.SPECIAL.value,
    }


@pytest.mark.parametrize("compression", TARS.values(), ids=TARS)
def test_a_tar_that_is_cut_off(tmp_path: Path, compression: str) -> None:
    members = [(f"{index}.png", os.urandom(200_000)) for index in range(8)]
    path = write_tar(tmp_path / "a.tar", members, compression)
    path.write_bytes(path.read_bytes()[:1_000_000])
    *entries, last = list_entries(str(path))
    assert [entry.name for entry in entries] == [name for name, _ in members[: len(entries)]]
    assert len(entries) in (4, 5)
    assert last.name == ""
    assert last.problem.startswith(f"it is damaged or cut off after {len(entries)} members")


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
@pytest.mark.parametrize("streamed", [False, True])
def test_a_zip_that_is_cut_off(tmp_path: Path, method: int, streamed: bool) -> None:
    class Stream(io.BytesIO):
        """A pipe: sizes follow the content of each member."""

        def seekable(self) -> bool:
            return not streamed

        def seek(self, *where: int) -> int:
            if streamed:
                raise OSError("a pipe")
            return super().seek(*where)

        def tell(self) -> int:
            if streamed:
                raise OSError("a pipe")
            return super().tell()

    members = [(f"{index}.png", os.urandom(1000)) for index in range(8)]
    file = Stream()
    with zipfile.ZipFile(file, "w", method) as archive:
        for name, content in members:
            archive.writestr(name, content)
    path = tmp_path / "a.zip"
    path.write_bytes(file.getvalue()[:5000])
    found = contents(path)
    if streamed and method == zipfile.ZIP_STORED:
        assert found == {}  # nothing says where a member ends
    else:
        assert found == dict(members[:4])
    last = list(list_entries(str(path)))[-1]
    assert last.problem == (
        "its directory is missing: the file is cut off, or one part of several, to be joined first; "
        f"{len(found)} whole members were found without it"
    )


def whole_zip(tmp_path: Path, comment: bytes = b"") -> bytes:
    """A zip of two members, as bytes."""
    path = write_zip(tmp_path / "whole.zip", [("a.png", b"1"), ("b.png", b"22")])
    with zipfile.ZipFile(path, "a") as archive:
        archive.comment = comment
    return path.read_bytes()


@pytest.mark.parametrize(
    ("before", "comment", "after"),
    [
        (b"MZ" + bytes(3000), b"", b""),
        (b"", b"sold by PK\5\6 and Sons, 22 Long Street, London", b""),
        (b"#!/bin/sh\n", b"PK\5\6" * 9, b""),
        (b"", b"", b"\0" * 100),
    ],
    ids=["unpacks itself", "signature in the comment", "both", "padded"],
)
def test_a_zip_is_found_by_its_end(tmp_path: Path, before: bytes, comment: bytes, after: bytes) -> None:
    path = tmp_path / "a.zip"
    path.write_bytes(before + whole_zip(tmp_path, comment) + after)
    assert contents(path) == {"a.png": b"1", "b.png": b"22"}
    assert [entry.problem for entry in list_entries(str(path))] == ["", ""]


def test_a_tar_that_ends_as_a_zip_is_a_tar(tmp_path: Path) -> None:
    path = write_tar(tmp_path / "a.tar", [("in.zip", whole_zip(tmp_path))])
    path.write_bytes(path.read_bytes().rstrip(b"\0"))
    assert next(list_entries(str(path))).name == "in.zip"


def split(data: bytes) -> bytes:
    """The last part of a zip in three files."""
    last = bytearray(data[20:])
    struct.pack_into("<2H", last, last.rfind(b"PK\5\6") + 4, 2, 2)
    return bytes(last)


NO_ARCHIVES = {
    "empty": (b"", reading.EMPTY_FILE),
    "text": (b"some text", reading.NO_ARCHIVE),
    "web page": (b"\xef\xbb\xbf\n<!DOCTYPE html>\n<p>This link has expired", reading.WEB_PAGE),
    "web page, shorter": (b"<HTML><body>", reading.WEB_PAGE),
    "first part of a zip": (b"PK\7\10PK\3\4" + bytes(100), SPLIT),
}


@pytest.mark.parametrize(("content", "problem"), NO_ARCHIVES.values(), ids=NO_ARCHIVES)
def test_what_only_has_the_name_of_an_archive(tmp_path: Path, content: bytes, problem: str) -> None:
    path = tmp_path / "a.zip"
    path.write_bytes(content)
    assert [(entry.name, entry.problem) for entry in list_entries(str(path))] == [("", problem)]


def test_the_last_part_of_a_zip_in_several_files(tmp_path: Path) -> None:
    path = tmp_path / "a.zip"
    path.write_bytes(split(whole_zip(tmp_path)))
    assert [(entry.name, entry.problem) for entry in list_entries(str(path))] == [("", SPLIT)]


def test_a_large_zip_needs_its_extra_fields(tmp_path: Path) -> None:
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w") as archive, archive.open("a.png", "w", force_zip64=True) as member:
        member.write(b"1")
    assert contents(path) == {"a.png": b"1"}


def test_a_zip_behind_another_file(tmp_path: Path) -> None:
    """Its offsets count from its own start."""
    path = write_zip(tmp_path / "a.zip", [("a.png", b"1")])
    path.write_bytes(b"PK, some words in front" + path.read_bytes())
    assert contents(path) == {"a.png": b"1"}


@pytest.mark.parametrize(
    "data", [b"", b"PK", b"\x1f\x8b", b"BZh9", b"\xfd7zXZ\x00", b"x" * 600, b"PK\x05\x06" + bytes(18)]
)
def test_what_is_no_archive_is_said_in_one_entry(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "a"
    path.write_bytes(data)
    entries = list(list_entries(str(path)))
    assert [entry.name for entry in entries] == ([] if data.startswith(b"PK\x05\x06") else [""])


def test_a_member_by_its_name(tmp_path: Path) -> None:
    path = write_zip(tmp_path / "a.zip", MEMBERS)
    assert b"".join(open_member(member_name(str(path), "dir/b.png")).read()) == MEMBERS[1][1]
    with pytest.raises(NoSuchMember):
        find_entry(str(path), "none.png")
    entry = find_entry(str(path), "a.png")
    assert entry.span
    stamp = archive_stamp(path.stat())
    write_zip(path, [("a.png", b"other")])
    with pytest.raises(ArchiveError, match=CHANGED[:20]):
        b"".join(read_member(str(path), entry.span, stamp))
    assert b"".join(open_member(f"{path}!/a.png").read()) == b"other"


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_damaged_archives_end_in_entries(
    data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Whatever bytes change: no other error than of an archive, and nothing is read without an end."""
    folder = tmp_path_factory.mktemp("damaged")
    kind = data.draw(st.sampled_from(["zip", *TARS.values()]))
    members = [(f"{index}.png", bytes([index]) * 700) for index in range(3)]
    path = folder / "a"
    if kind == "zip":
        write_zip(path, members, zipfile.ZIP_DEFLATED)
    else:
        write_tar(path, members, kind)
    raw = bytearray(path.read_bytes())
    for _ in range(data.draw(st.integers(1, 6))):
        raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    path.write_bytes(raw[: data.draw(st.integers(0, len(raw)))])
    entries = list(list_entries(str(path), lambda _: True))
    assert len({entry.name for entry in entries}) == len(entries)
    for entry in (each for each in entries if each.span):
        with suppress(ArchiveError):
            member = open_member(f"{path}!/{entry.name}")
            assert len(b"".join(member.read())) == member.span.size
