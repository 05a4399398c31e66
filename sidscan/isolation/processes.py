"""Processes that may hang or die: each does one task at a time, under a deadline, and is replaced when lost.

Tasks and answers travel over pipes as frames, a JSON head and raw bytes. Nothing is unpickled: a process that
a malicious file has taken over can lie, in this answer and in later ones, but run nothing here. A process
says when it is ready, so that its start takes nothing of its first task's time.
"""

from __future__ import annotations

import json
import os
import signal
import struct
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, BinaryIO, cast

from sidscan.isolation.deadlines import Deadline

_LENGTHS = struct.Struct(">IQ")  # bytes of a frame's head and of its payload
_MAX_HEAD_BYTES = 1 << 24  # bytes of an answer's
_PIPE_BYTES = 1 << 20  # bytes; five crops are 753 KB, and Linux gives no more than this unasked
_START_SECONDS = 60.0  # seconds
_END_SECONDS = 5.0  # seconds; what waits for a dead disk can't even be killed


@dataclass(frozen=True, slots=True)
class Frame:
    """One message.

    Attributes:
        head: JSON.
        payload: raw bytes.
        last: whether the answer ends with it.
    """

    head: dict[str, Any]
    payload: bytes = b""
    last: bool = True


class ProcessLost(Exception):
    """The process ended before its answer did.

    Attributes:
        late: it was killed because its time was up.
        code: exit status; negative for a signal.
    """

    def __init__(self, late: bool, code: int) -> None:
        super().__init__("late" if late else f"ended with {code}")
        self.late, self.code = late, code


READY = Frame({"ready": True})


class ProcessNotStarted(Exception):
    """There is no process; its message says why."""


class PoolClosed(ProcessNotStarted):
    """There will be none any more."""

    def __init__(self) -> None:
        super().__init__("the scan is over")


def write_frame(file: BinaryIO, frame: Frame) -> None:
    """Send a frame."""
    head = json.dumps({"head": frame.head, "last": frame.last}).encode()
    file.write(_LENGTHS.pack(len(head), len(frame.payload)) + head)
    file.write(frame.payload)
    file.flush()


def read_frame(file: BinaryIO, longest: int | None = None) -> Frame:
    """The next frame.

    Args:
        longest: bytes of a payload that are believed; None believes all, for what one's own parent sends.

    Raises:
        EOFError: there is none, or not all of it.
        ValueError: it is none.
    """
    of_head, of_payload = _LENGTHS.unpack(_read_exactly(file, _LENGTHS.size))
    if longest is not None and (of_head > _MAX_HEAD_BYTES or of_payload > longest):
        raise ValueError("a frame of impossible length")
    whole = json.loads(_read_exactly(file, of_head), parse_constant=_refuse_constant)
    return Frame(whole["head"], _read_exactly(file, of_payload), whole["last"])


def _refuse_constant(text: str) -> None:
    raise ValueError(f"{text} is no JSON")


def _read_exactly(file: BinaryIO, count: int) -> bytes:
    data = file.read(count)
    if len(data) < count:
        raise EOFError
    return data


class WorkerProcess:
    """A process for one thread; it starts when it is needed, and again after it was lost.

    Args:
        command: program and arguments; it says that it is `READY` and then reads frames from standard input
            and answers on standard output.
        longest_answer: bytes of a payload.
    """

    def __init__(self, command: Sequence[str], longest_answer: int) -> None:
        self._command, self._longest = tuple(command), longest_answer
        self._lock = threading.Lock()
        self._running: subprocess.Popen[bytes] | None = None
        self._ended = False

    def start(self) -> None:
        """Have a process that is ready.

        Raises:
            NotStarted: the system has none to give, or it ended at once.
            Closed: this is over.
        """
        if self._running is not None and self._running.poll() is None:
            return
        self.close()
        with self._lock:
            if self._ended:
                raise PoolClosed
            try:
                running = self._running = subprocess.Popen(  # noqa: S603
                    self._command,
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.DEVNULL,
                    env=_worker_environment(),
                )
            except OSError as error:  # no memory, no process, no file handle
                raise ProcessNotStarted(error.strerror or str(error)) from error
        _enlarge_pipe(cast(BinaryIO, running.stdout))
        limit = self._limited(running, _START_SECONDS)
        try:
            if not read_frame(cast(BinaryIO, running.stdout), 0).head["ready"]:
                raise ValueError("something else")
        except (EOFError, OSError, ValueError, KeyError, TypeError, RecursionError) as error:
            self.close()
            late = limit.over()
            raise ProcessNotStarted("it was not ready in time" if late else "it ended at once") from error
        limit.over()

    def ask(self, task: Frame, seconds: float) -> Iterator[Frame]:
        """The frames of the answer, as they come; to be asked of a process that was started.

        Raises:
            Lost: the process died, or took longer than ``seconds`` and was killed.
        """
        running = self._running
        if running is None:
            raise ProcessLost(late=False, code=0)
        to, answers = cast(BinaryIO, running.stdin), cast(BinaryIO, running.stdout)
        try:
            limit = self._limited(running, seconds)
        except ProcessNotStarted as error:
            raise ProcessLost(late=False, code=0) from error
        answered = False
        try:
            write_frame(to, task)
            while not (frame := read_frame(answers, self._longest)).last:
                yield frame
            answered = True
        except (EOFError, OSError, ValueError, KeyError, TypeError, RecursionError) as error:
            running.kill()
            raise ProcessLost(limit.over(), _wait_killed(running)) from error
        finally:
            if limit.over() or not answered:  # the rest of an answer must not be taken for the next one
                self.close()
        yield frame

    def _limited(self, running: subprocess.Popen[bytes], seconds: float) -> Deadline:
        try:
            return Deadline(running, seconds)
        except RuntimeError as error:  # no thread
            self.close()
            raise ProcessNotStarted(str(error)) from error

    def close(self) -> None:
        """End the process, whatever it does; it may be started again."""
        with self._lock:
            running, self._running = self._running, None
        if running is not None:
            running.kill()
            _wait_killed(running)
            for pipe in (running.stdin, running.stdout):
                with suppress(OSError):  # what was not read any more
                    if pipe is not None:
                        pipe.close()

    def end(self) -> None:
        """End the process for good."""
        with self._lock:
            self._ended = True
        self.close()


def _enlarge_pipe(pipe: BinaryIO) -> None:
    """Have an answer fit into the pipe, where the system lets it: its writer need not wait for its reader."""
    with suppress(ImportError, AttributeError, OSError):
        import fcntl

        fcntl.fcntl(pipe, fcntl.F_SETPIPE_SZ, _PIPE_BYTES)


def _wait_killed(process: subprocess.Popen[bytes]) -> int:
    """The exit status of a process that was killed."""
    try:
        return process.wait(_END_SECONDS)
    except subprocess.TimeoutExpired:  # it is left behind: the scan goes on
        return -signal.SIGTERM


def _worker_environment() -> dict[str, str]:
    """What a process needs of the environment; not the tokens and passwords that may stand there."""
    kept = {name: value for name, value in os.environ.items() if name.upper().startswith(_INHERITED_PREFIXES)}
    return kept | WORKER_ENVIRONMENT


# A process is one of many: threads of its libraries would fight over the cores, and with one arena malloc's
# address space, which limits are counted in, depends on what it does alone. What a task freed serves the next
# one: given back to the system and faulted in again, a large picture's memory costs half of its decoding.
WORKER_ENVIRONMENT = {
    "OPENBLAS_NUM_THREADS": "1",
    "OMP_NUM_THREADS": "1",
    "MALLOC_ARENA_MAX": "1",
    "MALLOC_MMAP_THRESHOLD_": str(32 << 20),  # bytes; Pillow's blocks have 16 MiB
    "MALLOC_TRIM_THRESHOLD_": str(128 << 20),
}
_INHERITED_PREFIXES = (
    "PATH",
    "PYTHON",
    "LD_",
    "DYLD_",
    "LANG",
    "LC_",
    "SYSTEMROOT",
    "TMP",
    "TEMP",
    "COVERAGE_",
)
# Python would look for modules in the current folder first, which may be the archive that is scanned.
_START_CODE = "import sys; sys.path[:] = sys.argv.pop(1).split('\\n'); from {} import main; main()"


class WorkerPool:
    """One process per thread that asks.

    Args:
        module: its ``main`` answers; it is imported from where this process imports.
        arguments: what follows in its ``sys.argv``.
        longest_answer: bytes of a payload.
    """

    def __init__(self, module: str, *arguments: str, longest_answer: int) -> None:
        self._command = (sys.executable, "-c", _START_CODE.format(module), "\n".join(sys.path), *arguments)
        self._longest = longest_answer
        self._own = threading.local()
        self._all: list[WorkerProcess] = []
        self._closed = False
        self._lock = threading.Lock()

    def start(self) -> None:
        """As `Process.start`, of this thread's process."""
        with self._lock:
            if self._closed:
                raise PoolClosed
            if not hasattr(self._own, "process"):
                self._own.process = WorkerProcess(self._command, self._longest)
                self._all.append(self._own.process)
        self._mine().start()

    def ask(self, task: Frame, seconds: float) -> Iterator[Frame]:
        """As `Process.ask`, of this thread's process."""
        return self._mine().ask(task, seconds)

    def renew(self) -> None:
        """End this thread's process: the next one is fresh."""
        self._mine().close()

    def close(self) -> None:
        """End all processes; a thread that still waits for one gets `Lost`."""
        with self._lock:
            self._closed = True
        for process in self._all:
            process.end()

    def _mine(self) -> WorkerProcess:
        return cast(WorkerProcess, self._own.process)
