"""How often and for how long a server is asked: retries, Retry-After, concurrency limit, request rate."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta, timezone
from email.utils import format_datetime
from typing import Any

import pytest
from servers import Server, answer, redirect

from sidscan import ScanConfig
from sidscan.fetch import client
from sidscan.fetch.client import Fetcher
from sidscan.fetch.errors import FetchError, HttpStatus, Incomplete, TimedOut
from sidscan.fetch.rate_limit import RateLimiter

GOOD = answer(b"bytes")
BUSY = answer(status="503 Service Unavailable")


@pytest.fixture
def server() -> Iterator[Server]:
    running = Server()
    yield running
    running.close()


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "_BACKOFF_SECONDS", 0.02)


def make_fetcher(**options: Any) -> Fetcher:
    return Fetcher(
        ScanConfig(**{"inputs": ("x",), "allow_private": True, "timeout": 1, "total_timeout": 2, **options})
    )


@pytest.mark.parametrize(
    ("answers", "requests"),
    [
        pytest.param([GOOD], 1, id="success"),
        pytest.param([BUSY, GOOD], 2, id="503"),
        pytest.param([answer(status="502 Bad Gateway"), BUSY, GOOD], 3, id="502, 503"),
        pytest.param([answer(status="504 Gateway Timeout"), GOOD], 2, id="504"),
        pytest.param([answer(status="429 Too Many Requests"), GOOD], 2, id="429"),
        pytest.param([b"", GOOD], 2, id="connection closed"),
        pytest.param([answer(b"by", length=5), GOOD], 2, id="body cut"),
        pytest.param([answer(status="503 Busy", Retry_After="nonsense"), GOOD], 2, id="not a time"),
        pytest.param(
            [answer(status="503 Busy", Retry_After="9" * 5000), GOOD], 2, id="a number that is too large"
        ),
    ],
)
def test_temporary_failures_are_retried(server: Server, answers: list[bytes], requests: int) -> None:
    server.answers["/a.jpg"] = answers
    assert make_fetcher().get(f"{server.url}/a.jpg").data == b"bytes"
    assert len(server.asked) == requests


@pytest.mark.parametrize(
    ("response_bytes", "requests"),
    [
        pytest.param(BUSY, 3, id="503"),
        pytest.param(answer(b"x", length=9), 3, id="body cut"),
        pytest.param(answer(status="404 Not Found"), 1, id="404"),
        pytest.param(answer(status="500 Internal Server Error"), 1, id="500"),
        pytest.param(answer(status="403 Forbidden", Retry_After="0"), 1, id="403"),
        pytest.param(answer(b"x", Content_Encoding="br"), 1, id="coding"),
    ],
)
def test_retries_end(server: Server, response_bytes: bytes, requests: int) -> None:
    server.answers["/a.jpg"] = response_bytes
    with pytest.raises(FetchError):
        make_fetcher().get(f"{server.url}/a.jpg")
    assert len(server.asked) == requests


def test_a_retry_starts_over(server: Server) -> None:
    server.answers["/a.jpg"] = redirect("/b.jpg")
    server.answers["/b.jpg"] = [BUSY, GOOD]
    response = make_fetcher().get(f"{server.url}/a.jpg").response
    assert server.paths() == ["/a.jpg", "/b.jpg"] * 2
    assert response.redirects == (f"{server.url}/a.jpg",)


def test_no_retry_outlives_the_total_time(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "_BACKOFF_SECONDS", 100)
    server.answers["/a.jpg"] = BUSY
    began = time.monotonic()
    with pytest.raises(HttpStatus, match="HTTP 503"):
        make_fetcher().get(f"{server.url}/a.jpg")
    assert (len(server.asked), time.monotonic() - began < 50) == (1, True)


def test_retry_after_is_honoured_even_beyond_the_total_time(server: Server) -> None:
    server.answers["/a.jpg"] = [answer(status="429 Too Many", Retry_After="3"), GOOD]
    began = time.monotonic()
    fetched = make_fetcher(total_timeout=2).get(f"{server.url}/a.jpg")
    assert (fetched.data, time.monotonic() - began >= 3) == (b"bytes", True)


def test_retry_after_applies_to_all_requests_to_the_host(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.answers |= {"/a.jpg": [answer(status="429 Too Many", Retry_After="1"), GOOD], "/b.jpg": GOOD}
    fetcher, blocked = make_fetcher(), threading.Event()
    block = fetcher._rate_limiter.block

    def note(host: str, seconds: float) -> None:
        block(host, seconds)
        blocked.set()

    monkeypatch.setattr(fetcher._rate_limiter, "block", note)
    with ThreadPoolExecutor(1) as pool:
        began = time.monotonic()
        first = pool.submit(fetcher.get, f"{server.url}/a.jpg")
        assert blocked.wait(60)
        fetcher.get(f"{server.url}/b.jpg")
        assert time.monotonic() - began >= 1
        assert first.result().data == b"bytes"


@pytest.mark.parametrize("form", ["seconds", "date"])
def test_a_longer_retry_after_is_left_to_the_user(server: Server, form: str) -> None:
    in_an_hour = datetime.now(timezone.utc) + timedelta(hours=1)
    asked = "3600" if form == "seconds" else format_datetime(in_an_hour)
    server.answers["/a.jpg"] = answer(status="429 Too Many Requests", Retry_After=asked)
    with pytest.raises(HttpStatus, match=r"asks to wait 3\d\d\d s, run the same command again") as error:
        make_fetcher(retry_after=5).get(f"{server.url}/a.jpg")
    assert len(server.asked) == 1
    assert error.value.response is not None
    assert error.value.response.headers["retry-after"] == asked


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        pytest.param("0", 0, id="zero"),
        pytest.param("120", 120, id="seconds"),
        pytest.param("Wed, 21 Oct 2015 07:28:00 GMT", 0, id="past date"),
        pytest.param("Wed, 21 Oct 2015 07:28:00", 0, id="date without zone"),
        pytest.param("-1", None, id="negative"),
        pytest.param("1.5", None, id="fraction"),
        pytest.param("", None, id="none"),
        pytest.param("²", None, id="non-ASCII digit"),
    ],
)
def test_retry_after_values(text: str, seconds: float | None) -> None:
    assert client._parse_retry_after(text) == seconds


def test_a_host_gets_a_limited_number_of_requests_at_once(server: Server) -> None:
    lock, at_once, most = threading.Lock(), 0, 0

    def slow(connection: socket.socket) -> None:
        nonlocal at_once, most
        with lock:
            at_once += 1
            most = max(most, at_once)
        time.sleep(0.05)
        with lock:
            at_once -= 1  # before the response: the client asks again as soon as it has it
        connection.sendall(GOOD)

    server.answers["/a.jpg"] = slow
    fetcher = make_fetcher(per_host=2)
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(fetcher.get, [f"{server.url}/a.jpg"] * 8))
    assert (len(server.asked), most) == (8, 2)


def test_waiting_for_a_slot_does_not_count_against_the_server(server: Server) -> None:
    def slow(connection: socket.socket) -> None:
        time.sleep(0.4)
        connection.sendall(GOOD)

    server.answers["/a.jpg"] = slow
    fetcher = make_fetcher(per_host=1, total_timeout=2)
    with ThreadPoolExecutor(6) as pool:  # the last waits for two seconds
        assert len(list(pool.map(fetcher.get, [f"{server.url}/a.jpg"] * 6))) == 6


def test_hosts_do_not_wait_for_each_other() -> None:
    limiter = RateLimiter(1)
    with limiter.slot("a") as first, limiter.slot("b") as second:
        assert first + second < 10


def test_a_rate_spaces_requests_evenly() -> None:
    limiter, times = RateLimiter(concurrency=4, rate=20), []
    for _ in range(5):
        with limiter.slot("a"):
            times.append(time.monotonic())
    assert times[-1] - times[0] >= 4 * 0.05 - 0.005


def test_a_redirect_to_the_same_host_needs_no_second_slot(server: Server) -> None:
    server.answers |= {"/a.jpg": redirect("/b.jpg"), "/b.jpg": GOOD}
    assert make_fetcher(per_host=1).get(f"{server.url}/a.jpg").data == b"bytes"


def test_closing_ends_a_wait() -> None:
    limiter, ended = RateLimiter(1), threading.Event()
    limiter.block("a", 60)

    def wait() -> None:
        with pytest.raises(FetchError, match="the scan ended"), limiter.slot("a"):
            pass
        ended.set()

    thread = threading.Thread(target=wait, daemon=True)
    thread.start()
    time.sleep(0.05)
    limiter.close()
    assert ended.wait(30)
    with pytest.raises(FetchError, match="the scan ended"):
        limiter.pause(60)


def test_slow_servers_are_not_retried(server: Server) -> None:
    """A stall is waited for only once: a server that is slow now will still be slow in a second."""
    server.answers["/a.jpg"] = lambda connection: connection.recv(1)
    with pytest.raises(TimedOut):
        make_fetcher(timeout=0.2).get(f"{server.url}/a.jpg")
    assert len(server.asked) == 1
    server.answers["/a.jpg"] = answer(b"x", length=2)
    with pytest.raises(Incomplete):
        make_fetcher(retries=0).get(f"{server.url}/a.jpg")
