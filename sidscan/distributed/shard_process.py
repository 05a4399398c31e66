"""A process that scans shards of a run on one machine, as `processes` asks it to.

It reads numbers of shards from standard input, one per line, and writes lines of JSON to standard output. It
ends when standard input does: whoever started it is gone then.
"""

from __future__ import annotations

import json
import os
import queue
import signal
import sys
import threading
from pathlib import Path
from typing import Any, TextIO

from sidscan.distributed.place import parse_place
from sidscan.distributed.run_folder import RunFolder
from sidscan.distributed.shard import ShardScanner
from sidscan.errors import ExitCode, SidscanError, was_interrupted


def main() -> None:
    """Scan shards until standard input ends."""
    options = json.loads(sys.argv[1])
    if cores := options["cores"]:
        os.sched_setaffinity(0, cores)
    signal.signal(signal.SIGTERM, _interrupt)
    # What libraries print must not stand among our lines.
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    scratch = options["scratch"]
    asked: queue.SimpleQueue[int | None] = queue.SimpleQueue()
    over = threading.Event()
    threading.Thread(target=_listen, args=(asked, over), daemon=True).start()
    try:
        if hasattr(signal, "pthread_sigmask"):  # it was held while this process started
            signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
        scanner = ShardScanner(
            RunFolder(parse_place(options["run"])),
            scratch and Path(scratch),
            options["workers"],
            options["batch"],
            options["plan"],
            options["retry_failed"],
        )
        while (number := asked.get()) is not None:
            _scan(scanner, number, answers, over)
    except SidscanError as error:
        _answer(answers, error=[error.message, error.remedy, int(error.exit_code)])
    except BaseException as error:
        if not was_interrupted(error):
            raise
        # Readers may hang, and the journal is closed.
        os._exit(ExitCode.INTERRUPTED)


def _interrupt(*_: object) -> None:
    raise KeyboardInterrupt


def _listen(asked: queue.SimpleQueue[int | None], over: threading.Event) -> None:
    for line in sys.stdin:
        asked.put(int(line))
    over.set()
    asked.put(None)


def _scan(scanner: ShardScanner, number: int, answers: TextIO, over: threading.Event) -> None:
    def show(done: int, _: int) -> None:
        if over.is_set():
            raise KeyboardInterrupt
        _answer(answers, done=done)

    scanner.scan(number, show)
    _answer(answers, published=number)


def _answer(answers: TextIO, **values: Any) -> None:
    try:
        answers.write(json.dumps(values) + "\n")
        answers.flush()
    except BrokenPipeError as error:
        raise KeyboardInterrupt from error
