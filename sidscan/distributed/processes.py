"""Scan shards of a run in several processes of this machine, one per GPU for example.

A shard whose process dies or hangs goes back into the queue, and another process takes it.
"""

from __future__ import annotations

import json
import os
import queue
import signal
import subprocess
import threading
from collections import Counter, deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from sidscan.distributed.run_folder import Plan, RunFolder
from sidscan.errors import ExitCode, OutputError, SidscanError
from sidscan.isolation.processes import describe_exit, python_command
from sidscan.runtimes.accelerators import count_cuda_devices
from sidscan.util.threads import available_cores

_MODULE = "sidscan.distributed.shard_process"
_SILENT = 600.0  # seconds without a new row, after which a process hangs
_CLOSING = 10.0  # seconds that a process has to end
_MOST_LOST = 4  # processes in a row that a shard may lose without a new row
_DEVICES = "CUDA_VISIBLE_DEVICES"

Show = Callable[[int, int], object]
"""Called with a shard's number and how many of its inputs are done; in any thread, one call at a time."""


@dataclass(frozen=True, slots=True)
class MachineOptions:
    """What a run leaves to each command; as `ShardScanner` has it."""

    scratch: Path | None = None
    workers: int | None = None
    batch: int | None = None
    retry_failed: bool = False


def processes_for(run: RunFolder) -> int:
    """How many processes make the most of this machine: one per GPU, or one where a CPU computes."""
    return 1 if run.options["device"] == "cpu" else max(1, count_cuda_devices())


def scan_in_processes(
    run: RunFolder, plan: Plan, shards: Sequence[int], count: int, options: MachineOptions, show: Show
) -> None:
    """Scan shards of a plan in ``count`` processes, each with its part of the cores and GPUs.

    Raises:
        SidscanError: a process can't scan a shard, or several processes were lost over one.
    """
    silent = max(_SILENT, 4 * float(run.options["item_timeout"]))
    work = _Work(shards, show)
    processes = [_ShardProcess(run.location, plan, options, number, count, silent) for number in range(count)]
    threads = [threading.Thread(target=work.do, args=(each,), daemon=True) for each in processes]
    try:
        for thread in threads:
            thread.start()
        for thread in threads:
            while thread.is_alive():
                thread.join(0.2)  # in parts, so that Ctrl-C ends it
    finally:
        for process in processes:
            process.close()
    if work.error is not None:
        raise work.error


class _Lost(Exception):
    """A process ended, or was ended, before its shard was done."""


class _ShardProcess:
    """One process; it starts when it is needed, and again after it was lost."""

    def __init__(
        self, run: str, plan: Plan, options: MachineOptions, number: int, count: int, silent: float
    ) -> None:
        arguments = {
            "run": run,
            "plan": plan.number,
            "retry_failed": options.retry_failed,
            "scratch": options.scratch and os.fspath(options.scratch),
            "workers": options.workers,
            "batch": options.batch,
            "cores": _cores(number, count),
        }
        self._command = python_command(_MODULE, json.dumps(arguments))
        self._environment = _environment(number)
        self._silent = silent
        self._lock = threading.Lock()
        self._running: subprocess.Popen[str] | None = None
        self._lines: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        self._closed = False

    def scan(self, shard: int, show: Callable[[int], object]) -> None:
        """Have a shard scanned.

        Raises:
            _Lost: the process ended, or hung and was ended.
            SidscanError: it says why it can't.
        """
        process = self._process()
        try:
            assert process.stdin is not None
            process.stdin.write(f"{shard}\n")
            process.stdin.flush()
        except (OSError, ValueError) as error:
            raise self._lost(process) from error
        while True:
            answer = self._answer(process)
            if "error" in answer:
                message, remedy, code = answer["error"]
                raise _error(message, remedy, code)
            if "published" in answer:
                return
            show(answer["done"])

    def _process(self) -> subprocess.Popen[str]:
        with self._lock:
            if self._closed:
                raise KeyboardInterrupt
            if self._running is None:
                self._lines = queue.SimpleQueue()
                with _interrupts_held():
                    self._running = subprocess.Popen(  # noqa: S603
                        self._command,
                        stdin=subprocess.PIPE,
                        stdout=subprocess.PIPE,
                        encoding="utf-8",
                        env=self._environment,
                    )
                threading.Thread(target=_read_lines, args=(self._running, self._lines), daemon=True).start()
            return self._running

    def _answer(self, process: subprocess.Popen[str]) -> Mapping[str, Any]:
        try:
            line = self._lines.get(timeout=self._silent)
            return cast(Mapping[str, Any], json.loads(line)) if line else self._raise_lost(process)
        except queue.Empty:
            process.kill()
            raise self._lost(process, f"did nothing for {self._silent:g} s") from None

    def _raise_lost(self, process: subprocess.Popen[str]) -> Mapping[str, Any]:
        raise self._lost(process)

    def _lost(self, process: subprocess.Popen[str], why: str = "") -> _Lost:
        with self._lock:
            self._running = None
        _end(process)
        return _Lost(why or describe_exit(process.returncode or 0))

    def close(self) -> None:
        """End the process; what it has under way stays in its local journal."""
        with self._lock:
            self._closed = True
            process, self._running = self._running, None
        if process is not None:
            _end(process)


class _Work:
    """The shards that are left, and what became of the others."""

    def __init__(self, shards: Sequence[int], show: Show) -> None:
        self.error: BaseException | None = None
        self._waiting, self._under_way = deque(shards), set[int]()
        self._done, self._lost = dict[int, int](), Counter[int]()
        self._show = show
        self._changed = threading.Condition()

    def do(self, process: _ShardProcess) -> None:
        """Have shards scanned by a process, until none is left."""
        while (shard := self._take()) is not None:
            try:
                process.scan(shard, lambda done, shard=shard: self._progress(shard, done))  # type: ignore[misc]
            except _Lost as lost:
                self._put_back(shard, str(lost))
            except BaseException as error:
                self._end(shard, error)
            else:
                self._end(shard)

    def _take(self) -> int | None:
        """The next shard; waits while one that is under way may come back."""
        with self._changed:
            while self.error is None:
                if self._waiting:
                    shard = self._waiting.popleft()
                    self._under_way.add(shard)
                    return shard
                if not self._under_way:
                    return None
                self._changed.wait()
        return None

    def _progress(self, shard: int, done: int) -> None:
        with self._changed:
            self._done[shard] = done
            self._lost[shard] = 0
            self._show(shard, done)

    def _put_back(self, shard: int, why: str) -> None:
        with self._changed:
            self._lost[shard] += 1
            self._under_way.discard(shard)
            self._waiting.append(shard)
            if self._lost[shard] >= _MOST_LOST:
                message = f"shard {shard} lost {_MOST_LOST} processes in a row; the last one {why}"
                self.error = self.error or OutputError(
                    message, "Run it alone with --shard to see why; all other results are kept."
                )
            self._changed.notify_all()

    def _end(self, shard: int, error: BaseException | None = None) -> None:
        with self._changed:
            self._under_way.discard(shard)
            self.error = self.error or error
            self._changed.notify_all()


@contextmanager
def _interrupts_held() -> Iterator[None]:
    """A process that starts meanwhile gets Ctrl-C once it asks for it: Python would print it at the start."""
    if not hasattr(signal, "pthread_sigmask"):  # Windows
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _read_lines(process: subprocess.Popen[str], lines: queue.SimpleQueue[str | None]) -> None:
    assert process.stdout is not None
    with suppress(OSError, ValueError):
        for line in process.stdout:
            lines.put(line)
    lines.put(None)


def _end(process: subprocess.Popen[str]) -> None:
    """Ask a process to end, by closing its standard input; end it if it does not."""
    with suppress(OSError):
        assert process.stdin is not None
        process.stdin.close()
    try:
        process.wait(_CLOSING)
    except subprocess.TimeoutExpired:
        process.kill()
        with suppress(subprocess.TimeoutExpired):
            process.wait(_CLOSING)


def _error(message: str, remedy: str, code: int) -> SidscanError:
    error = SidscanError(message, remedy)
    error.exit_code = ExitCode(code)
    return error


def _cores(number: int, count: int) -> list[int]:
    """The cores of one of several processes; none where it may use all."""
    if count == 1 or not hasattr(os, "sched_getaffinity") or available_cores() < count:
        return []
    return sorted(os.sched_getaffinity(0))[number::count]


def _environment(number: int) -> dict[str, str]:
    """The environment of one of several processes, which sees one GPU."""
    named = os.environ.get(_DEVICES)
    devices = named.split(",") if named else [str(index) for index in range(count_cuda_devices())]
    return {**os.environ, _DEVICES: devices[number % len(devices)]} if devices else dict(os.environ)
