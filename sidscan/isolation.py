"""Reading in processes of their own: a picture that hangs or kills its decoder costs its own row alone.

The parent opens no picture: a worker process opens, hashes and decodes it and reads its metadata, under a
wall-clock deadline and, where the system has such a thing, a memory limit. Bytes of URLs are fetched by the
parent, which keeps their hosts' limits, and handed to the worker.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from sidscan import readers
from sidscan.config import ScanConfig
from sidscan.engines.processes import Frame, Lost, Processes, read, write
from sidscan.models.detectors import SIDE
from sidscan.readers.fetch import Fetcher
from sidscan.records import Facts, Failure, Item, Kind, Sample, Stage, Status, Views

_MODULE = "sidscan.isolation"
_GRACE = 5  # seconds of processor time beyond the deadline, should no parent be left to end a worker


class Isolated:
    """Item -> Sample | Failure, by worker processes; called from any number of threads.

    Args:
        fetcher: gets what URLs name.
    """

    def __init__(self, config: ScanConfig, fetcher: Fetcher) -> None:
        self._config, self._fetcher = config, fetcher
        self._processes = Processes(_MODULE, str(config.memory_limit), str(config.item_timeout))

    def __call__(self, item: Item) -> Sample | Failure:
        facts, data = Facts(), b""
        if item.kind is Kind.URL:
            got = readers.obtain(item, self._config, self._fetcher)
            if isinstance(got, Failure):
                return got
            data, facts = got
        return self._ask(item, facts, data)

    def close(self) -> None:
        """End the workers."""
        self._processes.close()

    def _ask(self, item: Item, facts: Facts, data: bytes) -> Sample | Failure:
        config = self._config
        task = {
            "name": item.name,
            "kind": item.kind.value,
            "facts": asdict(facts),
            "crops": config.crops,
            "max_bytes": config.max_bytes,
        }
        stage = Stage.DECODE if item.kind is Kind.URL else Stage.READ
        try:
            for frame in self._processes.ask(Frame(task, data), config.item_timeout):
                facts, stage = Facts.from_tree(frame.head["facts"]), Stage.DECODE
                if frame.last:
                    return _result(item, facts, frame)
        except Lost as lost:
            return _of_lost(item, stage, facts, lost, config)
        except (AttributeError, KeyError, TypeError, ValueError):
            pass
        return _crashed(item, stage, facts, "the worker process gave an answer that makes no sense")


def _result(item: Item, facts: Facts, frame: Frame) -> Sample | Failure:
    failure = frame.head.get("failure")
    if failure:
        return Failure(
            item,
            Stage(failure["stage"]),
            str(failure["error"]),
            str(failure["message"]),
            facts,
            Status(failure["status"]),
        )
    crops = np.frombuffer(frame.payload, np.uint8).reshape(-1, SIDE, SIDE, 3)
    order = tuple(int(place) for place in frame.head["order"])
    if not order or not set(order) == set(range(len(crops))):
        raise ValueError("order")
    return Sample(item, facts, Views(crops, order))


def _of_lost(item: Item, stage: Stage, facts: Facts, lost: Lost, config: ScanConfig) -> Failure:
    if lost.late:
        message = f"not read after {config.item_timeout:g} s; raise the limit with --item-timeout"
        return Failure(item, stage, "Timeout", message, facts, Status.TIMEOUT)
    return _crashed(item, stage, facts, f"the process that read it {_ended(lost.code)}")


def _crashed(item: Item, stage: Stage, facts: Facts, message: str) -> Failure:
    return Failure(item, stage, "Crashed", message, facts, Status.CRASHED)


def _ended(code: int) -> str:
    if code < 0:
        with suppress(ValueError):
            return f"was ended by {signal.Signals(-code).name}"
    return f"ended with exit status {code}"


def main() -> None:
    """A worker, with memory (MiB) and time (s) as arguments: answers tasks until standard input ends."""
    megabytes, seconds = int(sys.argv[1]), float(sys.argv[2])
    # What a library prints must not land between frames.
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the parent, which ends its workers
    _die_with(os.getppid())
    _limit_memory(megabytes)
    with suppress(EOFError, BrokenPipeError):
        while True:
            task = read(sys.stdin.buffer)
            _limit_time(seconds)
            _answer(task, answers)


def _answer(task: Frame, answers: BinaryIO) -> None:
    head = task.head
    item = Item(head["name"], Kind(head["kind"]))
    facts, data = Facts.from_tree(head["facts"]), task.payload
    if item.kind is Kind.FILE:
        got = readers.load(item, head["max_bytes"])
        if isinstance(got, Failure):
            write(answers, Frame({"facts": asdict(got.facts), "failure": _told(got)}))
            return
        data, facts = got
        write(answers, Frame({"facts": asdict(facts)}, last=False))  # the hash is known, whatever follows
    seen = readers.look(item, data, facts, head["crops"])
    if isinstance(seen, Failure):
        write(answers, Frame({"facts": asdict(seen.facts), "failure": _told(seen)}))
        return
    order = {"facts": asdict(seen.facts), "order": seen.views.order}
    write(answers, Frame(order, seen.views.crops.tobytes()))


def _told(failure: Failure) -> dict[str, Any]:
    return {
        "stage": failure.stage.value,
        "error": failure.error,
        "message": failure.message,
        "status": failure.status.value,
    }


def _limit_memory(megabytes: int) -> None:
    """Of what the worker holds beyond what it began with; systems without such limits have none."""
    with suppress(ImportError, OSError, ValueError):
        import resource

        held = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (held + (megabytes << 20), resource.RLIM_INFINITY))


def _limit_time(seconds: float) -> None:
    """Ends a worker that spins and that no parent is left to end."""
    with suppress(ImportError, OSError, ValueError):
        import resource

        used = resource.getrusage(resource.RUSAGE_SELF)
        limit = int(used.ru_utime + used.ru_stime + seconds) + _GRACE
        resource.setrlimit(resource.RLIMIT_CPU, (limit, resource.RLIM_INFINITY))


def _die_with(parent: int) -> None:
    """Ends a worker that waits for something else than its parent, which is gone."""

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(1)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
