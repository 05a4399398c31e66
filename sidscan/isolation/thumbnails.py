"""Thumbnails as JPEG, for reports that take no WebP.

The thumbnails of a record come from worker processes, which a malicious file may have taken over. So their
bytes are not decoded here, but in one process with limits (`sidscan.isolation.thumbnail_worker`), which lives
as long as the report is being written.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager

from sidscan.isolation.frames import Frame
from sidscan.isolation.processes import ProcessLost, ProcessNotStarted, WorkerPool

_WORKER_MODULE = "sidscan.isolation.thumbnail_worker"
_MAX_JPEG = 1 << 16  # bytes
_SECONDS = 10.0  # for one
_MOST_LOST = 5  # processes, after which no more are started


@contextmanager
def jpeg_thumbnails() -> Iterator[Callable[[bytes], bytes]]:
    """What makes a JPEG of a thumbnail (WebP); it returns nothing (b"") where that fails."""
    with closing(WorkerPool(_WORKER_MODULE, max_payload=_MAX_JPEG)) as process:
        lost = 0

        def convert(webp: bytes) -> bytes:
            nonlocal lost
            if lost == _MOST_LOST:
                return b""
            try:
                process.start()
                *_, answer = process.request(Frame({}, webp), _SECONDS)
            except (ProcessLost, ProcessNotStarted):
                lost += 1
                return b""
            return answer.payload

        yield convert
