"""A worker process of `sidscan.isolation.reader`: it reads images until the scan is gone."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from sidscan.config import ReadLimits
from sidscan.images import decode, items
from sidscan.isolation.protocol import (
    READY,
    Frame,
    WorkerOptions,
    decode_task,
    encode_answer,
    encode_pixels,
    read_frame,
    write_frame,
)
from sidscan.provenance.read import with_provenance
from sidscan.records import DecodedImage, Failure, ImageInfo, Kind

_GRACE_SECONDS = 5  # of processor time beyond the deadline, in case no scan is left to end the worker


def main() -> None:
    """Answer tasks until standard input ends. The argument is `WorkerOptions` as JSON."""
    options = WorkerOptions.from_json(sys.argv[1])
    # What a library prints must not land between frames.
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    for name in ("SIGINT", "SIGTERM", "SIGHUP"):  # they are for the scan, which ends its workers
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), signal.SIG_IGN)
    _exit_with_parent(os.getppid())
    decode.warm_up()  # what every worker holds does not count against the limit
    _limit_memory(options.memory_limit)
    write_frame(answers, READY)
    with suppress(EOFError, BrokenPipeError):
        while True:
            task = read_frame(sys.stdin.buffer)
            _limit_time(options.item_timeout)
            for frame in _answer(task, options.limits):
                write_frame(answers, frame)


def _answer(task: Frame, limits: ReadLimits) -> Iterator[Frame]:
    item, data = decode_task(task)
    info = ImageInfo()  # of a URL, the scan knows size and hash itself
    if item.kind is Kind.FILE:
        loaded = items.load_file(item, limits.max_bytes)
        if isinstance(loaded, Failure):
            yield encode_answer(loaded, last=True)
            return
        data, info = loaded
        yield encode_answer(info)  # the hash is known, whatever follows
    results = items.decode_item(item, data, info, limits)
    result = next(results)
    if isinstance(result, Failure):
        yield encode_answer(with_provenance(result, data, limits), last=True)
        return
    yield encode_answer(result)
    if result.pixels is not None:
        yield from encode_pixels(result.pixels)
    described = with_provenance(next(results), data, limits)
    assert isinstance(described, DecodedImage)
    yield encode_answer(described.facts, last=True, thumbnail=described.thumbnail)


def _limit_memory(mebibytes: int) -> None:
    """Limit the memory beyond what the worker holds at its start, on systems that have such limits."""
    with suppress(ImportError, OSError, ValueError):
        import resource

        held = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0]) * resource.getpagesize()
        _set_limit(resource.RLIMIT_AS, held + (mebibytes << 20))


def _limit_time(seconds: float) -> None:
    """End a worker that spins when no scan is left to end it."""
    with suppress(ImportError, OSError, ValueError):
        import resource

        used = resource.getrusage(resource.RUSAGE_SELF)
        _set_limit(resource.RLIMIT_CPU, int(used.ru_utime + used.ru_stime + seconds) + _GRACE_SECONDS)


def _set_limit(which: int, limit: int) -> None:
    """Set a limit, within the maximum that the system allows."""
    import resource

    _, maximum = resource.getrlimit(which)
    resource.setrlimit(which, (limit if maximum == resource.RLIM_INFINITY else min(limit, maximum), maximum))


def _exit_with_parent(parent: int) -> None:
    """End the worker when its parent is gone, even if it waits for something else."""

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(1)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
