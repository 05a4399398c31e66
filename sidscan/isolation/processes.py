"""Processes that may hang or die: each does one task at a time, under a deadline, and is replaced when lost.

Tasks and answers travel over pipes (`sidscan.isolation.protocol`). A process says when it is ready, so that
its start takes nothing of its first task's time.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import weakref
from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import BinaryIO, cast

from sidscan.isolation.deadlines import Deadline
from sidscan.isolation.frames import READY, Frame, ProtocolError, read_frame, write_frame

_PIPE_BYTES = 1 << 20  # five crops are 753 KB, and without root Linux gives no more than this
_START_SECONDS = 60.0  # for a process to become ready
_END_SECONDS = 5.0  # for a process to end; one that waits for a dead disk can't even be killed

# A process is one of many: threads of its libraries would fight over the cores, and with one arena malloc's
# address space, which limits are counted in, depends only on what the process does. Memory that a task freed
# serves the next one: if it were given back to the system and faulted in again, that would take half as long
# as decoding a large image.
WORKER_ENVIRONMENT = {
    "OPENBLAS_NUM_THREADS": "1",
    "OMP_NUM_THREADS": "1",
    "MALLOC_ARENA_MAX": "1",
    "MALLOC_MMAP_THRESHOLD_": str(32 << 20),  # bytes; Pillow's blocks have 16 MiB
    "MALLOC_TRIM_THRESHOLD_": str(128 << 20),
}
_INHERITED_PREFIXES = (
    *("PATH", "PYTHON", "LD_", "DYLD_", "LANG", "LC_"),
    *("SYSTEMROOT", "TMP", "TEMP", "COVERAGE_"),
)
# Python would look for modules in the current folder first, which may be the archive that is scanned.
_START_CODE = "import sys; sys.path[:] = sys.argv.pop(1).split('\\n'); from {} import main; main()"


def python_command(module: str, *arguments: str) -> tuple[str, ...]:
    """What runs the ``main`` of a module in a process, with modules from where this process imports them."""
    return (sys.executable, "-c", _START_CODE.format(module), "\n".join(sys.path), *arguments)


class ProcessLost(Exception):
    """The process ended before its answer did.

    Attributes:
        timed_out: it was killed because its time was up.
        code: exit status; negative for a signal.
    """

    def __init__(self, timed_out: bool, code: int) -> None:
        super().__init__("timed out" if timed_out else f"ended with {code}")
        self.timed_out, self.code = timed_out, code


class ProcessNotStarted(Exception):
    """No process could be started; the message says why."""


class PoolClosed(ProcessNotStarted):
    """The pool starts no more processes."""

    def __init__(self) -> None:
        super().__init__("the scan is over")


def describe_exit(code: int) -> str:
    """What an exit status means, e.g. ``was ended by SIGKILL``."""
    if code < 0:
        with suppress(ValueError):
            return f"was ended by {signal.Signals(-code).name}"
    return f"ended with exit status {code}"


class WorkerProcess:
    """A process for one thread; it starts when it is needed, and again after it was lost.

    Args:
        command: program and arguments. The program sends `READY`, then reads frames from standard input and
            answers on standard output.
        max_payload: bytes of an answer's payload.
    """

    def __init__(self, command: Sequence[str], max_payload: int) -> None:
        self._command, self._max_payload = tuple(command), max_payload
        self._lock = threading.Lock()
        self._running: subprocess.Popen[bytes] | None = None
        self._is_ready = False
        self._is_asked = False  # a request is under way
        self._closed = False

    @property
    def command(self) -> tuple[str, ...]:
        """Program and arguments."""
        return self._command

    @property
    def is_idle(self) -> bool:
        """Whether it runs, and waits for a task."""
        process = self._running
        return process is not None and self._is_ready and not self._is_asked and process.poll() is None

    def launch(self) -> None:
        """Start the process without waiting until it is ready; `start` does that.

        Raises:
            ProcessNotStarted, PoolClosed: as `start`.
        """
        self._open()

    def start(self) -> None:
        """Start the process and wait until it is ready, unless it runs already.

        Raises:
            ProcessNotStarted: the system can't start one, or it ended at once.
            PoolClosed: `close` was called.
        """
        process = self._running
        if process is None or process.poll() is not None:
            self.stop()
            process = self._open()
        elif self._is_ready:
            return
        deadline = self._set_deadline(process, _START_SECONDS)
        try:
            if read_frame(cast(BinaryIO, process.stdout), 0) != READY:
                raise ProtocolError("not ready")
        except (EOFError, OSError, ValueError) as error:  # ValueError: `close` closed the pipe meanwhile
            self.stop()
            timed_out = deadline.cancel()
            raise ProcessNotStarted(
                "it was not ready in time" if timed_out else "it ended at once"
            ) from error
        deadline.cancel()
        self._is_ready = True

    def request(self, task: Frame, seconds: float) -> Iterator[Frame]:
        """The frames of the answer, as they arrive; `start` must have been called.

        Raises:
            ProcessLost: the process died, sent something else than frames, or was killed after ``seconds``.
        """
        process = self._running
        if process is None:
            raise ProcessLost(timed_out=False, code=0)
        try:
            deadline = self._set_deadline(process, seconds)
        except ProcessNotStarted as error:
            raise ProcessLost(timed_out=False, code=0) from error
        complete, self._is_asked = False, True
        try:
            write_frame(cast(BinaryIO, process.stdin), task)
            while not (frame := read_frame(cast(BinaryIO, process.stdout), self._max_payload)).last:
                with deadline.held():  # whoever takes it may take their time
                    yield frame
            complete = True
        except (EOFError, OSError, ValueError) as error:
            process.kill()
            raise ProcessLost(deadline.cancel(), _wait_killed(process)) from error
        finally:
            if deadline.cancel() or not complete:  # the next task must not get the rest of this answer
                self.stop()
            self._is_asked = False
        yield frame

    def stop(self) -> None:
        """End the process, whatever it does; it may be started again."""
        with self._lock:
            process, self._running = self._running, None
        if process is not None:
            process.kill()
            _wait_killed(process)
            for pipe in (process.stdin, process.stdout):
                with suppress(OSError):  # the process did not read all of it
                    if pipe is not None:
                        pipe.close()

    def close(self) -> None:
        """End the process for good."""
        with self._lock:
            self._closed = True
        self.stop()

    def _open(self) -> subprocess.Popen[bytes]:
        with self._lock:
            if self._closed:
                raise PoolClosed
            self._is_ready = False
            try:
                process = self._running = subprocess.Popen(  # noqa: S603
                    self._command,
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.DEVNULL,
                    env=_worker_environment(),
                )
            except OSError as error:  # no memory, no process, no file handle
                raise ProcessNotStarted(error.strerror or str(error)) from error
        _enlarge_pipe(cast(BinaryIO, process.stdout))
        return process

    def _set_deadline(self, process: subprocess.Popen[bytes], seconds: float) -> Deadline:
        try:
            return Deadline(process, seconds)
        except RuntimeError as error:  # no thread
            self.stop()
            raise ProcessNotStarted(str(error)) from error


def _enlarge_pipe(pipe: BinaryIO) -> None:
    """Make an answer fit into the pipe, where the system can, so that its writer need not wait."""
    with suppress(ImportError, AttributeError, OSError):
        import fcntl

        fcntl.fcntl(pipe, fcntl.F_SETPIPE_SZ, _PIPE_BYTES)


def _wait_killed(process: subprocess.Popen[bytes]) -> int:
    """The exit status of a process that was killed."""
    try:
        return process.wait(_END_SECONDS)
    except subprocess.TimeoutExpired:  # it is left behind, and the scan goes on
        return -signal.SIGTERM


def _worker_environment() -> dict[str, str]:
    """The part of the environment that a process needs, without tokens and passwords that it may hold."""
    inherited = {
        name: value for name, value in os.environ.items() if name.upper().startswith(_INHERITED_PREFIXES)
    }
    return inherited | WORKER_ENVIRONMENT


class IdleProcesses:
    """Processes that wait between two pools of the same arguments: starting one costs half a second.

    They end with this object.
    """

    def __init__(self) -> None:
        self._processes: list[WorkerProcess] = []
        self._lock = threading.Lock()
        weakref.finalize(self, _close_all, self._processes)

    def take(self, command: Sequence[str]) -> WorkerProcess | None:
        """One that runs a command, if there is one."""
        with self._lock:
            for process in self._processes:
                if process.command == command and process.is_idle:
                    self._processes.remove(process)
                    return process
        return None

    def put(self, process: WorkerProcess) -> None:
        """Keep a process that waits for a task; one that is lost, or still does a task, is ended."""
        if not process.is_idle:
            process.close()
            return
        with self._lock:
            self._processes.append(process)

    def close(self) -> None:
        """End the processes."""
        with self._lock:
            _close_all(self._processes)


def _close_all(processes: list[WorkerProcess]) -> None:
    while processes:
        processes.pop().close()


class WorkerPool:
    """One process for each thread that asks.

    Args:
        module: its ``main`` answers tasks; it is imported from where this process imports.
        arguments: what follows in its ``sys.argv``.
        max_payload: bytes of an answer's payload.
        launched: a process for the thread that asks first; the pool closes it.
        idle: where further processes come from, and where `release` puts all of them.
    """

    def __init__(
        self,
        module: str,
        *arguments: str,
        max_payload: int,
        launched: WorkerProcess | None = None,
        idle: IdleProcesses | None = None,
    ) -> None:
        self._command = python_command(module, *arguments)
        self._max_payload = max_payload
        self._of_thread = threading.local()
        self._processes: list[WorkerProcess] = [] if launched is None else [launched]
        self._launched, self._idle = launched, idle
        self._closed = False
        self._lock = threading.Lock()

    def start(self) -> None:
        """As `WorkerProcess.start`, for this thread's process."""
        with self._lock:
            if self._closed:
                raise PoolClosed
            if not hasattr(self._of_thread, "process"):
                self._of_thread.process = self._next_process()
        self._current().start()

    def request(self, task: Frame, seconds: float) -> Iterator[Frame]:
        """As `WorkerProcess.request`, of this thread's process."""
        return self._current().request(task, seconds)

    def discard(self) -> None:
        """End this thread's process, so that the next one is fresh."""
        self._current().stop()

    def close(self) -> None:
        """End all processes; a thread that still waits for one gets `ProcessLost`."""
        with self._lock:
            self._closed = True
        for process in self._processes:
            process.close()

    def release(self) -> None:
        """Leave the processes to the next pool, but end those that still do a task."""
        if self._idle is None:
            return
        with self._lock:
            self._closed = True
            while self._processes:
                self._idle.put(self._processes.pop())

    def launch(self) -> WorkerProcess:
        """A process that gets ready in the meantime, for a pool of the same arguments.

        Raises:
            ProcessNotStarted: the system can't start one.
        """
        if self._idle is not None and (process := self._idle.take(self._command)):
            return process
        process = WorkerProcess(self._command, self._max_payload)
        process.launch()
        return process

    def _next_process(self) -> WorkerProcess:
        launched, self._launched = self._launched, None
        if launched is not None and launched.command == self._command:
            return launched
        process = self._idle.take(self._command) if self._idle is not None else None
        process = process or WorkerProcess(self._command, self._max_payload)
        self._processes.append(process)
        return process

    def _current(self) -> WorkerProcess:
        return cast(WorkerProcess, self._of_thread.process)
