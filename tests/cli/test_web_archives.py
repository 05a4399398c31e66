"""WARC files and webdataset tars as inputs: a row for each member, with the address of what a crawler got."""

from __future__ import annotations

import csv
import gzip
import hashlib
import io
import json
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from sample_images import encoded, photo
from sample_warcs import chunked, record, response

Run = Callable[..., Any]
MINI = ("--model", "mini", "--crops", "center")
IMAGES = [encoded(photo(240, 240, index), "PNG") for index in range(3)]
RECORDS = [
    record("warcinfo", b"software: x\r\n", Content_Type="application/warc-fields"),
    response(IMAGES[0], "http://example.org/a.png?key=1", "Content-Type: image/png", "ETag: x"),
    response(b"<html></html>", "http://example.org/", "Content-Type: text/html"),
    record("revisit", b"HTTP/1.1 200 OK\r\n\r\n", WARC_Target_URI="http://example.org/a.png"),
    response(chunked(IMAGES[1]), "http://example.org/b.png", "Transfer-Encoding: chunked"),
    response(IMAGES[2][:500], "http://example.org/c.png", status="206 Partial Content"),
]


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    Path("in").mkdir()
    Path("in/a.warc.gz").write_bytes(b"".join(map(gzip.compress, RECORDS)))
    return tmp_path


def rows() -> list[dict[str, str]]:
    with Path("r.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def offsets() -> list[int]:
    lengths = [len(gzip.compress(each)) for each in RECORDS]
    return [sum(lengths[:index]) for index in range(len(lengths))]


def test_a_web_archive_gives_a_row_for_each_payload(sidscan: Run, desk: Path) -> None:
    ended = sidscan("scan", "in", *MINI, "-o", "r.csv", "-o", "r.json")
    assert ended.code == 3, "an image is cut off"
    made = rows()
    assert [row["path"] for row in made] == [f"in/a.warc.gz!/{offset}" for offset in offsets()[1:]]
    assert [row["error_message"] or row["status"] for row in made[:4]] == [
        "scored",
        "not an image: neither its name nor its first bytes say so",
        "a revisit record: the crawler got the same bytes before, and another record has them",
        "scored",
    ]
    assert made[4]["status"] == "truncated"
    assert [row["sha256"] for row in made if row["sha256"]] == [
        hashlib.sha256(each).hexdigest() for each in (IMAGES[0], IMAGES[1], IMAGES[2][:500])
    ]
    assert [(row["final_url"], row["http_status"]) for row in made] == [
        ("http://example.org/a.png?key=1", "200"),
        ("", ""),
        ("", ""),
        ("http://example.org/b.png", "200"),
        ("http://example.org/c.png", "206"),
    ]
    first = json.loads(Path("r.json").read_text())["findings"][0]
    assert first["facts"]["response"] == {
        "final_url": "http://example.org/a.png?key=1",
        "redirects": [],
        "http_status": 200,
        "address": None,
        "fetched_at": "2024-05-06T07:08:09+00:00",
        "headers": {"content-type": "image/png", "etag": "x"},
        "saved_as": None,
    }
    assert (first["kind"], first["facts"]["modified_at"]) == ("member", None)


def test_private_leaves_out_the_query_of_its_address(sidscan: Run, desk: Path) -> None:
    sidscan("scan", "in", *MINI, "-o", "r.csv", "--private")
    assert rows()[0]["final_url"] == "http://example.org/a.png?***"


def test_members_are_verified_inspected_and_kept(sidscan: Run, desk: Path) -> None:
    sidscan("scan", "in", *MINI, "-o", "r.csv")
    ended = sidscan("verify", "r.csv")
    assert (ended.code, "5 rows = 3 unchanged + 0 changed" in ended.err) == (0, True), ended.err
    again = sidscan("scan", "in", *MINI, "-o", "r.csv")
    assert "5 results kept" in again.err
    name = f"in/a.warc.gz!/{offsets()[1]}"
    assert sidscan("inspect", name, *MINI[:2], "-o", "m.json").code == 0
    Path("list.txt").write_text(f"{name}\nin/a.warc.gz!/7\n")
    sidscan("scan", "--list", "list.txt", *MINI, "-o", "r.csv", "--fresh")
    assert [row["error_message"] or row["status"] for row in rows()] == [
        "scored",
        "the archive has no such member",
    ]
    other = [*RECORDS[:1], response(IMAGES[2]), *RECORDS[2:]]
    sidscan("scan", "in", *MINI, "-o", "s.csv")
    Path("in/a.warc.gz").write_bytes(b"".join(map(gzip.compress, other)))
    assert sidscan("verify", "s.csv").code == 8


def test_a_web_archive_that_is_cut_off_has_a_row_of_its_own(sidscan: Run, desk: Path) -> None:
    path = Path("in/a.warc.gz")
    path.write_bytes(path.read_bytes()[:-300])
    assert sidscan("scan", "in", *MINI, "-o", "r.csv").code == 3
    *_, last, own = rows()
    assert last["error_class"] == "MemberNotRead"
    assert own["path"] == "in/a.warc.gz"
    assert own["error_class"] == "ArchiveNotRead"
    assert "it is damaged or cut off after 5 records" in own["error_message"]


@pytest.mark.parametrize("is_gzip", [True, False])
def test_what_warcio_writes_is_read(sidscan: Run, desk: Path, is_gzip: bool) -> None:
    pytest.importorskip("warcio")
    from warcio.statusandheaders import StatusAndHeaders
    from warcio.warcwriter import WARCWriter

    Path("in/a.warc.gz").unlink()
    with Path("in/w.warc").open("wb") as file:
        writer = WARCWriter(file, gzip=is_gzip)
        for number, image in enumerate(IMAGES):
            head = StatusAndHeaders("200 OK", [("Content-Type", "image/png")], protocol="HTTP/1.1")
            url = f"http://example.org/{number}.png"
            made = writer.create_warc_record(url, "response", payload=io.BytesIO(image), http_headers=head)
            writer.write_record(made)
    assert sidscan("scan", "in", *MINI, "-o", "r.csv").code == 0
    assert [row["sha256"] for row in rows()] == [hashlib.sha256(image).hexdigest() for image in IMAGES]
    assert [row["final_url"] for row in rows()] == [f"http://example.org/{number}.png" for number in range(3)]


def test_a_webdataset_is_a_tar(sidscan: Run, desk: Path) -> None:
    """Its samples are files with one stem: the image has a score, what belongs to it is skipped."""
    Path("in/a.warc.gz").unlink()
    with tarfile.open("in/shard-000000.tar", "w") as tar:
        for number, image in enumerate(IMAGES):
            sample = (("png", image), ("txt", b"a caption"), ("json", b"{}"), ("cls", b"3"))
            for suffix, data in sample:
                member = tarfile.TarInfo(f"{number:09}.{suffix}")
                member.size = len(data)
                tar.addfile(member, io.BytesIO(data))
    assert sidscan("scan", "in", *MINI, "-o", "r.csv").code == 0
    assert [(row["path"], row["status"]) for row in rows()][:4] == [
        ("in/shard-000000.tar!/000000000.png", "scored"),
        *((f"in/shard-000000.tar!/000000000.{suffix}", "skipped") for suffix in ("txt", "json", "cls")),
    ]
    assert len(rows()) == 12
    assert sidscan("verify", "r.csv").code == 0
