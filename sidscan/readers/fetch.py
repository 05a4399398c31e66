"""URL -> bytes. The only place where a scan touches the network, and only for inputs that are URLs."""

from __future__ import annotations

import time

from sidscan._version import __version__
from sidscan.config import ScanConfig

_REDIRECTS = 5


class FetchError(Exception):
    """The server's answer is not the picture."""


def get(url: str, config: ScanConfig) -> bytes:
    """The body behind an http(s) URL, unchanged.

    Raises:
        FetchError: a status other than 200, a body larger than ``config.max_bytes``, or one that stalls.
        httpx.HTTPError: no connection, a timeout, too many redirects.
    """
    import httpx  # here: a scan of files needs none of it

    headers = {"User-Agent": f"sidscan/{__version__}", "Accept": "image/*"}
    deadline = time.monotonic() + 10 * config.timeout
    with (
        httpx.Client(
            follow_redirects=True, max_redirects=_REDIRECTS, timeout=config.timeout, headers=headers
        ) as client,
        client.stream("GET", url) as response,
    ):
        if response.status_code != httpx.codes.OK:
            raise FetchError(f"HTTP {response.status_code} {response.reason_phrase}")
        body = bytearray()
        for chunk in response.iter_bytes():
            body += chunk
            if len(body) > config.max_bytes:
                raise FetchError(f"larger than {config.max_bytes} bytes; raise the limit with --max-bytes")
            if time.monotonic() > deadline:
                raise FetchError(f"not complete after {10 * config.timeout:.0f} s")
    return bytes(body)
