"""A worker process of `sidscan.isolation.reader`: reads pictures until its parent is gone."""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path

from sidscan.config import ReadLimits
from sidscan.images import decode, items
from sidscan.isolation.processes import READY, Frame, read_frame, write_frame
from sidscan.records import Failure, ImageInfo, Item, Kind

_GRACE = 5  # seconds of processor time beyond the deadline, should no parent be left to end a worker


def main() -> None:
    """A worker: answers tasks until standard input ends. Its limits are its argument, as JSON."""
    limits = json.loads(sys.argv[1])
    # What a library prints must not land between frames.
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the parent, which ends its workers
    _die_with(os.getppid())
    decode.warm_up()  # what every worker holds does not count against the limit
    _limit_memory(limits["memory"])
    reading = ReadLimits(**limits["reading"])
    write_frame(answers, READY)
    with suppress(EOFError, BrokenPipeError):
        while True:
            task = read_frame(sys.stdin.buffer)
            _limit_time(limits["seconds"])
            for frame in _answer(task, reading):
                write_frame(answers, frame)


def _answer(task: Frame, reading: ReadLimits) -> Iterator[Frame]:
    item = Item(task.head["name"], Kind(task.head["kind"]))
    facts, data = ImageInfo.from_dict(task.head["facts"]), task.payload
    if item.kind is Kind.FILE:
        got = items.load_file(item, reading.max_bytes)
        if isinstance(got, Failure):
            yield _head(got)
            return
        data, facts = got
        yield Frame({"facts": asdict(facts)}, last=False)  # the hash is known, whatever follows
    seen = items.decode_item(item, data, facts, reading)
    crops = next(seen)
    if isinstance(crops, Failure):
        yield _head(crops)
        return
    order = {"facts": asdict(crops.facts), "order": crops.views.order}
    yield Frame(order, crops.views.crops.tobytes(), last=False)
    yield Frame({"facts": asdict(next(seen).facts)})


def _head(failure: Failure) -> Frame:
    told = {
        "stage": failure.stage.value,
        "error": failure.error,
        "message": failure.message,
        "status": failure.status.value,
    }
    return Frame({"facts": asdict(failure.facts), "failure": told})


def _limit_memory(megabytes: int) -> None:
    """Of what the worker holds beyond what it began with; systems without such limits have none."""
    with suppress(ImportError, OSError, ValueError):
        import resource

        held = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0]) * resource.getpagesize()
        _lower(resource.RLIMIT_AS, held + (megabytes << 20))


def _limit_time(seconds: float) -> None:
    """Ends a worker that spins and that no parent is left to end."""
    with suppress(ImportError, OSError, ValueError):
        import resource

        used = resource.getrusage(resource.RUSAGE_SELF)
        _lower(resource.RLIMIT_CPU, int(used.ru_utime + used.ru_stime + seconds) + _GRACE)


def _lower(which: int, limit: int) -> None:
    """Set a limit, within what the system allows at most."""
    import resource

    _, most = resource.getrlimit(which)
    resource.setrlimit(which, (limit if most == resource.RLIM_INFINITY else min(limit, most), most))


def _die_with(parent: int) -> None:
    """Ends a worker that waits for something else than its parent, which is gone."""

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(1)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
