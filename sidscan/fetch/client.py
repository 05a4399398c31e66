"""Fetch the bytes of a URL. A scan touches the network only here, and only for inputs that are URLs.

docs/reference/urls.md says what sidscan promises. `address_policy` decides where a connection may go,
`transport` makes it, `body` reads the response, `rate_limit` keeps the pace, `errors` lists how a fetch can
fail.
"""

from __future__ import annotations

import random
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timezone
from email.utils import parsedate_to_datetime
from functools import cached_property
from http import HTTPStatus
from typing import TYPE_CHECKING

from sidscan._version import __version__
from sidscan.config import ScanConfig
from sidscan.fetch.body import read_body
from sidscan.fetch.errors import (
    BadAnswer,
    FetchError,
    HttpStatus,
    RobotsRefused,
    TooManyRedirects,
    Unreachable,
    UrlRefused,
)
from sidscan.fetch.rate_limit import RateLimiter
from sidscan.fetch.robots import refusing_rule
from sidscan.records import Response
from sidscan.util.clock import utc_now
from sidscan.util.urls import mask_credentials

if TYPE_CHECKING:
    import httpcore
    import httpx

    from sidscan.fetch.object_stores import ObjectStores
    from sidscan.fetch.transport import Resolve, TimeBudget, Transport

RECORDED_HEADERS = (
    *("content-type", "content-length", "content-encoding", "last-modified", "etag", "date", "server"),
    *("x-robots-tag", "retry-after"),
)
"""Headers of a response that its row shows."""

_REQUEST_HEADERS = {
    "User-Agent": f"sidscan/{__version__}",
    "Accept": "image/*",
    "Accept-Encoding": "identity",  # the bytes as published, without a coding of the server
    "Connection": "close",
}
_MAX_REDIRECTS = 10
_REDIRECT_CODES = (301, 302, 303, 307, 308)
_RETRYABLE_CODES = (429, 502, 503, 504)
_BACKOFF_SECONDS = 0.5  # before the first retry; doubled for each further one, randomly 50 % less or more
_MAX_URL_CHARACTERS = 8000  # RFC 9110, section 4.1, asks servers to accept as many
_CREDENTIALS_MESSAGE = "the URL holds a user name or password; none is ever sent, so take it out"
_MAX_HEADER_CHARACTERS = 1000  # of a header, in a row


@dataclass(frozen=True, slots=True)
class Download:
    """The bytes of a URL, as published, and how the server answered."""

    data: bytes
    response: Response


@dataclass
class FetchTrace:
    """What is known of a fetch so far, whether it fails or not."""

    final_url: str = ""
    redirects: list[str] = field(default_factory=list)
    http_status: int | None = None
    address: str | None = None
    fetched_at: str | None = None
    headers: dict[str, str] = field(default_factory=dict)

    def on_request(self, url: httpx.URL) -> None:
        """Note the next request; only the redirect remains of the one before."""
        self.final_url = str(url)
        self.http_status, self.address, self.headers = None, None, {}
        self.fetched_at = utc_now()

    def on_connect(self, address: str) -> None:
        """Note the address that was connected to."""
        self.address = address

    def on_response(self, response: httpx.Response) -> None:
        """Note status and headers of the response."""
        self.http_status = response.status_code
        known = response.headers
        self.headers = {
            name: known[name][:_MAX_HEADER_CHARACTERS] for name in RECORDED_HEADERS if name in known
        }

    def to_record(self) -> Response | None:
        """The trace as a record; None if no request was made."""
        if not self.final_url:
            return None
        return Response(
            final_url=self.final_url,
            redirects=tuple(self.redirects),
            http_status=self.http_status,
            address=self.address,
            fetched_at=self.fetched_at,
            headers=dict(self.headers),
        )


class Fetcher:
    """Fetches URLs, from any number of threads. A scan has one, since it limits the rate per host.

    Args:
        resolve: host and port -> IP addresses; None is the system's name service.
        network_backend: what connects to addresses; None is the system's sockets.
    """

    def __init__(
        self,
        config: ScanConfig,
        resolve: Resolve | None = None,
        network_backend: httpcore.NetworkBackend | None = None,
    ) -> None:
        self._config, self._resolve, self._network_backend = config, resolve, network_backend
        self._rate_limiter = RateLimiter(config.per_host, config.rate)
        self._lock = threading.Lock()
        self._transport: Transport | None = None

    def get(self, url: str) -> Download:
        """The bytes of an http(s) URL.

        Raises:
            FetchError: the URL gave no bytes; the error's ``response`` holds what is known.
        """
        trace = FetchTrace()
        try:
            return self._get_with_retries(_parse_url(url), trace)
        except FetchError as error:
            error.response = trace.to_record()
            raise

    @cached_property
    def objects(self) -> ObjectStores:
        """What reads object stores."""
        from sidscan.fetch.object_stores import ObjectStores, StoreLimits  # here: it needs this module

        return ObjectStores(StoreLimits.of(self._config))

    def close(self) -> None:
        """End all requests and waits, in whatever thread."""
        self._rate_limiter.close()
        with self._lock:
            if self._transport:
                self._transport.close()

    def _get_with_retries(self, url: httpx.URL, trace: FetchTrace) -> Download:
        """Request the URL, and again where that may help and time is left."""
        from sidscan.fetch.transport import TimeBudget  # here: it loads the HTTP client

        budget = TimeBudget(self._config.timeout, self._config.total_timeout)
        for attempt in range(self._config.retries + 1):
            trace.redirects.clear()
            try:
                data = self._follow(url, budget, trace)
            except FetchError as error:
                if attempt == self._config.retries or not self._should_retry(error, attempt, budget, trace):
                    raise
            else:
                response = trace.to_record()
                assert response
                return Download(data, response)
        raise AssertionError("the last attempt returns or raises")

    def _should_retry(self, error: FetchError, attempt: int, budget: TimeBudget, trace: FetchTrace) -> bool:
        """Wait as long as is due before another attempt; False if there should be none."""
        import httpx

        if isinstance(error, HttpStatus):
            if error.code not in _RETRYABLE_CODES:
                return False
            if error.retry_after is not None:
                if error.retry_after > self._config.retry_after:
                    return False
                # All threads that want something of this host wait, and their time budgets don't count it.
                self._rate_limiter.block(httpx.URL(trace.final_url).host, error.retry_after)
                return True
        elif not error.retryable:
            return False
        pause = _BACKOFF_SECONDS * 2**attempt * random.uniform(0.5, 1.5)  # noqa: S311  (it protects no secret)
        if pause >= budget.remaining():
            return False
        self._rate_limiter.pause(pause)
        return True

    def _follow(self, url: httpx.URL, budget: TimeBudget, trace: FetchTrace) -> bytes:
        """The body at the end of a chain of redirects; each redirect is checked like the first URL."""
        for _ in range(_MAX_REDIRECTS + 1):
            with self._rate_limiter.slot(url.host) as waited:
                budget.extend(waited)
                result = self._request(url, budget, trace)
            if isinstance(result, bytes):
                return result
            trace.redirects.append(str(url))
            url = result
        raise TooManyRedirects(f"more than {_MAX_REDIRECTS} redirects")

    def _request(self, url: httpx.URL, budget: TimeBudget, trace: FetchTrace) -> bytes | httpx.URL:
        """The body of one response, or the URL that it redirects to."""
        import httpx

        request = httpx.Request("GET", url, headers=_REQUEST_HEADERS)
        trace.on_request(url)
        with (
            _translate_errors(),
            self._get_transport().send(request, budget, trace.on_connect) as response,
        ):
            trace.on_response(response)
            if response.status_code in _REDIRECT_CODES and "location" in response.headers:
                return _redirect_target(url, response.headers["location"])
            if response.status_code != HTTPStatus.OK:
                raise self._status_error(response)
            self._check_robots(response)
            return read_body(response, *self._config.largest_download())

    def _get_transport(self) -> Transport:
        from sidscan.fetch.transport import Transport

        with self._lock:
            if not self._transport:
                self._transport = Transport(self._config, self._resolve, self._network_backend)
            return self._transport

    def _status_error(self, response: httpx.Response) -> HttpStatus:
        """The error of a status other than 200. 203 and 206 are errors too: not the original's bytes."""
        code = response.status_code
        wait = (
            _parse_retry_after(response.headers.get("retry-after", "")) if code in _RETRYABLE_CODES else None
        )
        phrase = HTTPStatus(code).phrase if code in HTTPStatus._value2member_map_ else ""
        message = f"HTTP {code} {phrase}".strip()
        if wait is not None and wait > self._config.retry_after:
            message += f"; the server asks to wait {wait:.0f} s, run the same command again then"
        return HttpStatus(message, code, wait)

    def _check_robots(self, response: httpx.Response) -> None:
        if not self._config.respect_robots:
            return
        if rule := refusing_rule(response.headers.get_list("x-robots-tag")):
            raise RobotsRefused(f"X-Robots-Tag says {rule}, and --respect-robots was given")


def _parse_url(url: str) -> httpx.URL:
    """The URL as it is requested: without a fragment, non-ASCII characters escaped.

    Raises:
        UrlRefused: sidscan does not fetch such a URL. The message repeats no part that may be a password.
    """
    import httpx

    if any(character < " " or character == "\x7f" for character in url):
        raise UrlRefused("the URL holds a line break or another control character")
    if mask_credentials(url) != url:
        raise UrlRefused(_CREDENTIALS_MESSAGE)
    try:
        parsed = httpx.URL(url).copy_with(fragment=None)
    except (httpx.InvalidURL, ValueError):  # ValueError: bytes that are not UTF-8
        raise UrlRefused("the URL is malformed") from None
    if parsed.scheme not in ("http", "https"):
        raise UrlRefused(f"{parsed.scheme[:20] or 'no'} URL: only http and https are fetched")
    if parsed.userinfo:
        raise UrlRefused(_CREDENTIALS_MESSAGE)
    if not parsed.host or parsed.port == 0 or (parsed.port or 0) >= 1 << 16:
        raise UrlRefused("the URL is malformed")
    if len(str(parsed)) > _MAX_URL_CHARACTERS:
        raise UrlRefused(f"the URL is longer than {_MAX_URL_CHARACTERS} characters")
    return parsed


def _redirect_target(url: httpx.URL, location: str) -> httpx.URL:
    """The URL that a redirect points to (RFC 9110, section 10.2.2)."""
    import httpx

    try:
        if mask_credentials(location) != location:  # before joining, which may hide them from the mask
            raise UrlRefused(_CREDENTIALS_MESSAGE)
        return _parse_url(str(url.join(location)))
    except (httpx.InvalidURL, ValueError):
        raise UrlRefused("redirected, but the Location is malformed") from None
    except UrlRefused as error:
        raise UrlRefused(f"redirected, but {error}") from None


def _parse_retry_after(retry_after: str) -> float | None:
    """Seconds that a Retry-After asks to wait (RFC 9110, section 10.2.3); None if it is empty or invalid."""
    if re.fullmatch(r"\d{1,9}", retry_after.strip(), re.ASCII):
        return float(retry_after)
    try:
        when = parsedate_to_datetime(retry_after)
    except (TypeError, ValueError):
        return None
    when = when if when.tzinfo else when.replace(tzinfo=timezone.utc)
    return max((when - datetime.now(timezone.utc)).total_seconds(), 0.0)


@contextmanager
def _translate_errors() -> Iterator[None]:
    """Turn the HTTP client's errors into `FetchError`."""
    import httpcore

    try:
        yield
    except httpcore.NetworkError as error:
        raise Unreachable(f"no connection, or it broke: {_describe(error)}") from error
    except httpcore.ProxyError as error:
        raise Unreachable(f"the proxy refused: {_describe(error)}") from error
    except httpcore.ProtocolError as error:
        raise BadAnswer(f"the answer breaks HTTP: {_describe(error)}") from error


def _describe(error: Exception) -> str:
    return str(error)[:200] or type(error).__name__
