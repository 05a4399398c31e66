"""A bucket as the place of a run: written once, by whoever comes first, or refused."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from object_stores import KEY_ID, S3, SECRET, s3_server

from sidscan.distributed.object_store import ObjectStore
from sidscan.distributed.store import PROBE, check_writes_once, get_text, put_text
from sidscan.errors import OutputError
from sidscan.util.object_urls import parse_object_url

pytest.importorskip("obstore")
pytest.importorskip("moto")


@pytest.fixture(scope="module")
def server() -> Iterator[S3]:
    with s3_server() as running:
        yield running


@pytest.fixture
def store(server: S3, monkeypatch: pytest.MonkeyPatch) -> ObjectStore:
    for name, value in server.environment().items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("no_proxy", "*")
    server.bucket("runs")
    return ObjectStore(parse_object_url("s3://runs/one/"))


def test_who_comes_first_stays(store: ObjectStore, tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    first.write_bytes(b"1" * 5_000_000)
    second.write_bytes(b"2")
    assert store.head("shards/a.journal") is None
    assert store.put_if_absent("shards/a.journal", first)
    assert not store.put_if_absent("shards/a.journal", second)
    assert store.head("shards/a.journal") == 5_000_000
    assert store.get("shards/a.journal", tmp_path).read_bytes() == first.read_bytes()
    assert store.put_if_absent("shards/b.journal", second)
    assert store.put_if_absent("plan/c", second)
    assert sorted(store.list("shards/")) == ["shards/a.journal", "shards/b.journal"]
    assert sorted(store.list("shards/b")) == ["shards/b.journal"]
    assert len(list(store.list(""))) == 3


def test_a_store_that_keeps_what_is_there_is_accepted(store: ObjectStore) -> None:
    check_writes_once(store)
    kept = get_text(store, PROBE)
    check_writes_once(store)
    assert get_text(store, PROBE) == kept


class Overwrites(BaseHTTPRequestHandler):
    """A server that takes conditional writes, and replaces what is there, as some do."""

    objects: dict[str, bytes]

    def do_PUT(self) -> None:
        self.objects[self.path] = self.rfile.read(int(self.headers["Content-Length"]))
        self._answer(200, b"", ETag='"1"')

    def do_GET(self) -> None:
        body = self.objects.get(self.path)
        headers = {"ETag": '"1"', "Last-Modified": "Thu, 01 Jan 2026 00:00:00 GMT"}
        self._answer(200 if body is not None else 404, body or b"", **headers)

    def _answer(self, status: int, body: bytes, **headers: str) -> None:
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **headers}.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Nothing."""


def test_a_store_that_overwrites_is_refused(store: ObjectStore, monkeypatch: pytest.MonkeyPatch) -> None:
    handler = type("Handler", (Overwrites,), {"objects": {}})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{server.server_port}")
        other = ObjectStore(parse_object_url("s3://runs/one/"))
        with pytest.raises(OutputError, match="s3://runs/one replaces files that are there"):
            check_writes_once(other)
    finally:
        server.shutdown()
        server.server_close()


def test_errors_name_the_place_and_no_key(store: ObjectStore, tmp_path: Path) -> None:
    missing = ObjectStore(parse_object_url("s3://nonesuch/run/"))
    for use in (
        lambda: put_text(missing, "a", "x"),
        lambda: list(missing.list("")),
        lambda: missing.get("a", tmp_path),
    ):
        with pytest.raises(OutputError) as error:
            use()
        assert "s3://nonesuch/run: there is no such bucket" in str(error.value)
        assert KEY_ID not in str(error.value)
        assert SECRET not in str(error.value)
