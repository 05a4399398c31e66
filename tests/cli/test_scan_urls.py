"""`sidscan scan` of URLs: what rows contain, and what they must never contain."""

from __future__ import annotations

import csv
import hashlib
import json
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from sample_images import encoded, folder, photo
from servers import Server, answer, redirect

from sidscan import ScanConfig, scan
from sidscan.errors import UsageError
from sidscan.isolation.reader import read_item
from sidscan.records import Failure, Item, Kind
from sidscan.util.urls import mask_credentials

Run = Callable[..., Any]
IMAGE = encoded(photo(256, 256), "JPEG", quality=90)
DATE = "Thu, 01 Jan 2026 00:00:00 GMT"


@pytest.fixture
def server() -> Iterator[Server]:
    running = Server()
    running.answers["/a.jpg"] = answer(IMAGE, Content_Type="image/jpeg", Last_Modified=DATE, ETag='"1"')
    running.answers["/moved.jpg"] = redirect("/a.jpg")
    yield running
    running.close()


@pytest.fixture
def urls(sidscan: Run, tmp_path: Path) -> Run:
    """Scan URLs with the bundled model and centre crops; return how the scan ended, and its rows in order."""

    def run(*arguments: str | Path) -> tuple[Any, list[dict[str, str]]]:
        out = tmp_path / "r.csv"
        ended = sidscan("scan", *arguments, "--model", "mini", "--crops", "center", "--out", out)
        if not out.exists():
            return ended, []
        with out.open(encoding="utf-8", newline="") as file:
            return ended, list(csv.DictReader(file))

    return run


def test_urls_are_fetched_and_fail_as_rows(urls: Run, tmp_path: Path, server: Server) -> None:
    free = Server()
    free.close()
    names = tmp_path / "urls.txt"
    names.write_text(f"{server.url}/a.jpg\n{server.url}/none.jpg\n{free.url}/a.jpg\n")
    ended, (scored, missing, unreachable) = urls("--list", names, "--allow-private", "--retries", "0")
    assert ended.code == 3
    assert (scored["status"], scored["sha256"]) == ("scored", hashlib.sha256(IMAGE).hexdigest())
    assert (missing["error_stage"], missing["error_class"]) == ("fetch", "HttpStatus")
    assert (missing["error_message"], missing["http_status"]) == ("HTTP 404 Not Found", "404")
    assert (unreachable["error_stage"], unreachable["error_class"]) == ("fetch", "Unreachable")


def test_a_row_says_how_its_bytes_were_fetched(urls: Run, server: Server) -> None:
    ended, (row,) = urls(f"{server.url}/moved.jpg", "--allow-private")
    assert ended.code == 0
    assert row["path"] == row["redirects"] == f"{server.url}/moved.jpg"
    assert (row["final_url"], row["http_status"]) == (f"{server.url}/a.jpg", "200")
    assert (row["content_type"], row["last_modified"]) == ("image/jpeg", DATE)
    assert row["fetched_at"] <= row["scanned_at"]


def test_json_contains_the_whole_response(sidscan: Run, tmp_path: Path, server: Server) -> None:
    saved = tmp_path / "originals"
    arguments = (f"{server.url}/moved.jpg", "--allow-private", "--save-dir", saved, "--model", "mini")
    for _ in range(2):  # the second comes from the journal alone
        assert sidscan("scan", *arguments, "--out", tmp_path / "r.json").code == 0
        ((result,),) = (json.loads((tmp_path / "r.json").read_text())["findings"],)
        response = result["facts"]["response"]
        assert response.pop("fetched_at")
        assert response == {
            "final_url": f"{server.url}/a.jpg",
            "redirects": [f"{server.url}/moved.jpg"],
            "http_status": 200,
            "address": "127.0.0.1",
            "headers": {
                "content-type": "image/jpeg",
                "content-length": str(len(IMAGE)),
                "last-modified": DATE,
                "etag": '"1"',
            },
            "saved_as": str(saved / f"{hashlib.sha256(IMAGE).hexdigest()}.jpg"),
        }
        assert Path(response["saved_as"]).read_bytes() == IMAGE
    assert server.paths() == ["/moved.jpg", "/a.jpg"]


def test_downloads_that_are_not_images_are_saved_too(urls: Run, tmp_path: Path, server: Server) -> None:
    server.answers["/page.jpg"] = answer(b"<html>", Content_Type="text/html")
    ended, (row,) = urls(f"{server.url}/page.jpg", "--allow-private", "--save-dir", tmp_path / "originals")
    assert (ended.code, row["error_stage"], row["content_type"]) == (3, "decode", "text/html")
    assert [path.read_bytes() for path in (tmp_path / "originals").iterdir()] == [b"<html>"]


def test_an_original_that_cannot_be_saved_is_a_failed_row(tmp_path: Path, server: Server) -> None:
    config = ScanConfig(inputs=("x",), allow_private=True, save_dir=tmp_path / "gone")
    failure = read_item(Item(f"{server.url}/a.jpg", Kind.URL), config)
    assert isinstance(failure, Failure)
    assert (failure.error, failure.facts.sha256) == ("NotSaved", hashlib.sha256(IMAGE).hexdigest())
    assert failure.facts.response is not None
    assert failure.facts.response.http_status == 200


def test_an_impossible_folder_for_originals_is_reported(urls: Run, tmp_path: Path, server: Server) -> None:
    (tmp_path / "file").write_text("")
    ended, _ = urls(f"{server.url}/a.jpg", "--allow-private", "--save-dir", tmp_path / "file" / "below")
    assert (ended.code, server.accepted) == (7, 0)
    assert "Name another --save-dir" in ended.err


def test_private_addresses_need_permission(urls: Run, server: Server) -> None:
    ended, (row,) = urls(f"{server.url}/a.jpg")
    assert (ended.code, server.accepted) == (3, 0)
    assert (row["error_class"], row["final_url"]) == ("AddressRefused", f"{server.url}/a.jpg")
    assert row["error_message"].endswith("; permitted by --allow-private")


def test_a_fetched_image_scores_as_the_file_does(urls: Run, tmp_path: Path, server: Server) -> None:
    (tmp_path / "a.jpg").write_bytes(IMAGE)
    ended, (by_url, by_file) = urls(f"{server.url}/a.jpg", tmp_path / "a.jpg", "--allow-private")
    assert ended.code == 0
    assert by_url["logit"] == by_file["logit"]
    assert by_file["final_url"] == by_file["http_status"] == ""


def test_the_size_limit_applies_to_files_and_urls(urls: Run, tmp_path: Path, server: Server) -> None:
    (tmp_path / "a.jpg").write_bytes(IMAGE)
    limit = ("--max-bytes", "100", "--allow-private")
    ended, rows = urls(f"{server.url}/a.jpg", tmp_path / "a.jpg", *limit)
    assert ended.code == 3
    assert [row["error_stage"] for row in rows] == ["fetch", "read"]
    assert {row["error_message"] for row in rows} == {
        "larger than 100 bytes; raise the limit with --max-bytes"
    }


def test_a_stated_length_that_is_too_short_gives_a_truncated_image(urls: Run, server: Server) -> None:
    server.answers["/a.jpg"] = answer(IMAGE, length=len(IMAGE) // 2)
    ended, (row,) = urls(f"{server.url}/a.jpg", "--allow-private")
    assert (ended.code, row["error_stage"], row["bytes"]) == (3, "decode", str(len(IMAGE) // 2))


@pytest.mark.parametrize(
    "url",
    [
        pytest.param("http://me:secret@{host}/a.jpg", id="name and password"),
        pytest.param("HTTP://secret@{host}/a.jpg", id="name without password"),
        pytest.param("http://me:sec@ret@{host}/a.jpg", id="at sign in the password"),
        pytest.param("http://me:sec/ret@{host}/a.jpg", id="slash in the password"),
        pytest.param("http://me:sec#ret@{host}/a.jpg", id="hash in the password"),
        pytest.param("http://me:sec?ret@{host}/a.jpg", id="question mark in the password"),
        pytest.param("ftp://me:secret@{host}/a.jpg", id="ftp"),
    ],
)
def test_credentials_appear_nowhere(sidscan: Run, tmp_path: Path, server: Server, url: str) -> None:
    url = url.format(host=server.url.removeprefix("http://"))
    outs = [tmp_path / f"r.{suffix}" for suffix in ("csv", "json", "jsonl")]
    arguments = [part for out in outs for part in ("--out", out)]
    ended = sidscan("scan", url, f"{server.url}/a.jpg", "--allow-private", "--model", "mini", *arguments)
    (tmp_path / "urls.txt").write_text(url)
    of_list = sidscan("scan", "--list", tmp_path / "urls.txt", "--model", "mini", "--out", tmp_path / "l.csv")
    assert of_list.code in (3, 5)
    with sqlite3.connect(f"{outs[0]}.journal") as journal:
        recorded = "\n".join(journal.iterdump())
    shown = [out.read_text() for out in outs]
    for text in (ended.out, ended.err, of_list.err, recorded, *shown):
        assert "sec" not in text.replace("second", "")
        assert "ret@" not in text
    assert all("://***@" in text for text in (*shown, recorded))
    assert server.accepted == 1, "the header of the other URL"


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("http://h/a@b.jpg", "http://h/a@b.jpg"),
        ("http://h:80/a@b.jpg?c@d", "http://h:80/a@b.jpg?c@d"),
        ("http://[::1]:80/a@b", "http://[::1]:80/a@b"),
        ("http://h?a@b", "http://h?a@b"),
        ("http://u@h/a@b.jpg", "http://***@h/a@b.jpg"),
        ("http://u:p@[::1]/a", "http://***@[::1]/a"),
        ("folder/me@home.jpg", "folder/me@home.jpg"),
        ("me@home.jpg", "me@home.jpg"),
    ],
)
def test_only_credentials_are_hidden(url: str, shown: str) -> None:
    assert mask_credentials(url) == shown


def test_robots_headers_are_respected_on_request(urls: Run, server: Server) -> None:
    server.answers["/a.jpg"] = answer(IMAGE, X_Robots_Tag="noai")
    refused, (row,) = urls(f"{server.url}/a.jpg", "--allow-private", "--respect-robots")
    assert (refused.code, row["error_class"], row["http_status"]) == (3, "RobotsRefused", "200")
    scored, (row,) = urls(f"{server.url}/a.jpg", "--allow-private")
    assert (scored.code, row["status"]) == (0, "scored")


def test_an_abandoned_scan_closes_its_connections(server: Server) -> None:
    """Python waits for all threads when it exits, so these threads must not wait for the server."""
    server.answers["/silent.jpg"] = lambda connection: connection.recv(1)
    program = (
        "from sidscan import ScanConfig, scan\n"
        f"config = ScanConfig(inputs=({server.url + '/a.jpg'!r}, {server.url + '/silent.jpg'!r}), "
        "models=('mini',), crops='center', batch=1, workers=2, allow_private=True, timeout=300, "
        "total_timeout=300)\n"
        "next(iter(scan(config)))\n"
    )
    ended = subprocess.run([sys.executable, "-c", program], check=False, timeout=60)
    assert ended.returncode == 0


def test_files_are_scanned_without_an_http_client(tmp_path: Path) -> None:
    program = (
        "import sys\nfrom sidscan import ScanConfig\nfrom sidscan.isolation.reader import read_item\n"
        "from sidscan.fetch.client import Fetcher\nfrom sidscan.records import Item, DecodedImage\n"
        f"config = ScanConfig(inputs=('x',))\nitem = Item({str(folder(tmp_path) / 'photo-0.jpg')!r})\n"
        "assert isinstance(read_item(item, config, Fetcher(config)), DecodedImage)\n"
        "assert not {'httpx', 'httpcore', 'ssl'} & set(sys.modules), 'loaded'\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    "options",
    [
        {"timeout": 0},
        {"timeout": float("nan")},
        {"total_timeout": float("inf")},
        {"retries": -1},
        {"retry_after": -1},
        {"per_host": 0},
        {"rate": 0},
    ],
    ids=str,
)
def test_invalid_limits_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(UsageError):
        ScanConfig(inputs=("a",), **options)


def test_options_reach_the_fetch(sidscan: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Each option sets the field of the same name, and both have the same default."""
    seen: list[ScanConfig] = []

    def stop(config: ScanConfig, *_: object, **__: object) -> None:
        seen.append(config)
        raise UsageError("stopped")

    monkeypatch.setattr("sidscan.pipeline.open_scan", stop)
    given = (
        *(
            "--timeout",
            "1",
            "--total-timeout",
            "2",
            "--retries",
            "3",
            "--retry-after",
            "4",
            "--per-host",
            "5",
        ),
        *("--rate", "6", "--allow-private", "--env-proxies", "--respect-robots", "--save-dir", tmp_path),
    )
    sidscan("scan", "http://a.example/")
    sidscan("scan", "http://a.example/", *given)
    names = (
        *("timeout", "total_timeout", "retries", "retry_after", "per_host", "rate"),
        *("allow_private", "env_proxies", "respect_robots", "save_dir"),
    )
    fields = [tuple(getattr(config, name) for name in names) for config in (*seen, ScanConfig(inputs=("a",)))]
    assert fields[0] == fields[2]
    assert fields[1] == (1, 2, 3, 4, 5, 6, True, True, True, tmp_path)


def test_every_fetched_result_is_yielded(server: Server) -> None:
    names = (f"{server.url}/a.jpg", f"{server.url}/none.jpg")
    config = ScanConfig(inputs=names, models=("mini",), crops="center", allow_private=True)
    assert [result.facts.response is not None for result in scan(config)] == [True, True]
