"""Reading in processes of their own: a picture that hangs or kills its decoder costs its own row alone.

The parent opens no picture: a worker process opens, hashes and decodes it and then reads its metadata, under
a wall-clock deadline and, where the system has such a thing, a memory limit. Where metadata hang or kill it,
the picture is scored all the same, and flagged. Bytes of URLs are fetched by the
parent, which keeps their hosts' limits, and handed to the worker.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np

from sidscan import readers
from sidscan.config import Reading, ScanConfig
from sidscan.engines.processes import Frame, Lost, Processes, read, write
from sidscan.models.detectors import SIDE
from sidscan.readers import decode
from sidscan.readers.fetch import Fetcher
from sidscan.records import Facts, Failure, Item, Kind, Sample, Stage, Status, Views

_MODULE = "sidscan.isolation"
# What earlier pictures left in a worker, or a kill from outside, may strike a good picture.
_MAYBE_ANOTHERS = (Status.CRASHED, Status.MEMORY_LIMIT)
_NO_METADATA = "metadata_crashed"
_TRIES = 3
_INNOCENT = 0.1  # of a try
_KILLED = -9  # by SIGKILL, which Windows lacks
_SHORTEST = 1.0  # second; with less of the item's time left it is not tried again
_GRACE = 5  # seconds of processor time beyond the deadline, should no parent be left to end a worker


class Isolated:
    """Item -> Sample | Failure, by worker processes; called from any number of threads.

    Args:
        fetcher: gets what URLs name.
    """

    def __init__(self, config: ScanConfig, fetcher: Fetcher) -> None:
        self._config, self._fetcher = config, fetcher
        limits = {"memory": config.memory_limit, "seconds": config.item_timeout, "reading": config.reading()}
        self._processes = Processes(_MODULE, json.dumps(limits))

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
        """What a worker says; a fresh one is asked again where that may be the doing of something else."""
        started = time.monotonic()
        answer, tries = self._answer(item, facts, data, self._config.item_timeout)
        while tries < _TRIES:
            left = self._config.item_timeout - (time.monotonic() - started)
            if not _maybe_anothers(answer) or left < _SHORTEST:
                break
            self._processes.renew()
            again, tried = self._answer(item, facts, data, left)
            tries += tried
            if isinstance(again, Failure) and again.status is Status.TIMEOUT:  # of what was left of its time
                break
            if isinstance(again, Failure) and isinstance(answer, Sample):  # its crops are worth more
                continue
            answer = again
            if isinstance(answer, Failure) and answer.status is Status.MEMORY_LIMIT:  # a fresh worker says so
                break
        return answer

    def _answer(
        self, item: Item, facts: Facts, data: bytes, seconds: float
    ) -> tuple[Sample | Failure, float]:
        """What one worker says, and what share of a try that was."""
        told = _Told(item, facts)
        task = {"name": item.name, "kind": item.kind.value, "facts": asdict(facts)}
        try:
            for frame in self._processes.ask(Frame(task, data), seconds):
                told.take(frame)
                if frame.last:
                    return told.whole(), 1
        except Lost as lost:
            # Killed from outside before it had the picture, as while it started: not the picture's doing.
            innocent = not told.begun and not lost.late and lost.code == _KILLED
            return told.without_the_rest(lost, self._config.item_timeout), _INNOCENT if innocent else 1
        except (AttributeError, KeyError, TypeError, ValueError):
            pass
        return told.crashed("the worker process gave an answer that makes no sense"), 1


class _Told:
    """What a worker has said of an item so far: its hash, then its crops, then its EXIF.

    Attributes:
        begun: whether it has said anything.
    """

    def __init__(self, item: Item, facts: Facts) -> None:
        self._item, self._facts = item, facts
        self.begun = False
        self._views: Views | None = None
        self._failure: Failure | None = None

    def take(self, frame: Frame) -> None:
        """The next frame of the answer.

        Raises:
            AttributeError, KeyError, TypeError, ValueError: it makes no sense.
        """
        self._facts, self.begun = Facts.from_tree(frame.head["facts"]), True
        if failure := frame.head.get("failure"):
            self._failure = self._failed(
                Stage(failure["stage"]),
                str(failure["error"]),
                str(failure["message"]),
                Status(failure["status"]),
            )
        elif "order" in frame.head:
            self._views = _views(frame)

    def whole(self) -> Sample | Failure:
        """The result, after the last frame."""
        if self._failure is not None:
            return self._failure
        if self._views is None:
            raise ValueError("neither crops nor a failure")
        return Sample(self._item, self._facts, self._views)

    def without_the_rest(self, lost: Lost, seconds: float) -> Sample | Failure:
        """The result where the worker was lost; a picture whose crops are there is scored without EXIF."""
        if self._views is not None:
            flag = "metadata_timeout" if lost.late else _NO_METADATA
            facts = replace(self._facts, flags=(*self._facts.flags, flag))
            return Sample(self._item, facts, self._views)
        if lost.late:
            message = f"not read after {seconds:g} s; raise the limit with --item-timeout"
            return self._failed(self._stage(), "Timeout", message, Status.TIMEOUT)
        return self.crashed(f"the process that read it {_ended(lost.code)}")

    def crashed(self, message: str) -> Failure:
        """The result where the worker can't be believed, or is gone."""
        return self._failed(self._stage(), "Crashed", message, Status.CRASHED)

    def _failed(self, stage: Stage, error: str, message: str, status: Status) -> Failure:
        return Failure(self._item, stage, error, message, self._facts, status)

    def _stage(self) -> Stage:
        return Stage.READ if self._facts.sha256 is None else Stage.DECODE


def _maybe_anothers(answer: Sample | Failure) -> bool:
    """Whether another process, or an earlier picture, may have brought this about."""
    if isinstance(answer, Failure):
        return answer.status in _MAYBE_ANOTHERS
    return _NO_METADATA in answer.facts.flags


def _views(frame: Frame) -> Views:
    crops = np.frombuffer(frame.payload, np.uint8).reshape(-1, SIDE, SIDE, 3)
    order = tuple(int(place) for place in frame.head["order"])
    if not order or set(order) != set(range(len(crops))):
        raise ValueError("order")
    return Views(crops, order)


def _ended(code: int) -> str:
    if code < 0:
        with suppress(ValueError):
            return f"was ended by {signal.Signals(-code).name}"
    return f"ended with exit status {code}"


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
    reading = Reading(**limits["reading"])
    with suppress(EOFError, BrokenPipeError):
        while True:
            task = read(sys.stdin.buffer)
            _limit_time(limits["seconds"])
            for frame in _answer(task, reading):
                write(answers, frame)


def _answer(task: Frame, reading: Reading) -> Iterator[Frame]:
    item = Item(task.head["name"], Kind(task.head["kind"]))
    facts, data = Facts.from_tree(task.head["facts"]), task.payload
    if item.kind is Kind.FILE:
        got = readers.load(item, reading.max_bytes)
        if isinstance(got, Failure):
            yield _failed(got)
            return
        data, facts = got
    yield Frame({"facts": asdict(facts)}, last=False)  # the hash is known, whatever follows
    seen = readers.look(item, data, facts, reading)
    crops = next(seen)
    if isinstance(crops, Failure):
        yield _failed(crops)
        return
    order = {"facts": asdict(crops.facts), "order": crops.views.order}
    yield Frame(order, crops.views.crops.tobytes(), last=False)
    yield Frame({"facts": asdict(next(seen).facts)})


def _failed(failure: Failure) -> Frame:
    return Frame({"facts": asdict(failure.facts), "failure": _told(failure)})


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
