"""Brings a published file to a `.part` file, going on from what an earlier attempt left there.

Beside `package_index`, which runs pip, the only place of `sidscan models` that touches the network.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from sidscan.errors import PullFailed
from sidscan.util.files import flush_to_disk

if TYPE_CHECKING:
    import httpx

DownloadProgress = Callable[[int, int | None], None]
"""Called with the bytes on disk so far and the size of the whole file, None where the server doesn't say."""

CONNECT_TIMEOUT, STALL_TIMEOUT = 15.0, 60.0  # seconds

OFFLINE = (
    "Without a network: pull on a machine that has one, copy its models folder over, and "
    "`sidscan models import FOLDER` (docs/howto/offline-models.md)."
)
_RESUME = "What came is kept; the same command goes on from there."


def download_file(url: str, part: Path, max_bytes: int, progress: DownloadProgress | None = None) -> None:
    """Downloads ``url`` to ``part``; a ``part`` already there is continued if the server can do that.

    Whether the bytes are the right ones is for the caller to check.

    Raises:
        PullFailed: unreachable, refused by the server, too large, or ended early (then ``part`` is kept).
        OSError: ``part`` can't be written.
    """
    import httpx

    timeout = httpx.Timeout(STALL_TIMEOUT, connect=CONNECT_TIMEOUT)
    offset = part.stat().st_size if part.exists() else 0
    try:
        with httpx.Client(follow_redirects=True, timeout=timeout) as client:
            # A server that can't continue this very `part` is asked for the whole.
            if not _receive(client, url, part, offset, max_bytes, progress):
                _receive(client, url, part, 0, max_bytes, progress)
    except (httpx.UnsupportedProtocol, httpx.InvalidURL) as error:
        raise PullFailed(
            f"{display_url(url)} is not an http(s) address", "A file is taken in by `sidscan models import`."
        ) from error
    except httpx.HTTPError as error:
        raise PullFailed(f"{display_url(url)} can't be reached: {_reason(error)}", OFFLINE) from error


def display_url(url: str) -> str:
    """``url`` without credentials and query, fit for messages and records."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return "the address given"
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}" if parts.netloc else url


def _receive(
    client: httpx.Client, url: str, part: Path, offset: int, max_bytes: int, progress: DownloadProgress | None
) -> bool:
    """One request. False: the server does not continue at ``offset``, ask again from the start."""
    # Compression in transit would change the bytes that Range, Content-Length and the digest speak of.
    headers = {"Accept-Encoding": "identity"} | ({"Range": f"bytes={offset}-"} if offset else {})
    with client.stream("GET", url, headers=headers) as response:
        if offset and (
            response.status_code == 416 or (response.status_code == 206 and _start(response) != offset)
        ):
            return False
        if response.status_code not in ((200, 206) if offset else (200,)):
            reason = f"{response.status_code} {response.reason_phrase}".strip()
            raise PullFailed(
                f"{display_url(url)} answered {reason}", "Another address can be given with --url."
            )
        start = offset if response.status_code == 206 else 0
        length = response.headers.get("Content-Length", "")
        total = start + int(length) if length.isdecimal() else None
        if total is not None and total > max_bytes:
            raise PullFailed(_too_large(url, total, max_bytes), "Another address can be given with --url.")
        _write(response, part, start, total, max_bytes, progress)
    return True


def _write(
    response: httpx.Response,
    part: Path,
    start: int,
    total: int | None,
    max_bytes: int,
    progress: DownloadProgress | None,
) -> None:
    """The body of ``response`` to the end of ``part``, or to a new one if ``start`` is 0."""
    import httpx

    done, url = start, str(response.request.url)
    with part.open("ab" if start else "wb") as file:
        try:
            for chunk in response.iter_raw():
                done += len(chunk)
                if done > max_bytes:
                    part.unlink()
                    raise PullFailed(
                        _too_large(url, done, max_bytes), "Another address can be given with --url."
                    )
                file.write(chunk)
                if progress:
                    progress(done, total)
        except httpx.HTTPError as error:
            of = f" of {total}" if total is not None else ""
            what = "stalled" if isinstance(error, httpx.TimeoutException) else "ended"
            raise PullFailed(f"{display_url(url)} {what} after {done}{of} bytes", _RESUME) from error
        file.flush()
        flush_to_disk(file.fileno())


def _start(response: httpx.Response) -> int | None:
    """Where a partial answer begins, in bytes."""
    match = re.match(r"bytes (\d+)-", response.headers.get("Content-Range", ""))
    return int(match[1]) if match else None


def _too_large(url: str, size: int, max_bytes: int) -> str:
    return f"{display_url(url)} sends {size} bytes or more, at most {max_bytes} were expected"


def _reason(error: httpx.HTTPError) -> str:
    return str(error) or type(error).__name__
