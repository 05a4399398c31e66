"""WARC files: what is a member, and what damage, bombs and lies cost."""

from __future__ import annotations

import gzip
import io
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sample_images import encoded, photo
from sample_warcs import chunked, record, response

from sidscan.archives.entries import ArchiveEntry, ArchiveError, Problem
from sidscan.archives.reading import list_entries, open_member

PNG = encoded(photo(64, 64), "PNG")


def plain(path: Path, records: Sequence[bytes]) -> Path:
    path.write_bytes(b"".join(records))
    return path


def packed(path: Path, records: Sequence[bytes]) -> Path:
    path.write_bytes(b"".join(map(gzip.compress, records)))
    return path


WRITERS = [pytest.param(plain, id="plain"), pytest.param(packed, id="gzip")]
Writer = Callable[[Path, Sequence[bytes]], Path]


def listed(path: Path) -> list[ArchiveEntry]:
    return list(list_entries(os_path(path), lambda _: True))


def os_path(path: Path) -> str:
    return str(path)


def content(path: Path, entry: ArchiveEntry) -> bytes:
    return b"".join(open_member(f"{path}!/{entry.name}").read())


@pytest.mark.parametrize("write", WRITERS)
def test_records_with_a_payload_are_members(tmp_path: Path, write: Writer) -> None:
    path = write(
        tmp_path / "a.warc",
        [
            record("warcinfo", b"software: x\r\n", Content_Type="application/warc-fields"),
            record("request", b"GET / HTTP/1.1\r\n\r\n", Content_Type="application/http; msgtype=request"),
            response(PNG, "http://example.org/a.png", "Content-Type: image/png", "Server: x"),
            record("resource", PNG, Content_Type="image/png", WARC_Target_URI="ftp://example.org/b.png"),
            record("revisit", b"HTTP/1.1 200 OK\r\n\r\n", WARC_Target_URI="http://example.org/c.png"),
            record("metadata", b"x: y\r\n"),
            response(b"<html>", "http://example.org/", "Content-Type: text/html"),
            response(PNG, "http://u:p@example.org/d.png", status="404 Not Found"),
        ],
    )
    entries = listed(path)
    assert [(entry.problem, entry.head[:4]) for entry in entries] == [
        ("", b"\x89PNG"),
        ("", b"\x89PNG"),
        (Problem.REVISIT.value, b""),
        ("", b"<htm"),
        ("", b"\x89PNG"),
    ]
    assert [content(path, entries[at]) for at in (0, 1, 4)] == [PNG] * 3
    captures = [open_member(f"{path}!/{entries[at].name}").capture() for at in (0, 1, 4)]
    assert [(each.url, each.date, each.http_status, dict(each.headers)) for each in captures if each] == [
        (
            "http://example.org/a.png",
            "2024-05-06T07:08:09+00:00",
            200,
            {"content-type": "image/png", "server": "x"},
        ),
        (
            "ftp://example.org/b.png",
            "2024-05-06T07:08:09+00:00",
            None,
            {"content-type": "image/png", "content-length": str(len(PNG))},
        ),
        ("http://***@example.org/d.png", "2024-05-06T07:08:09+00:00", 404, {}),
    ]
    data = path.read_bytes()
    for entry in entries:
        assert data[int(entry.name) :].startswith((b"WARC/", b"\x1f\x8b")), "names are offsets of records"


RAW_DEFLATE = zlib.compressobj(wbits=-15)


@pytest.mark.parametrize(
    ("body", "headers"),
    [
        pytest.param(chunked(PNG), ["Transfer-Encoding: chunked"], id="chunked"),
        pytest.param(gzip.compress(PNG), ["Content-Encoding: gzip"], id="gzip"),
        pytest.param(
            gzip.compress(PNG[:90]) + gzip.compress(PNG[90:]) + gzip.compress(b"") + b"\0" * 9,
            ["Content-Encoding: gzip"],
            id="gzip of several members",
        ),
        pytest.param(
            chunked(gzip.compress(PNG[:90]) + gzip.compress(PNG[90:]), 3),
            ["Transfer-Encoding: chunked", "Content-Encoding: gzip"],
            id="members cut anywhere",
        ),
        pytest.param(zlib.compress(PNG), ["Content-Encoding: deflate"], id="zlib"),
        pytest.param(
            RAW_DEFLATE.compress(PNG) + RAW_DEFLATE.flush(), ["content-encoding: Deflate"], id="deflate"
        ),
        pytest.param(
            chunked(gzip.compress(PNG), 7),
            ["Transfer-Encoding: chunked", "Content-Encoding: gzip"],
            id="both",
        ),
        pytest.param(PNG, ["Transfer-Encoding: chunked"], id="only says that it is chunked"),
        pytest.param(PNG, ["Content-Encoding: gzip"], id="only says that it is gzip"),
        pytest.param(PNG, ["X-A: 1", " goes on", "Content-Encoding: identity"], id="a field of two lines"),
    ],
)
@pytest.mark.parametrize("write", WRITERS)
def test_codings_of_http_are_undone(tmp_path: Path, write: Writer, body: bytes, headers: list[str]) -> None:
    path = write(tmp_path / "a.warc", [response(body, "http://example.org/a", *headers), response(b"x")])
    entry, _ = listed(path)
    assert entry.span is not None
    assert (entry.problem, entry.span.size, content(path, entry)) == ("", len(PNG), PNG)


@pytest.mark.parametrize("write", WRITERS)
def test_what_is_cut_off_is_said_and_what_is_before_is_kept(tmp_path: Path, write: Writer) -> None:
    path = write(tmp_path / "a.warc", [response(PNG), response(encoded(photo(64, 64, 2), "PNG"))])
    whole = path.read_bytes()
    first, second = listed(path)
    for size in range(int(second.name) + 1, len(whole) - 4, 97):
        path.write_bytes(whole[:size])
        entries = listed(path)
        assert (entries[0].name, entries[0].problem) == (first.name, "")
        assert entries[-1].name == ""
        assert entries[-1].problem.startswith("it is damaged or cut off after 1 record (")
        assert all(entry.span is None and entry.problem for entry in entries[1:])


@pytest.mark.parametrize("write", WRITERS)
@pytest.mark.parametrize(
    ("block", "fields", "problem"),
    [
        pytest.param(b"x", {"Content_Length": "99999999"}, "the archive is cut off there", id="too long"),
        pytest.param(b"x", {"Content_Length": "-1"}, "a record does not state its length", id="negative"),
        pytest.param(b"x", {"Content_Length": "9" * 30}, "a record does not state its length", id="huge"),
        pytest.param(PNG, {"Content_Length": "10"}, "no record begins where one should", id="too short"),
        pytest.param(b"x", {"X": "y" * 70_000}, "the head of a record is too long", id="long head"),
    ],
)
def test_lengths_that_lie(
    tmp_path: Path, write: Writer, block: bytes, fields: dict[str, str], problem: str
) -> None:
    path = write(tmp_path / "a.warc", [response(PNG), record("resource", block, **fields), response(PNG)])
    first, *_, last = listed(path)
    assert content(path, first) == PNG
    assert (last.name, last.span) == ("", None)
    is_packed_short = write is packed and fields.get("Content_Length") == "10"
    assert ("compressed as a whole" if is_packed_short else problem) in last.problem


def test_bombs_are_refused(tmp_path: Path) -> None:
    """One compression alone can't be one; a body that is compressed in a record that is compressed can."""
    bomb = gzip.compress(bytes(64 << 20))
    path = packed(tmp_path / "a.warc", [response(bomb, "http://a", "Content-Encoding: gzip"), response(PNG)])
    first, second = listed(path)
    assert (first.span, first.problem) == (None, Problem.BOMB.value)
    assert content(path, second) == PNG


@pytest.mark.parametrize(
    ("made", "problem"),
    [
        pytest.param(response(PNG, "http://a", "Content-Encoding: br"), Problem.CODING.value, id="brotli"),
        pytest.param(
            record("response", b"HTTP/1.1 200 OK\r\n\r\n" + PNG, WARC_Segment_Number="1"),
            Problem.SEGMENT.value,
            id="segment",
        ),
        pytest.param(
            response(chunked(PNG)[:-40], "http://a", "Transfer-Encoding: chunked"),
            "it is damaged or cut off: a chunk of its body is cut off",
            id="chunk",
        ),
        pytest.param(
            response(gzip.compress(PNG)[:-40], "http://a", "Content-Encoding: gzip"),
            "it is damaged or cut off: its body is cut off",
            id="gzip",
        ),
    ],
)
def test_payloads_that_are_not_read(tmp_path: Path, made: bytes, problem: str) -> None:
    path = plain(tmp_path / "a.warc", [made, response(PNG)])
    first, second = listed(path)
    assert (first.span, first.problem) == (None, problem)
    assert second.problem == ""


def test_a_file_that_was_compressed_as_a_whole_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.warc.gz"
    path.write_bytes(gzip.compress(response(PNG) + response(PNG)))
    *_, last = listed(path)
    assert last.problem.startswith("its records are compressed as a whole")


@given(
    st.lists(
        st.tuples(st.sampled_from(["cut", "set", "drop"]), st.integers(0, 5000), st.integers(0, 255)),
        max_size=8,
    ),
    st.booleans(),
)
def test_no_damage_raises_anything_else(changes: list[tuple[str, int, int]], is_packed: bool) -> None:
    data = bytearray(
        b"".join(
            map(
                gzip.compress if is_packed else bytes,
                [response(chunked(PNG), "http://a", "Transfer-Encoding: chunked"), response(PNG)],
            )
        )
    )
    for what, at, value in changes:
        at %= len(data) or 1
        if what == "cut":
            del data[at + 1 :]
        elif what == "set":
            data[at] = value
        else:
            del data[at : at + value]
        data = data or bytearray(b"W")
    from sidscan.archives import warc

    file = io.BytesIO(bytes(data))
    try:
        entries = list(warc.read_records(file))
    except ArchiveError:
        return
    for entry in entries:
        if entry.span:
            assert sum(map(len, warc.read_payload(file, entry.span.offset))) == entry.span.size
