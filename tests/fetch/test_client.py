"""Whatever a server does, a fetch ends in time, in bounded memory, and never with half an image."""

from __future__ import annotations

import contextlib
import gc
import gzip
import pickle
import re
import socket
import time
import tracemalloc
import zlib
from collections.abc import Iterator
from typing import Any

import pytest
from servers import Script, Server, abandoned, answer, dripping, redirect, silent

from sidscan import ScanConfig
from sidscan._version import __version__
from sidscan.fetch.client import Fetcher
from sidscan.fetch.errors import (
    BadAnswer,
    FetchError,
    HttpStatus,
    Incomplete,
    RobotsRefused,
    TimedOut,
    TooLarge,
    TooManyRedirects,
    UnknownHost,
    Unreachable,
    UrlRefused,
)

LIMIT = 100_000  # bytes
SHORT = {"timeout": 0.2, "total_timeout": 0.4}  # seconds, for servers that never finish


@pytest.fixture
def server() -> Iterator[Server]:
    running = Server()
    yield running
    running.close()


def make_fetcher(**options: Any) -> Fetcher:
    limits: dict[str, Any] = {"timeout": 5, "total_timeout": 10, "retries": 0, "max_bytes": LIMIT}
    return Fetcher(ScanConfig(**{"inputs": ("x",), "allow_private": True, **limits, **options}))


def raw_deflate(data: bytes) -> bytes:
    """Raw deflate without zlib's header, as some servers send it."""
    packer = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return packer.compress(data) + packer.flush()


def endless(first: bytes, piece: bytes = bytes(1 << 16)) -> Script:
    return dripping(first, piece, 0.0)


HEAD = b"HTTP/1.1 200 OK\r\n"
CHUNKED = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"
BOMB = gzip.compress(bytes(50_000_000))  # 50 kB
BODY = bytes(range(256)) * 100


@pytest.mark.parametrize(
    ("response_bytes", "error", "message"),
    [
        pytest.param(silent, TimedOut, "no answer for 0.2 s; --timeout", id="silence"),
        pytest.param(dripping(HEAD, b"X"), TimedOut, "after 0.4 s; --total-timeout", id="header by bytes"),
        pytest.param(dripping(HEAD, b"X: y\r\n"), TimedOut, "after 0.4 s", id="header by lines"),
        pytest.param(dripping(b"", b"HTTP/1.1 100 Continue\r\n\r\n"), TimedOut, "after 0.4 s", id="100s"),
        pytest.param(dripping(answer(length=5000), b"x"), TimedOut, "after 0.4 s", id="body by bytes"),
        pytest.param(dripping(CHUNKED, b"1\r\nx\r\n"), TimedOut, "after 0.4 s", id="chunks by bytes"),
        pytest.param(dripping(answer(length=5000), b"x", 9), TimedOut, "no answer for 0.2", id="stall"),
        pytest.param(endless(answer(length=-1)), TooLarge, "--max-bytes", id="endless body"),
        pytest.param(
            endless(CHUNKED, b"10000\r\n" + bytes(1 << 16) + b"\r\n"), TooLarge, "--max-bytes", id="chunks"
        ),
        pytest.param(answer(length=LIMIT + 1), TooLarge, f"larger than {LIMIT} bytes", id="stated length"),
        pytest.param(answer(length=10**19), TooLarge, "--max-bytes", id="absurd length"),
        pytest.param(answer(BOMB, Content_Encoding="gzip"), TooLarge, "--max-bytes", id="gzip bomb"),
        pytest.param(
            answer(zlib.compress(bytes(50_000_000)), Content_Encoding="deflate"),
            TooLarge,
            "larger",
            id="bomb",
        ),
        pytest.param(
            answer(gzip.compress(BODY)[:-9], Content_Encoding="gzip"),
            Incomplete,
            "ended early",
            id="cut gzip",
        ),
        pytest.param(
            answer(gzip.compress(BODY)[:-8] + bytes(8), Content_Encoding="gzip"),
            Incomplete,
            "damaged",
            id="wrong checksum",
        ),
        pytest.param(answer(b"no", Content_Encoding="gzip"), Incomplete, "damaged", id="not gzip"),
        pytest.param(
            answer(gzip.compress(BODY) + b"x", Content_Encoding="gzip"), BadAnswer, "follow", id="more"
        ),
        pytest.param(answer(b"x", Content_Encoding="br"), BadAnswer, "coding 'br'", id="brotli"),
        pytest.param(answer(b"x", Content_Encoding="gzip, gzip"), BadAnswer, "coding", id="two codings"),
        pytest.param(answer(b"x" * 9, length=10), Incomplete, "not arrive whole", id="length too long"),
        pytest.param(CHUNKED + b"5\r\nab", Incomplete, "not arrive whole", id="chunk cut"),
        pytest.param(CHUNKED + b"2\r\nab\r\n", Incomplete, "not arrive whole", id="last chunk missing"),
        pytest.param(endless(HEAD, b"X-Large: " + b"y" * 8192), BadAnswer, "breaks HTTP", id="huge header"),
        pytest.param(b"SSH-2.0-OpenSSH_9.6\r\n", BadAnswer, "breaks HTTP", id="not HTTP"),
        pytest.param(HEAD + b"Bad Name: x\r\n\r\n", BadAnswer, "breaks HTTP", id="header name"),
        pytest.param(
            HEAD + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\n", BadAnswer, "breaks", id="two lengths"
        ),
        pytest.param(b"", Unreachable, "hung up without an answer", id="closed connection"),
        pytest.param(answer(status="404 Not\tFound"), HttpStatus, "HTTP 404 Not Found", id="404"),
        pytest.param(answer(status="206 Partial Content"), HttpStatus, "HTTP 206", id="206"),
        pytest.param(answer(status="599 Made up"), HttpStatus, "^HTTP 599$", id="599"),
        pytest.param(answer(status="304 Not Modified"), HttpStatus, "HTTP 304", id="304"),
        pytest.param(answer(status="302 Found"), HttpStatus, "HTTP 302 Found", id="redirect to nowhere"),
        pytest.param(redirect("/a.jpg"), TooManyRedirects, "more than 10", id="redirect loop"),
        pytest.param(redirect("file:///etc/passwd"), UrlRefused, "redirected, but file URL", id="to a file"),
        pytest.param(redirect("gopher://127.0.0.1/"), UrlRefused, "gopher URL", id="to gopher"),
        pytest.param(redirect("data:image/png,x"), UrlRefused, "data URL", id="to data"),
        pytest.param(redirect("http://me:secret@h/"), UrlRefused, "user name or password", id="to a login"),
        pytest.param(redirect("http://h:99999/"), UrlRefused, "malformed", id="to an invalid port"),
        pytest.param(redirect("http://[::1"), UrlRefused, "malformed", id="to a malformed host"),
        pytest.param(redirect("/" + "x" * 8000), UrlRefused, "longer than 8000", id="to a long URL"),
        pytest.param(redirect("/b\rX-Injected: 1"), BadAnswer, "breaks HTTP", id="bare CR in Location"),
    ],
)
def test_every_fetch_ends_whatever_the_server_does(
    server: Server, response_bytes: Any, error: type[FetchError], message: str
) -> None:
    server.answers["/a.jpg"] = response_bytes
    began = time.monotonic()
    with pytest.raises(error, match=message) as ended:
        make_fetcher(**(SHORT if error is TimedOut else {})).get(f"{server.url}/a.jpg")
    assert type(ended.value) is error
    assert time.monotonic() - began < 60
    assert "secret" not in str(ended.value)
    assert ended.value.response is not None
    assert pickle.loads(pickle.dumps(ended.value)).status == ended.value.status


def test_the_total_time_ends_a_wait_that_the_stall_time_allows(server: Server) -> None:
    server.answers["/a.jpg"] = silent
    began = time.monotonic()
    with pytest.raises(TimedOut, match=r"not complete after 0\.3 s"):
        make_fetcher(timeout=60, total_timeout=0.3).get(f"{server.url}/a.jpg")
    assert time.monotonic() - began < 50


def test_a_decompression_bomb_is_never_expanded(server: Server) -> None:
    server.answers["/a.jpg"] = answer(BOMB, Content_Encoding="gzip")
    fetcher = make_fetcher()
    with pytest.raises(TooLarge):
        fetcher.get(f"{server.url}/a.jpg")  # loads the client, which takes memory itself
    tracemalloc.start()
    with pytest.raises(TooLarge):
        fetcher.get(f"{server.url}/a.jpg")
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 5_000_000, "of 50 million"


@pytest.mark.parametrize("coding", ["identity", "gzip", "deflate"])
def test_a_body_is_held_in_memory_once(server: Server, coding: str) -> None:
    body = bytes(20_000_000)
    packed = {"identity": body, "gzip": gzip.compress(body), "deflate": zlib.compress(body)}[coding]
    server.answers["/a.jpg"] = answer(packed, Content_Encoding=coding)
    fetcher = make_fetcher(max_bytes=len(body))
    fetcher.get(f"{server.url}/a.jpg")  # loads the client, which takes memory itself
    tracemalloc.start()
    received = fetcher.get(f"{server.url}/a.jpg").data
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert received == body
    assert peak < 1.4 * len(body)


def test_the_partial_body_of_a_failure_is_released_at_once(server: Server) -> None:
    server.answers["/a.jpg"] = answer(bytes(20_000_000), length=-1)
    fetcher = make_fetcher(max_bytes=19_000_000)
    gc.disable()  # collection would hide a cycle of an error and its traceback, which holds the body
    tracemalloc.start()
    try:
        with pytest.raises(TooLarge):
            fetcher.get(f"{server.url}/a.jpg")
        held, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
        gc.enable()
    assert peak > 19_000_000 > 4 * held


def test_bytes_that_decompress_to_nothing_take_no_time(server: Server) -> None:
    """If all bytes were kept to retry with another format, each packet would copy all of them."""
    nothing = b"\x78\x9c" + b"\x00\x00\x00\xff\xff" * 8_000_000  # deflate's empty blocks
    server.answers["/a.jpg"] = answer(nothing, Content_Encoding="deflate")
    fetcher = make_fetcher(max_bytes=len(nothing))
    tracemalloc.start()
    with pytest.raises(Incomplete, match="ended early"):
        fetcher.get(f"{server.url}/a.jpg")
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 20_000_000, "of 40 million"


@pytest.mark.parametrize(
    ("limits", "message"),
    [
        pytest.param({"max_download": 100}, "larger than 100 bytes; .* --max-download", id="of downloads"),
        pytest.param({"max_bytes": 100}, "larger than 100 bytes; .* --max-bytes", id="of all inputs"),
        pytest.param({"max_bytes": 200, "max_download": 100}, "100 bytes; .* --max-download", id="both"),
    ],
)
def test_a_size_limit_names_its_option(server: Server, limits: dict[str, int], message: str) -> None:
    server.answers["/a.jpg"] = answer(bytes(101))
    with pytest.raises(TooLarge, match=message):
        make_fetcher(**limits).get(f"{server.url}/a.jpg")


def test_permissions_of_a_scan() -> None:
    free = {"allow_private": False, "env_proxies": False, "respect_robots": False}
    assert ScanConfig(inputs=("x",)).permissions() == free
    assert ScanConfig(inputs=("x",), respect_robots=True).permissions() == free | {"respect_robots": True}


@pytest.mark.parametrize(
    ("response_bytes", "body"),
    [
        pytest.param(answer(BODY), BODY, id="length"),
        pytest.param(answer(BODY, length=-1), BODY, id="until it closes"),
        pytest.param(CHUNKED + b"3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n", b"abcde", id="chunked"),
        pytest.param(answer(gzip.compress(BODY), Content_Encoding="gzip"), BODY, id="gzip unasked"),
        pytest.param(answer(gzip.compress(BODY), Content_Encoding="x-gzip"), BODY, id="x-gzip"),
        pytest.param(answer(zlib.compress(BODY), Content_Encoding="deflate"), BODY, id="deflate"),
        pytest.param(answer(raw_deflate(BODY), Content_Encoding="deflate"), BODY, id="raw"),
        pytest.param(answer(BODY, Content_Encoding="identity"), BODY, id="identity"),
        pytest.param(answer(bytes(LIMIT)), bytes(LIMIT), id="exactly the limit"),
        pytest.param(
            answer(gzip.compress(bytes(LIMIT)), Content_Encoding="gzip"),
            bytes(LIMIT),
            id="exactly the limit, unpacked",
        ),
        pytest.param(answer(), b"", id="empty"),
    ],
)
def test_bytes_are_those_of_the_server(server: Server, response_bytes: bytes, body: bytes) -> None:
    server.answers["/a.jpg"] = response_bytes
    assert make_fetcher().get(f"{server.url}/a.jpg").data == body


def test_bytes_beyond_the_stated_length_are_dropped(server: Server) -> None:
    """If the connection were reused, the surplus bytes would become the next response."""
    server.answers["/a.jpg"] = answer(b"abc" + answer(b"smuggled"), length=3)
    server.answers["/b.jpg"] = answer(b"own")
    fetcher = make_fetcher()
    assert fetcher.get(f"{server.url}/a.jpg").data == b"abc"
    assert fetcher.get(f"{server.url}/b.jpg").data == b"own"
    assert server.accepted == 2


@pytest.mark.parametrize(
    ("url", "message"),
    [
        pytest.param("http://127.0.0.1:{port}/\r\nX-Injected: 1", "line break", id="CR LF"),
        pytest.param("http://127.0.0.1:{port}/a\nb", "line break", id="LF"),
        pytest.param("http://127.0.0.1:{port}\r\n/a", "line break", id="in the host"),
        pytest.param("http://127.0.0.1:{port}/\x00", "control character", id="NUL"),
        pytest.param("http://me:secret@127.0.0.1:{port}/a", "user name or password", id="password"),
        pytest.param("http://:secret@127.0.0.1:{port}/a", "user name or password", id="password alone"),
        pytest.param(
            "http://me:sec/ret@127.0.0.1:{port}/a", "user name or password", id="slash in the password"
        ),
        pytest.param(
            "http://me:sec#ret@127.0.0.1:{port}/a", "user name or password", id="hash in the password"
        ),
        pytest.param("http://***@127.0.0.1:{port}/a", "user name or password", id="as the row shows it"),
        pytest.param("http://127.0.0.1:0/a", "malformed", id="port 0"),
        pytest.param("http://127.0.0.1:70000/a", "malformed", id="port too high"),
        pytest.param("http://[::1/a", "malformed", id="bracket"),
        pytest.param("http:///a", "malformed", id="no host"),
        pytest.param("http://127.0.0.1:{port}/\udce9", "malformed", id="not UTF-8"),
        pytest.param("http://127.0.0.1:{port}/" + "x" * 8000, "longer than 8000", id="long"),
        pytest.param("ftp://127.0.0.1:{port}/a", "ftp URL: only http and https", id="ftp"),
        pytest.param("a.jpg", "no URL: only http and https", id="no scheme"),
    ],
)
def test_urls_that_are_never_requested(server: Server, url: str, message: str) -> None:
    with pytest.raises(UrlRefused, match=message) as refused:
        make_fetcher().get(url.format(port=server.port))
    assert not re.search("secret|sec.ret", str(refused.value))
    assert (server.accepted, refused.value.response) == (0, None)


def test_the_request_is_honest_and_minimal(server: Server) -> None:
    server.answers["/a%20b.jpg?q=%C3%A9"] = answer(Set_Cookie="id=1; Path=/", status="200 OK")
    fetcher = make_fetcher()
    for _ in range(2):
        fetcher.get(f"{server.url}/a b.jpg?q=é#part")
    first, second = server.asked
    assert first == second, "a server can't recognise sidscan by a cookie"
    assert first.split("\r\n") == [
        "GET /a%20b.jpg?q=%C3%A9 HTTP/1.1",
        f"Host: 127.0.0.1:{server.port}",
        f"User-Agent: sidscan/{__version__}",
        "Accept: image/*",
        "Accept-Encoding: identity",
        "Connection: close",
        "",
        "",
    ]


def test_the_response_record_says_how_bytes_were_fetched(server: Server) -> None:
    server.answers["/a.jpg"] = redirect("b.jpg", "301 Moved Permanently")
    server.answers["/b.jpg"] = redirect(f"{server.url}/c.jpg#part")
    server.answers["/c.jpg"] = answer(
        BODY, Content_Type="image/jpeg", ETag='"1"', X_Other="x", Server="s" * 2000
    )
    response = make_fetcher().get(f"{server.url}/a.jpg").response
    assert response.redirects == (f"{server.url}/a.jpg", f"{server.url}/b.jpg")
    assert (response.final_url, response.http_status) == (f"{server.url}/c.jpg", 200)
    assert response.address == "127.0.0.1"
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\+00:00", response.fetched_at or "")
    assert response.headers == {
        "content-type": "image/jpeg",
        "content-length": str(len(BODY)),
        "etag": '"1"',
        "server": "s" * 1000,
    }


def test_a_failure_carries_the_known_facts(server: Server) -> None:
    server.answers["/a.jpg"] = redirect("/b.jpg")
    server.answers["/b.jpg"] = answer(status="410 Gone", Last_Modified="Thu, 01 Jan 2026 00:00:00 GMT")
    with pytest.raises(HttpStatus) as gone:
        make_fetcher().get(f"{server.url}/a.jpg")
    response = gone.value.response
    assert response is not None
    assert (response.http_status, response.redirects) == (410, (f"{server.url}/a.jpg",))
    assert response.headers["last-modified"] == "Thu, 01 Jan 2026 00:00:00 GMT"


def test_a_closed_port() -> None:
    free = Server()
    free.close()
    with pytest.raises(Unreachable, match="no connection") as error:
        make_fetcher().get(f"{free.url}/a.jpg")
    assert error.value.response is not None
    assert error.value.response.address is None


def test_a_slow_name_service_counts_against_the_total_time() -> None:
    def slow(host: str, port: int) -> list[str]:
        time.sleep(2)
        return ["127.0.0.1"]

    config = ScanConfig(inputs=("x",), timeout=0.2, total_timeout=0.4, retries=0)
    with pytest.raises(TimedOut):
        Fetcher(config, resolve=slow).get("http://slow.example/")


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        pytest.param(socket.gaierror(socket.EAI_NONAME, "unknown"), UnknownHost, id="no such name"),
        pytest.param(socket.gaierror(socket.EAI_AGAIN, "again"), Unreachable, id="temporary failure"),
        pytest.param(UnicodeError("label too long"), UnknownHost, id="invalid name"),
    ],
)
def test_names_without_an_address(error: Exception, expected: type[FetchError]) -> None:
    def unknown(host: str, port: int) -> list[str]:
        raise error

    config = ScanConfig(inputs=("x",), retries=0)
    with pytest.raises(expected, match="the name service") as ended:
        Fetcher(config, resolve=unknown).get("http://nowhere.example/")
    assert type(ended.value) is expected


@pytest.mark.parametrize(
    ("headers", "rule"),
    [
        pytest.param(["noai"], "noai", id="noai"),
        pytest.param(["nofollow, NoImageAI"], "noimageai", id="second, other case"),
        pytest.param(["all", "noindex"], "noindex", id="second header"),
        pytest.param(["none"], "none", id="none"),
        pytest.param(["noimageindex"], "noimageindex", id="noimageindex"),
        pytest.param(["sidscan: noai"], "noai", id="for us"),
        pytest.param(["otherbot: nofollow, sidscan: noai"], "noai", id="joined headers"),
        pytest.param(["unavailable_after: Wed, 25 Jun 2031 15:00:00 GMT, noai"], "noai", id="after a date"),
        pytest.param(["max-image-preview: large, noai"], "noai", id="after a value"),
        pytest.param(["otherbot: noai, noindex"], None, id="for another"),
        pytest.param(["noarchive, nosnippet, nofollow"], None, id="other rules"),
        pytest.param(["noai-not-quite"], None, id="another word"),
        pytest.param([], None, id="no header"),
    ],
)
def test_robots_headers_are_respected_on_request(
    server: Server, headers: list[str], rule: str | None
) -> None:
    lines = "".join(f"X-Robots-Tag: {text}\r\n" for text in headers)
    server.answers["/a.jpg"] = HEAD + f"{lines}Content-Length: 4\r\n\r\nbody".encode()
    assert make_fetcher().get(f"{server.url}/a.jpg").data == b"body"
    expected: Any = pytest.raises(RobotsRefused, match=f"says {rule}") if rule else contextlib.nullcontext()
    with expected:
        make_fetcher(respect_robots=True).get(f"{server.url}/a.jpg")


def test_an_abandoned_fetch_ends_at_once(server: Server) -> None:
    server.answers["/a.jpg"] = silent
    fetcher = make_fetcher(timeout=600, total_timeout=600)  # two threads read, two wait for a slot
    assert abandoned(fetcher, f"{server.url}/a.jpg", server, threads=4) == 4
