"""Make connections that go only to permitted addresses and end in time, whatever the server does.

Loaded with the first URL: a scan of files needs no HTTP client. The client is httpx, but a connection pool of
httpcore (httpx's own engine) replaces `httpx.Client`, because only the pool lets its caller say how to
connect. So by construction there are no cookies, no .netrc, no redirects and no proxies but requested ones.
"""

from __future__ import annotations

import ipaddress
import queue
import socket
import ssl
import threading
import time
import urllib.request
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from functools import cached_property
from typing import Any

import httpcore
import httpx

from sidscan.config import ScanConfig
from sidscan.fetch import address_policy
from sidscan.fetch.errors import FetchError, TimedOut, UnknownHost, Unreachable, Untrusted, UrlRefused

Resolve = Callable[[str, int], list[str]]
"""Host and port to IP addresses, best first. Raises OSError if there are none."""

OnConnect = Callable[["TimedStream", str], None]
"""Called with a new connection and the address that it goes to."""

_UNKNOWN_NAME_ERRORS = (socket.EAI_NONAME, getattr(socket, "EAI_NODATA", socket.EAI_NONAME))
_MAX_ADDRESSES = 4  # of a host, that are tried


class TimeBudget:
    """How long a URL may take: ``stall`` seconds for each wait, ``total`` seconds for all of them."""

    def __init__(self, stall: float, total: float) -> None:
        self._stall, self._total = stall, total
        self._end = time.monotonic() + total

    def remaining(self) -> float:
        """Seconds until the end; negative after it."""
        return self._end - time.monotonic()

    def extend(self, seconds: float) -> None:
        """Add seconds that are not the server's fault."""
        self._end += seconds

    @contextmanager
    def wait(self, share: int = 1) -> Iterator[float]:
        """Yield the seconds that one wait may take; ``share`` divides them among that many waits to come.

        Raises:
            TimedOut: it took longer, or no time is left.
        """
        remaining = self.remaining()
        if remaining <= 0:
            raise self.timeout_error()
        try:
            yield min(self._stall, remaining) / share
        except httpcore.TimeoutException as error:
            raise self.timeout_error() from error

    def timeout_error(self) -> TimedOut:
        """The error for the limit that was reached."""
        if self.remaining() <= 0:
            return TimedOut(f"not complete after {self._total:g} s; --total-timeout allows longer")
        return TimedOut(f"no answer for {self._stall:g} s; --timeout allows longer")


class TimedStream(httpcore.NetworkStream):
    """A connection with a time limit for every wait; the timeouts that callers pass are ignored."""

    def __init__(self, inner: httpcore.NetworkStream, budget: TimeBudget) -> None:
        self._inner, self._budget = inner, budget
        self._awaits_first_bytes = True

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:  # noqa: ARG002
        """The received bytes, at most ``max_bytes``."""
        with self._budget.wait() as seconds:
            data = self._inner.read(max_bytes, seconds)
        if self._awaits_first_bytes and not data:
            raise httpcore.ReadError("the server hung up without an answer")
        self._awaits_first_bytes = False
        return data

    def write(self, buffer: bytes, timeout: float | None = None) -> None:  # noqa: ARG002
        """Send a request, which is short enough for the socket's own buffer."""
        with self._budget.wait() as seconds:
            self._inner.write(buffer, seconds)

    def close(self) -> None:
        """Close the socket."""
        self._inner.close()

    def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,  # noqa: ARG002
    ) -> httpcore.NetworkStream:
        """Start TLS with ``server_hostname``, the name in the URL, whatever the address is."""
        try:
            with self._budget.wait() as seconds:
                inner = self._inner.start_tls(ssl_context, server_hostname, seconds)
        except httpcore.ConnectError as error:
            if isinstance(error.__cause__, ssl.SSLCertVerificationError):
                raise Untrusted(f"the certificate is not to be trusted: {error}") from error
            raise
        except BaseException:
            self._inner.close()  # if time ran out before the handshake, nobody else closes it
            raise
        self._inner, self._awaits_first_bytes = inner, True
        return self  # the same object, which `OpenStreams` tracks

    def get_extra_info(self, info: str) -> Any:
        """The inner stream's information."""
        return self._inner.get_extra_info(info)


class OpenStreams:
    """The connections in use, so that an abandoned scan can end them while other threads read."""

    def __init__(self) -> None:
        self._lock, self._closed = threading.Lock(), False
        self._streams: set[TimedStream] = set()

    @contextmanager
    def track(self) -> Iterator[Callable[[TimedStream], None]]:
        """Yield a function that adds a stream; the streams added by it are removed at the end."""
        added: list[TimedStream] = []

        def add(stream: TimedStream) -> None:
            with self._lock:
                if self._closed:
                    stream.close()
                    raise FetchError("the scan ended")
                added.append(stream)
                self._streams.add(stream)

        try:
            yield add
        finally:
            with self._lock:
                self._streams.difference_update(added)

    def close(self) -> None:
        """End all reading from them."""
        with self._lock:
            self._closed = True
            for stream in self._streams:
                with suppress(OSError):  # closed already
                    # Not ssl's own shutdown, which would remove TLS while the reader uses it.
                    socket.socket.shutdown(stream.get_extra_info("socket"), socket.SHUT_RDWR)


class CheckingBackend(httpcore.NetworkBackend):
    """Connects for one request: looks the host up, checks all of its addresses, connects to one of them.

    The name is looked up once and the connection goes to a checked address, so that a name service with
    changing answers ("DNS rebinding") gains nothing.

    Args:
        allow_private: None checks nothing, for a proxy that the user configured.
    """

    def __init__(
        self,
        budget: TimeBudget,
        allow_private: bool | None,
        resolve: Resolve,
        network_backend: httpcore.NetworkBackend,
        on_connect: OnConnect,
    ) -> None:
        self._budget, self._allow_private = budget, allow_private
        self._resolve, self._network_backend, self._on_connect = resolve, network_backend, on_connect

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ARG002
        local_address: str | None = None,  # noqa: ARG002
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.NetworkStream:
        """A connection to one of the host's checked addresses.

        Raises:
            AddressRefused: one of the addresses is not permitted.
            UnknownHost, Unreachable, TimedOut: there is no address, or none that answers.
        """
        addresses = address_policy.literal_addresses(host) or self._look_up(host, port)
        if self._allow_private is not None:
            address_policy.check_addresses(host, addresses, self._allow_private)
        return self._connect([str(address) for address in addresses[:_MAX_ADDRESSES]], port, socket_options)

    def _connect(
        self, addresses: list[str], port: int, socket_options: Iterable[httpcore.SOCKET_OPTION] | None
    ) -> httpcore.NetworkStream:
        last_error: Exception = Unreachable("the host has no address")
        for position, address in enumerate(addresses):
            try:
                with self._budget.wait(share=len(addresses) - position) as seconds:
                    inner = self._network_backend.connect_tcp(address, port, seconds, None, socket_options)
            except (httpcore.ConnectError, TimedOut) as error:
                last_error = error
                continue
            stream = TimedStream(inner, self._budget)
            self._on_connect(stream, address)
            return stream
        raise last_error

    def _look_up(self, host: str, port: int) -> tuple[address_policy.Address, ...]:
        """Ask the name service in a thread of its own, because a look-up can't be stopped."""
        answers: queue.Queue[list[str] | Exception] = queue.Queue()

        def ask() -> None:
            try:
                answers.put(self._resolve(host, port))
            except Exception as error:  # nobody else would see a thread's error
                answers.put(error)

        threading.Thread(target=ask, name="sidscan-resolver", daemon=True).start()
        with self._budget.wait() as seconds:
            try:
                answer = answers.get(timeout=seconds)
            except queue.Empty:
                raise httpcore.ConnectTimeout("no answer from the name service") from None
        if isinstance(answer, Exception):
            raise _lookup_error(host, answer)
        return tuple(ipaddress.ip_address(text) for text in answer)


def _lookup_error(host: str, error: Exception) -> Exception:
    if isinstance(error, UnicodeError):  # the host has a label that no name can have
        return UnknownHost(f"the name service knows no host {host}")
    if isinstance(error, socket.gaierror) and error.errno in _UNKNOWN_NAME_ERRORS:
        return UnknownHost(f"the name service knows no host {host}")
    if isinstance(error, OSError):
        return Unreachable(f"the name service does not answer for {host}: {error.strerror}")
    return error


def system_resolve(host: str, port: int) -> list[str]:
    """The system's name service."""
    results = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(address[0]) for *_, address in results))


class Transport:
    """Sends requests, each over a connection of its own, which ends with the request.

    Connections are not reused: bytes that a server sends beyond its stated Content-Length would otherwise
    count as the response to the next request, and a row would show another image's hash.

    Args:
        resolve: the name service; None is the system's.
        network_backend: what connects to addresses; None is the system's sockets.
    """

    def __init__(
        self,
        config: ScanConfig,
        resolve: Resolve | None = None,
        network_backend: httpcore.NetworkBackend | None = None,
    ) -> None:
        self._config = config
        self._resolve, self._network_backend = (
            resolve or system_resolve,
            network_backend or httpcore.SyncBackend(),
        )
        self._streams, self._lock = OpenStreams(), threading.Lock()

    @contextmanager
    def send(
        self, request: httpx.Request, budget: TimeBudget, on_connect: Callable[[str], None]
    ) -> Iterator[httpx.Response]:
        """Yield the response with its body unread; it is closed at the end of the block.

        Args:
            on_connect: called with the address that was connected to.

        Raises:
            FetchError: the address is refused, or time ran out.
            httpcore.NetworkError, httpcore.ProtocolError, httpcore.ProxyError: what else may go wrong.
        """
        with self._streams.track() as add:

            def connected(stream: TimedStream, address: str) -> None:
                on_connect(address)
                add(stream)

            with self._pool(request.url, budget, connected) as pool:
                core_response = pool.handle_request(_to_core_request(request))
                body = _BodyStream(core_response)
                try:
                    yield httpx.Response(
                        core_response.status, headers=core_response.headers, stream=body, request=request
                    )
                finally:
                    body.close()

    def close(self) -> None:
        """End all requests that other threads wait for."""
        self._streams.close()

    def _pool(self, url: httpx.URL, budget: TimeBudget, connected: OnConnect) -> httpcore.ConnectionPool:
        proxy = _proxy_for(url) if self._config.env_proxies else None
        allow = self._config.allow_private
        backend = CheckingBackend(
            budget, allow if proxy is None else None, self._resolve, self._network_backend, connected
        )
        if proxy is None:
            return httpcore.ConnectionPool(
                ssl_context=self._ssl(url), max_keepalive_connections=0, network_backend=backend
            )
        # The proxy looks names up, so only addresses that need no look-up can be checked here.
        address_policy.check_addresses(url.host, address_policy.literal_addresses(url.host), allow)
        return httpcore.HTTPProxy(
            proxy_url=str(proxy.copy_with(username=None, password=None)),
            proxy_auth=(proxy.username, proxy.password) if proxy.userinfo else None,
            ssl_context=self._ssl(url),
            max_keepalive_connections=0,
            network_backend=backend,
        )

    def _ssl(self, url: httpx.URL) -> ssl.SSLContext | None:
        if url.scheme != "https":
            return None
        with self._lock:
            return self._ssl_context

    @cached_property
    def _ssl_context(self) -> ssl.SSLContext:
        return httpx.create_ssl_context()  # certifi's authorities, or those of SSL_CERT_FILE


def _to_core_request(request: httpx.Request) -> httpcore.Request:
    url = request.url
    target = httpcore.URL(scheme=url.raw_scheme, host=url.raw_host, port=url.port, target=url.raw_path)
    return httpcore.Request(method=request.method, url=target, headers=request.headers.raw)


class _BodyStream(httpx.SyncByteStream):
    """The body, as it arrives."""

    def __init__(self, response: httpcore.Response) -> None:
        self._response = response

    def __iter__(self) -> Iterator[bytes]:
        yield from self._response.iter_stream()

    def close(self) -> None:
        self._response.close()


def _proxy_for(url: httpx.URL) -> httpx.URL | None:
    """The proxy that the environment names for ``url``: http_proxy, https_proxy, all_proxy, no_proxy."""
    if urllib.request.proxy_bypass(url.host):
        return None
    proxies = urllib.request.getproxies()
    text = proxies.get(url.scheme) or proxies.get("all")
    if not text:
        return None
    try:
        proxy = httpx.URL(text if "://" in text else f"http://{text}")
    except httpx.InvalidURL:
        raise UrlRefused(f"the environment's {url.scheme}_proxy is not a URL") from None
    if proxy.scheme != "http" or not proxy.host:
        raise UrlRefused(
            f"the environment's {url.scheme}_proxy is not an http:// proxy; sidscan uses no others"
        )
    return proxy
