"""A bucket as the place of a run: written once, by whoever comes first, or refused."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from object_stores import KEY_ID, S3, SECRET, Objects, object_server, s3_server

from sidscan.config import ScanConfig
from sidscan.distributed.object_store import ObjectStore
from sidscan.distributed.store import PROBE, check_writes_once, get_text, put_text
from sidscan.errors import OutputError
from sidscan.fetch.object_stores import StoreLimits
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


def test_of_many_at_once_one_is_first(store: ObjectStore, tmp_path: Path) -> None:
    def put(number: int) -> bool:
        return put_text(store, "race", str(number))

    with ThreadPoolExecutor(8) as pool:
        written = list(pool.map(put, range(24)))
    assert written.count(True) == 1
    assert get_text(store, "race") == str(written.index(True))


def test_a_store_that_keeps_what_is_there_is_accepted(store: ObjectStore) -> None:
    check_writes_once(store)
    kept = get_text(store, PROBE)
    check_writes_once(store)
    assert get_text(store, PROBE) == kept


def test_a_store_that_overwrites_is_refused(store: ObjectStore, monkeypatch: pytest.MonkeyPatch) -> None:
    with object_server(Objects) as address:
        monkeypatch.setenv("AWS_ENDPOINT_URL", address)
        other = ObjectStore(parse_object_url("s3://runs/one/"))
        with pytest.raises(OutputError, match="s3://runs/one replaces files that are there"):
            check_writes_once(other)


class Busy(Objects):
    """A store that refuses a first conditional write, since another one is under way, which then fails."""

    def do_PUT(self) -> None:  # noqa: N802  (http.server's name)
        if self.objects.setdefault("refused", b"") == b"":
            self.objects["refused"] = self.rfile.read(int(self.headers["Content-Length"]))
            self.answer(409, b"<Error><Code>ConditionalRequestConflict</Code></Error>")
        else:
            super().do_PUT()


def test_a_conflict_that_left_nothing_is_no_file(store: ObjectStore, monkeypatch: pytest.MonkeyPatch) -> None:
    with object_server(Busy) as address:
        monkeypatch.setenv("AWS_ENDPOINT_URL", address)
        busy = ObjectStore(parse_object_url("s3://runs/one/"))
        assert put_text(busy, "a", "mine")
        assert get_text(busy, "a") == "mine"


class Losing(Objects):
    """A store whose answer to a first conditional write is lost, and which refuses those that follow."""

    def do_PUT(self) -> None:  # noqa: N802  (http.server's name)
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self.path in self.objects:
            self.answer(412, b"<Error><Code>PreconditionFailed</Code></Error>")
        else:
            self.objects[self.path] = body
            self.answer(500, b"")


def test_a_file_whose_answer_was_lost_was_written(
    store: ObjectStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    with object_server(Losing) as address:
        monkeypatch.setenv("AWS_ENDPOINT_URL", address)
        losing = ObjectStore(parse_object_url("s3://runs/one/"))
        assert put_text(losing, "a", "mine")
        assert not put_text(losing, "a", "more")
        assert not put_text(losing, "a", "other")
        assert get_text(losing, "a") == "mine"


def test_a_store_has_the_limits_of_a_scan_without_options() -> None:
    assert StoreLimits() == StoreLimits.of(ScanConfig(lists=("-",)))


def test_errors_name_the_place_and_no_key(store: ObjectStore, tmp_path: Path) -> None:
    missing = ObjectStore(parse_object_url("s3://nonesuch/run/"))
    for use in (
        lambda: put_text(missing, "a", "x"),
        lambda: list(missing.list("a")),
        lambda: missing.get("a", tmp_path),
    ):
        with pytest.raises(OutputError) as error:
            use()
        assert "s3://nonesuch/run/a: there is no such bucket" in str(error.value)
        assert KEY_ID not in str(error.value)
        assert SECRET not in str(error.value)
