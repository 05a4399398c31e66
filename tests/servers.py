"""Real servers on loopback that send exactly what a test wants, and a small fake internet."""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterable
from typing import Any

import httpcore

from sidscan.fetch.client import Fetcher
from sidscan.fetch.errors import FetchError

PUBLIC = "93.184.215.14"  # any globally reachable address; `Internet` redirects it to loopback

Script = Callable[[socket.socket], None]
"""Sends a response, once the request has been read."""


def answer(body: bytes = b"", status: str = "200 OK", length: int | None = None, **headers: str) -> bytes:
    """An HTTP/1.1 response; ``length`` replaces the body's Content-Length, -1 omits the header."""
    stated = len(body) if length is None else length
    lines = [f"HTTP/1.1 {status}", *(f"{name.replace('_', '-')}: {text}" for name, text in headers.items())]
    lines += [f"Content-Length: {stated}"] if stated >= 0 else []
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1") + body


def redirect(location: str, status: str = "302 Found") -> bytes:
    """A redirect to another URL."""
    return answer(status=status, Location=location)


def dripping(first: bytes, drop: bytes, seconds: float = 0.05) -> Script:
    """Sends ``first``, and then ``drop`` forever, often enough that it never counts as a stall."""

    def say(connection: socket.socket) -> None:
        connection.sendall(first)
        while True:
            connection.sendall(drop)
            time.sleep(seconds)

    return say


def silent(connection: socket.socket) -> None:
    connection.recv(1)


class Server:
    """Listens on loopback; every connection gets one response.

    Attributes:
        answers: path -> bytes, or a script, or a list of those, one per request, the last for all others.
        asked: the heads of all requests, as text.
        accepted: number of connections, including those without a request.
    """

    def __init__(self, tls: ssl.SSLContext | None = None, host: str = "127.0.0.1") -> None:
        self.answers: dict[str, Any] = {}
        self.asked: list[str] = []
        self.accepted = 0
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self._listener = socket.create_server((host, 0), family=family, backlog=64)
        self._tls, self._lock = tls, threading.Lock()
        self._open: list[socket.socket] = []
        self.port = int(self._listener.getsockname()[1])
        self.url = f"http://127.0.0.1:{self.port}"
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for connection in self._open:
            connection.close()

    def paths(self) -> list[str]:
        """The requested paths, in order."""
        return [head.split(" ")[1] for head in self.asked]

    def heard(self, requests: int, seconds: float = 60) -> bool:
        """Whether this many ``requests`` arrive in time; returns as soon as they have."""
        end = time.monotonic() + seconds
        while len(self.asked) < requests and time.monotonic() < end:
            time.sleep(0.005)
        return len(self.asked) >= requests

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self.accepted += 1
            self._open.append(connection)
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with contextlib.suppress(OSError):
            if self._tls:
                connection = self._tls.wrap_socket(connection, server_side=True)
            with connection:
                self._answer(connection)

    def _answer(self, connection: socket.socket) -> None:
        head = b""
        while b"\r\n\r\n" not in head:
            head += connection.recv(1 << 16) or b"\r\n\r\n"
        with self._lock:
            self.asked.append(head.decode("latin-1"))
            response = self.answers.get(head.decode("latin-1").split(" ")[1], answer(status="404 Not Found"))
            if isinstance(response, list):
                response = response.pop(0) if len(response) > 1 else response[0]
        if isinstance(response, bytes):
            connection.sendall(response)
        else:
            response(connection)


class Internet(httpcore.NetworkBackend):
    """Redirects connections to public addresses to a server on loopback, and records where they go.

    Attributes:
        connected_to: addresses connected to, in order.
        names: host -> its addresses; a list of lists answers differently each time, the last for good.
    """

    def __init__(self, port: int, **names: Iterable[Any]) -> None:
        self.port, self.connected_to = port, list[str]()
        self.names = {name.replace("_", "."): list(addresses) for name, addresses in names.items()}
        self.looked_up: list[str] = []

    def resolve(self, host: str, port: int) -> list[str]:
        """Resolve a host name."""
        self.looked_up.append(host)
        addresses = self.names.get(host)
        if addresses is None:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        if addresses and isinstance(addresses[0], list):
            return list(addresses.pop(0) if len(addresses) > 1 else addresses[0])
        return list(addresses)

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.NetworkStream:
        self.connected_to.append(host)
        if host == PUBLIC:
            host, port = "127.0.0.1", self.port
        return httpcore.SyncBackend().connect_tcp(host, port, timeout, local_address, socket_options)


def abandoned(fetcher: Fetcher, url: str, server: Server, threads: int) -> int:
    """How many of the threads that fetch ``url`` end in time after two of them have sent requests."""
    ended: list[FetchError] = []

    def get() -> None:
        try:
            fetcher.get(url)
        except FetchError as error:
            ended.append(error)

    running = [threading.Thread(target=get, daemon=True) for _ in range(threads)]
    for thread in running:
        thread.start()
    assert server.heard(2)
    fetcher.close()
    for thread in running:
        thread.join(30)
    return len(ended)
