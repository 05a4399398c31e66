"""`sidscan scan` of object stores: equal to a scan of the same files, and silent about keys."""

from __future__ import annotations

import csv
import gzip
import io
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote_plus, unquote

import pytest
from object_stores import KEY_ID, S3, SECRET, s3_server
from red_localizer import RedLocalizer
from sample_images import encoded, folder, photo

from sidscan.cli import localizing

pytest.importorskip("obstore")
pytest.importorskip("moto")

Run = Callable[..., Any]
# What names, times and who was asked decide.
OTHERWISE = ("path", "scanned_at", "modified_at", "final_url", "fetched_at", "content_type", "last_modified")


@pytest.fixture(scope="module")
def server() -> Iterator[S3]:
    with s3_server() as running:
        yield running


@pytest.fixture
def s3(server: S3, monkeypatch: pytest.MonkeyPatch) -> S3:
    for name, value in server.environment().items():
        monkeypatch.setenv(name, value)
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    server.requests.clear()
    return server


@pytest.fixture
def scan(sidscan: Run, tmp_path: Path) -> Run:
    """Scan with the bundled model; return how the scan ended, and its rows in order."""

    def run(*arguments: str | Path, out: str = "r.csv") -> tuple[Any, list[dict[str, str]]]:
        path = tmp_path / out
        ended = sidscan("scan", *arguments, "--model", "mini", "--crops", "center", "--out", path)
        if not path.exists():
            return ended, []
        with path.open(encoding="utf-8", newline="") as file:
            return ended, list(csv.DictReader(file))

    return run


def archive(root: Path) -> Path:
    """Images, and what lies beside them."""
    folder(root)
    (root / "notes.txt").write_text("no image")
    (root / "clip.mp4").write_bytes(b"\0\0\0\x18ftypisom" + bytes(600))
    (root / "cut.jpg").write_bytes((root / "photo-0.jpg").read_bytes()[:3000])
    (root / "empty.jpg").write_bytes(b"")
    (root / "nameless").write_bytes(encoded(photo(256, 256, 9), "PNG"))
    (root / "nested/a b#ü%20.png").write_bytes(encoded(photo(256, 256, 8), "PNG"))
    (root / ".hidden.jpg").write_bytes(b"never seen")
    return root


def comparable(rows: list[dict[str, str]], root: str) -> list[dict[str, str]]:
    return sorted(
        (
            {name: cell for name, cell in row.items() if name not in OTHERWISE}
            | {"name": row["path"].removeprefix(root)}
            for row in rows
        ),
        key=lambda row: row["name"],
    )


def test_a_scan_of_a_bucket_equals_that_of_the_same_files(scan: Run, s3: S3, tmp_path: Path) -> None:
    root = archive(tmp_path / "images")
    s3.upload("photos", root, "2024/")
    s3.bucket("photos").put("2024/nested/", b"")
    ended, rows = scan("s3://photos/2024/")
    local_ended, local_rows = scan(root, out="local.csv")
    assert (ended.code, len(rows)) == (local_ended.code, len(local_rows)) == (3, 9)
    assert comparable(rows, "s3://photos/2024/") == comparable(local_rows, f"{root}/")
    assert [row["path"] for row in rows] == sorted(row["path"] for row in rows)
    assert rows[0]["path"] == "s3://photos/2024/clip.mp4"


def test_unchanged_objects_are_not_read_again(scan: Run, s3: S3, tmp_path: Path) -> None:
    root = archive(tmp_path / "images")
    s3.upload("again", root)
    _, before = scan("s3://again")
    s3.requests.clear()
    _, after = scan("s3://again")
    assert after == before
    assert [each for each in s3.requests if "list-type=2" not in each] == []
    changed = encoded(photo(256, 256, 77), "JPEG")
    s3.bucket("again").put("photo-1.jpg", changed)
    s3.requests.clear()
    ended, after = scan("s3://again")
    assert [each for each in s3.requests if "list-type=2" not in each] == ["GET /again/photo-1.jpg"]
    assert "changed" in ended.err
    assert [a["path"] for a, b in zip(after, before, strict=True) if a["sha256"] != b["sha256"]] == [
        "s3://again/photo-1.jpg"
    ]


def test_what_json_says_of_an_object(scan: Run, s3: S3, tmp_path: Path) -> None:
    data = encoded(photo(256, 256), "JPEG")
    etag = s3.bucket("one").put("a.jpg", data, attributes={"Content-Type": "image/jpeg"})["e_tag"]
    ended = scan("s3://one/a.jpg", "--out", tmp_path / "r.json", "--save-dir", tmp_path / "saved")[0]
    assert ended.code == 0, ended.err
    (row,) = json.loads((tmp_path / "r.json").read_text())["findings"]
    response = row["facts"]["response"]
    assert (row["kind"], row["path"]) == ("object", "s3://one/a.jpg")
    assert (response["headers"]["etag"], response["headers"]["content-type"]) == (etag, "image/jpeg")
    assert Path(response["saved_as"]).read_bytes() == data
    assert response["final_url"] == "s3://one/a.jpg"


def test_a_list_reads_only_buckets_that_are_named(scan: Run, s3: S3, tmp_path: Path) -> None:
    data = encoded(photo(256, 256), "JPEG")
    for bucket in ("public", "private"):
        s3.bucket(bucket).put("a.jpg", data)
    names = tmp_path / "names.txt"
    names.write_text("s3://public/a.jpg\ns3://private/a.jpg\ns3:///a.jpg\ns3://public/none.jpg\n")
    s3.requests.clear()
    ended, (public, private, nowhere, missing) = scan("--list", names, "--bucket", "s3://public")
    assert ended.code == 3
    assert public["status"] == "scored"
    assert [
        (row["status"], row["error_class"], row["error_message"]) for row in (private, nowhere, missing)
    ] == [
        (
            "refused",
            "BucketRefused",
            "its bucket is not named on the command line, so it is not read; permit it with --bucket s3://private",
        ),
        ("refused", "BucketRefused", "it names no bucket; write s3://BUCKET/KEY"),
        ("failed", "NoSuchObject", "the store has no such object"),
    ]
    assert not [each for each in s3.requests if "private" in each]
    s3.requests.clear()
    _, rows = scan("s3://private/", "--list", names, out="other.csv")  # an input allows its own names alone
    assert [row["status"] for row in rows] == ["scored", "refused", "refused", "refused"]
    assert "GET /public/a.jpg" not in s3.requests


def test_a_list_may_name_a_prefix(scan: Run, s3: S3, tmp_path: Path) -> None:
    s3.upload("prefixes", folder(tmp_path / "images"))
    names = tmp_path / "names.txt"
    names.write_text("s3://prefixes/nested/\n")
    _, rows = scan("--list", names, "--bucket", "s3://prefixes")
    assert [row["path"] for row in rows] == ["s3://prefixes/nested/photo-2.jpg"]


@pytest.mark.parametrize(
    ("name", "words"),
    [
        pytest.param("s3://nonesuch", "can't list s3://nonesuch/: there is no such bucket", id="bucket"),
        pytest.param("s3://photos2/none", "there are no objects below s3://photos2/none", id="prefix"),
        pytest.param("s3:///a", "s3:///a names no bucket", id="no bucket"),
        pytest.param("s3://me:secret@photos2/a", "s3://***@photos2/a names no bucket", id="credentials"),
    ],
)
def test_what_is_not_there_is_an_error(scan: Run, s3: S3, name: str, words: str) -> None:
    s3.bucket("photos2").put("x.jpg", b"x")
    ended, _ = scan(name)
    assert (ended.code, words in ended.err) == (5 if "no objects" in words else 2, True), ended.err
    assert "secret" not in ended.err


def test_limits_hold_before_anything_is_fetched(scan: Run, s3: S3) -> None:
    s3.bucket("large").put("a.jpg", bytes(5000))
    _, (row,) = scan("s3://large", "--max-bytes", "4000")
    assert (row["status"], row["error_message"]) == (
        "too_large",
        "larger than 4000 bytes; raise the limit with --max-bytes",
    )
    assert "GET /large/a.jpg" not in s3.requests


def test_an_archive_in_a_bucket_is_a_row_that_says_so(scan: Run, s3: S3) -> None:
    s3.bucket("packed").put("a.zip", b"PK\x03\x04" + bytes(900))
    ended, (row,) = scan("s3://packed")
    assert row["error_message"] == (
        "a ZIP archive: archives in object stores are not read; copy it to a disk and scan it there"
    )
    assert ended.code == 5


def test_a_key_that_nobody_can_ask_for_ends_the_list_with_a_row(scan: Run, s3: S3) -> None:
    import httpx

    s3.bucket("odd").put("a.jpg", encoded(photo(256, 256), "JPEG"))
    assert httpx.put(f"{s3.endpoint}/odd/b//c.jpg", content=b"x", timeout=60).status_code == 200
    ended, rows = scan("s3://odd")
    words = "the list breaks off at a key that can't be asked for"
    assert ended.code in (2, 3)
    assert words in (rows[-1]["error_message"] if rows else ended.err)


def test_keys_and_their_traces_are_in_nothing_that_is_written(
    scan: Run, s3: S3, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    s3.upload("quiet", archive(tmp_path / "images"))
    out = tmp_path / "out"
    out.mkdir()
    options = [option for suffix in ("json", "html") for option in ("--out", out / f"r.{suffix}")]
    ended, _ = scan("s3://quiet", *options)
    texts = [ended.out, ended.err]
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"{s3.endpoint}")
    ended, _ = scan("s3://not-there", out="denied.csv")
    texts += [ended.out, ended.err]
    written = [path for path in tmp_path.rglob("*") if path.is_file() and "images" not in path.parts]
    assert len(written) >= 4
    for text in [*texts, *(path.read_bytes().decode("latin-1") for path in written)]:
        for secret in (KEY_ID, SECRET, "AWS4-HMAC", "X-Amz"):
            assert secret not in text


@pytest.mark.parametrize(
    ("status", "body", "words"),
    [
        pytest.param(
            403,
            f"<Error><Code>InvalidAccessKeyId</Code><AWSAccessKeyId>{KEY_ID}</AWSAccessKeyId></Error>",
            "the store refuses access (HTTP 403, InvalidAccessKeyId)",
            id="access denied",
        ),
        pytest.param(
            403,
            f"<Error><Code>SignatureDoesNotMatch</Code><StringToSign>AWS4 {SECRET}</StringToSign></Error>",
            "the store refuses access (HTTP 403, SignatureDoesNotMatch)",
            id="signature",
        ),
        pytest.param(
            400,
            f"<Error><Code>Bad</Code><Message>{KEY_ID}</Message></Error>",
            "the store answers with an error (HTTP 400, Bad)",
            id="another error",
        ),
    ],
)
def test_errors_of_a_store_repeat_no_key(
    scan: Run, monkeypatch: pytest.MonkeyPatch, s3: S3, tmp_path: Path, status: int, body: str, words: str
) -> None:
    from servers import Server, answer

    server = Server()
    try:
        monkeypatch.setenv("AWS_ENDPOINT_URL", server.url)
        server.answers["/bbb/a.jpg"] = answer(
            body.encode(), f"{status} Error", Content_Type="application/xml"
        )
        names = tmp_path / "names.txt"
        names.write_text("s3://bbb/a.jpg\n")
        ended, (row,) = scan("--list", names, "--bucket", "s3://bbb", "--retries", "0")
    finally:
        server.close()
    assert row["error_message"] == words
    for text in (
        ended.err,
        ended.out,
        *(path.read_bytes().decode("latin-1") for path in tmp_path.glob("r.*")),
    ):
        assert KEY_ID not in text
        assert SECRET not in text


def test_without_obstore_the_command_that_brings_it_is_named(
    scan: Run, s3: S3, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "obstore", None)
    ended, rows = scan("s3://photos")
    assert (ended.code, rows) == (6, [])
    assert "reading s3://, gs:// and az:// needs obstore" in ended.err


def test_verify_reads_objects_of_named_buckets_again(sidscan: Run, scan: Run, s3: S3, tmp_path: Path) -> None:
    s3.upload("evidence", folder(tmp_path / "images"))
    scan("s3://evidence")
    report = tmp_path / "r.csv"
    s3.requests.clear()
    ended = sidscan("verify", report)
    assert ended.code == 5
    assert "+ 3 objects (not fetched; name their --bucket)" in ended.err
    assert s3.requests == []
    ended = sidscan("verify", report, "--bucket", "s3://evidence")
    assert (ended.code, "3 rows = 3 unchanged + " in ended.err) == (0, True), ended.err
    s3.bucket("evidence").put("photo-0.jpg", b"other")
    s3.bucket("evidence").delete("photo-1.jpg")
    ended = sidscan("verify", report, "--bucket", "s3://evidence")
    assert ended.code == 8
    assert ended.out.splitlines() == [
        "changed: s3://evidence/photo-0.jpg",
        "missing: s3://evidence/photo-1.jpg (the store has no such object)",
    ]


@pytest.mark.parametrize("name", ["photos", "s3://photos/a", "s3://", "http://photos"])
def test_a_bucket_is_named_by_its_url(scan: Run, tmp_path: Path, name: str) -> None:
    ended, _ = scan(tmp_path, "--bucket", name)
    assert (ended.code, "--bucket takes the URL of a bucket alone" in ended.err) == (2, True)


def test_a_scan_of_files_loads_no_obstore(tmp_path: Path) -> None:
    folder(tmp_path / "images")
    code = (
        "import sys\nfrom sidscan.cli import cli\n"
        "cli('scan images -m mini -o r.csv'.split(), standalone_mode=False)\n"
        "assert 'obstore' not in sys.modules"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


LISTING = """<?xml version="1.0"?><ListBucketResult><Name>bbb</Name><Prefix></Prefix><KeyCount>1</KeyCount>
<IsTruncated>false</IsTruncated><Contents><Key>a.jpg</Key><LastModified>2026-01-01T00:00:00.123Z</LastModified>
<ETag>{etag}</ETag><Size>{size}</Size></Contents></ListBucketResult>"""
IMAGE = encoded(photo(256, 256), "JPEG")


@pytest.mark.parametrize(
    ("listed", "etag", "size", "expected"),
    [
        pytest.param('"1"', '"1"', len(IMAGE), "scored", id="parts of a second"),
        pytest.param("", "", len(IMAGE), "scored", id="no ETag"),
        pytest.param("1", '"1"', len(IMAGE), "scored", id="ETag without quotes"),
        pytest.param('"1"', '"2"', len(IMAGE), "the object was changed", id="another ETag"),
        pytest.param('"1"', '"1"', len(IMAGE) - 1, "the object was changed", id="another size"),
        pytest.param('"1"', '"1"', 1 << 40, "larger than", id="a size that lies"),
    ],
)
def test_an_object_is_the_one_that_was_listed(
    scan: Run, s3: S3, monkeypatch: pytest.MonkeyPatch, listed: str, etag: str, size: int, expected: str
) -> None:
    from servers import Server, answer

    server = Server()
    try:
        monkeypatch.setenv("AWS_ENDPOINT_URL", server.url)
        text = LISTING.format(etag=listed.replace('"', "&quot;"), size=size)
        server.answers["/bbb?list-type=2"] = answer(text.encode(), Content_Type="application/xml")
        date = "Thu, 01 Jan 2026 00:00:00 GMT"
        with_etag = answer(IMAGE, Last_Modified=date, ETag=etag)
        server.answers["/bbb/a.jpg"] = with_etag if etag else answer(IMAGE, Last_Modified=date)
        _, (row,) = scan("s3://bbb", "--retries", "0")
    finally:
        server.close()
    assert expected in (row["error_message"] or row["status"])


def test_buckets_may_stand_in_the_environment(
    scan: Run, s3: S3, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for bucket in ("env-a", "env-b", "env-c"):
        s3.bucket(bucket).put("a.jpg", IMAGE)
    names = tmp_path / "names.txt"
    names.write_text("s3://env-a/a.jpg\ns3://env-b/a.jpg\ns3://env-c/a.jpg\n")
    monkeypatch.setenv("SIDSCAN_BUCKET", os.pathsep.join(("s3://env-a", "s3://env-b")))
    _, rows = scan("--list", names)
    assert [row["status"] for row in rows] == ["scored", "scored", "refused"]


def test_a_record_names_no_bucket_for_localize(
    scan: Run, s3: S3, sidscan: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A stranger's record would be read with this machine's keys, as a stranger's list would."""
    monkeypatch.setattr(localizing, "open_named", lambda *_: RedLocalizer())
    folder(tmp_path / "images", 2)
    s3.upload("localized", tmp_path / "images")
    ended, _ = scan("s3://localized/")
    assert ended.code == 0
    s3.requests.clear()
    asked = ("localize", tmp_path / "r.csv", "--out-dir", tmp_path / "maps", "--top", 1, "--out")
    refused = sidscan(*asked, tmp_path / "refused.csv")
    assert refused.code == 3, refused.err
    assert "its bucket is not named on the command line" in refused.err
    assert s3.requests == []
    named = sidscan(*asked, tmp_path / "named.csv", "--bucket", "s3://localized")
    assert named.code == 0, named.err
    assert len(list((tmp_path / "maps").glob("*.map.png"))) == 1


COLUMNS = "Bucket, Key, VersionId, IsLatest, IsDeleteMarker, Size, LastModifiedDate, ETag, StorageClass"


def write_inventory(folder: Path, rows: list[list[str]], **manifest: Any) -> Path:
    """An inventory as S3 makes it, its rows in two files."""
    files = []
    for number, part in enumerate((rows[:2], rows[2:])):
        text = io.StringIO()
        csv.writer(text, quoting=csv.QUOTE_ALL, lineterminator="\n").writerows(part)
        path = folder / "data" / f"part-{number}.csv.gz"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(gzip.compress(text.getvalue().encode()))
        files.append({"key": f"inventories/photos/daily/data/{path.name}", "size": path.stat().st_size})
    made = {"sourceBucket": "photos", "fileFormat": "CSV", "fileSchema": COLUMNS, "files": files, **manifest}
    path = folder / "2026-11-29T01-00Z" / "manifest.json"
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(made))
    return path


def row_of(bucket: str, meta: Any, key: str = "", **others: str) -> list[str]:
    modified = meta["last_modified"].strftime("%Y-%m-%dT%H:%M:%S.000Z")
    values = {"VersionId": "v1", "IsLatest": "true", "IsDeleteMarker": "false", "StorageClass": "STANDARD"}
    values |= {"Bucket": bucket, "Key": quote_plus(key or meta["path"]), "Size": str(meta["size"])}
    values |= {"LastModifiedDate": modified, "ETag": meta["e_tag"].strip('"'), **others}
    return [values[name] for name in COLUMNS.split(", ")]


def test_an_inventory_names_objects_and_their_stamps(scan: Run, s3: S3, tmp_path: Path) -> None:
    s3.upload("stock", archive(tmp_path / "images"), "2024/")
    metas = [meta for page in s3.bucket("stock").list() for meta in page]
    gone = dict(metas[0], path="2024/gone.jpg")
    rows_ = [
        *(row_of("stock", meta) for meta in metas),
        row_of("stock", metas[0], IsLatest="false", VersionId="v0", ETag="older"),
        row_of("stock", gone, IsDeleteMarker="true", Size="", ETag=""),
        row_of("stock", metas[0], key="2024/", Size="0"),
        row_of("private", metas[1]),
    ]
    manifest = write_inventory(tmp_path / "daily", rows_)
    s3.requests.clear()
    ended, rows = scan("--list", manifest, "--bucket", "s3://stock")
    assert ended.code == 3, ended.err
    assert not [each for each in s3.requests if "list-type" in each or "private" in each]
    told = {row["path"]: (row["status"], row["error_message"]) for row in rows}
    assert told.pop("s3://stock/2024/gone.jpg") == ("skipped", "the inventory says that it was deleted")
    status, words = told.pop(f"s3://private/{metas[1]['path']}")
    assert (status, words.partition(",")[0]) == ("refused", "its bucket is not named on the command line")
    s3.requests.clear()
    _, listed = scan("s3://stock/2024/")  # the stamps are equal: nothing is read again
    assert not [each for each in s3.requests if "list-type" not in each]
    assert told == {row["path"]: (row["status"], row["error_message"]) for row in listed}
    assert len(told) == len(rows) - 2 == len(metas) - 1  # one is hidden


PARQUET_SCHEMA = """message s3.inventory { required binary bucket (UTF8); required binary key (UTF8);
    optional boolean is_latest; optional boolean is_delete_marker; optional int64 size;
    optional int64 last_modified_date (TIMESTAMP(MILLIS,true)); optional binary e_tag (UTF8); }"""


def test_an_inventory_may_be_parquet(scan: Run, s3: S3, tmp_path: Path) -> None:
    parquet, pyarrow = pytest.importorskip("pyarrow.parquet"), pytest.importorskip("pyarrow")
    s3.upload("shelf", folder(tmp_path / "images"), "a b+%20/")
    metas = [meta for page in s3.bucket("shelf").list() for meta in page]
    made = [
        {
            "bucket": "shelf",
            "key": meta["path"],
            "is_latest": True,
            "is_delete_marker": index == 0,
            "size": meta["size"],
            "last_modified_date": meta["last_modified"],
            "e_tag": meta["e_tag"].strip('"'),
        }
        for index, meta in enumerate(metas)
    ]
    manifest = write_inventory(tmp_path / "daily", [], fileFormat="Parquet", fileSchema=PARQUET_SCHEMA)
    for part, rows in (("0", made[:1]), ("1", made[1:])):
        parquet.write_table(pyarrow.Table.from_pylist(rows), tmp_path / f"daily/data/part-{part}.csv.gz")
    ended, rows = scan("--list", manifest, "--bucket", "s3://shelf")
    assert ended.code == 0, ended.err
    assert [row["status"] for row in rows] == ["skipped", "scored", "scored"]
    s3.requests.clear()
    _, listed = scan("s3://shelf")
    (asked,) = [each for each in s3.requests if "list-type" not in each]
    assert unquote(asked) == f"GET /shelf/{metas[0]['path']}"
    assert [row["path"] for row in listed] == [row["path"] for row in rows]
    (tmp_path / "daily/data/part-1.csv.gz").write_bytes(b"PAR1 damaged")
    ended, _ = scan("--list", manifest, "--bucket", "s3://shelf")
    assert (ended.code, "part-1.csv.gz can't be read as Parquet" in ended.err) == (2, True), ended.err


@pytest.mark.parametrize(
    ("manifest", "words"),
    [
        pytest.param({"fileFormat": "ORC"}, "manifest.json is neither CSV nor Parquet", id="format"),
        pytest.param(
            {"fileFormat": "Parquet", "fileSchema": "message a { required binary key (UTF8); }"},
            "manifest.json has no column 'bucket'",
            id="schema of Parquet",
        ),
        pytest.param({"fileSchema": "Bucket, Size"}, "manifest.json has no column 'Key'", id="schema"),
        pytest.param({"files": [{"key": "a/b.csv.gz"}]}, "b.csv.gz of the inventory ", id="file"),
        pytest.param(
            {"fileSchema": "Bucket, Key"}, "part-0.csv.gz is no inventory, or damaged: ", id="cells"
        ),
    ],
)
def test_an_inventory_that_cannot_be_read_is_refused(
    scan: Run, tmp_path: Path, manifest: dict[str, Any], words: str
) -> None:
    path = write_inventory(tmp_path / "daily", [["photos", "a.jpg", *7 * [""]]], **manifest)
    ended, _ = scan("--list", path, "--bucket", "s3://photos")
    assert (ended.code, words in ended.err) == (2, True), ended.err
