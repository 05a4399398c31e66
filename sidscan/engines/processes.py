"""Processes that may hang or die: each does one task at a time, under a deadline, and is replaced when lost.

Tasks and answers travel over pipes as frames, a JSON head and raw bytes. Nothing is unpickled: a process that
a malicious file has taken over can lie, in this answer and in later ones, but run nothing here.
"""

from __future__ import annotations

import json
import os
import struct
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, BinaryIO, cast

_LENGTHS = struct.Struct(">IQ")  # bytes of a frame's head and of its payload
_LONGEST_HEAD = 1 << 26  # bytes
_LONGEST_PAYLOAD = 1 << 31


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


class Lost(Exception):
    """The process ended before its answer did.

    Attributes:
        late: it was killed because its time was up.
        code: exit status; negative for a signal.
    """

    def __init__(self, late: bool, code: int) -> None:
        super().__init__("late" if late else f"ended with {code}")
        self.late, self.code = late, code


def write(file: BinaryIO, frame: Frame) -> None:
    """Send a frame."""
    head = json.dumps({"head": frame.head, "last": frame.last}).encode()
    file.write(_LENGTHS.pack(len(head), len(frame.payload)) + head)
    file.write(frame.payload)
    file.flush()


def read(file: BinaryIO) -> Frame:
    """The next frame.

    Raises:
        EOFError: there is none, or not all of it.
        ValueError: it is none.
    """
    of_head, of_payload = _LENGTHS.unpack(_exactly(file, _LENGTHS.size))
    if of_head > _LONGEST_HEAD or of_payload > _LONGEST_PAYLOAD:
        raise ValueError("a frame of impossible length")
    whole = json.loads(_exactly(file, of_head))
    return Frame(whole["head"], _exactly(file, of_payload), whole["last"])


def _exactly(file: BinaryIO, count: int) -> bytes:
    data = file.read(count)
    if len(data) < count:
        raise EOFError
    return data


class _Deadline:
    """Kills a process when its time is up, unless it is told before that it is over."""

    def __init__(self, process: subprocess.Popen[bytes], seconds: float) -> None:
        self._process = process
        self._lock = threading.Lock()
        self._over = self._late = False
        self._timer = threading.Timer(seconds, self._stop)
        self._timer.daemon = True
        self._timer.start()

    def over(self) -> bool:
        """Call it off; whether it was too late for that."""
        with self._lock:
            self._over = True
        self._timer.cancel()
        return self._late

    def _stop(self) -> None:
        with self._lock:
            if not self._over:
                self._late = True
                self._process.kill()


class Process:
    """A process for one thread; it starts with its first task, and again after it was lost.

    Args:
        command: program and arguments; it reads frames from standard input and answers on standard output.
    """

    def __init__(self, command: Sequence[str]) -> None:
        self._command = tuple(command)
        self._running: subprocess.Popen[bytes] | None = None

    def ask(self, task: Frame, seconds: float) -> Iterator[Frame]:
        """The frames of the answer, as they come.

        Raises:
            Lost: the process died, or took longer than ``seconds`` and was killed.
        """
        running = self._alive()
        to, answers = cast(BinaryIO, running.stdin), cast(BinaryIO, running.stdout)
        limit, answered = _Deadline(running, seconds), False
        try:
            write(to, task)
            while not (frame := read(answers)).last:
                yield frame
            answered = True
        except (EOFError, OSError, ValueError, KeyError, TypeError, RecursionError) as error:
            running.kill()
            raise Lost(limit.over(), running.wait()) from error
        finally:
            if limit.over() or not answered:  # the rest of an answer must not be taken for the next one
                self.close()
        yield frame

    def close(self) -> None:
        """End the process, whatever it does."""
        running, self._running = self._running, None
        if running is not None:
            running.kill()
            running.wait()
            for pipe in (running.stdin, running.stdout):
                with suppress(OSError):  # what was not read any more
                    if pipe is not None:
                        pipe.close()

    def _alive(self) -> subprocess.Popen[bytes]:
        if self._running is None or self._running.poll() is not None:
            self.close()
            self._running = subprocess.Popen(  # noqa: S603
                self._command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                env=os.environ | _ALONE,
            )
        return self._running


# A process is one of many: threads of its libraries would fight over the cores, and with one arena malloc's
# address space, which limits are counted in, depends on what it does alone. What a task freed serves the next
# one: given back to the system and faulted in again, a large picture's memory costs half of its decoding.
_ALONE = {
    "OPENBLAS_NUM_THREADS": "1",
    "OMP_NUM_THREADS": "1",
    "MALLOC_ARENA_MAX": "1",
    "MALLOC_MMAP_THRESHOLD_": str(32 << 20),  # bytes; Pillow's blocks have 16 MiB
    "MALLOC_TRIM_THRESHOLD_": str(128 << 20),
}
# Python would look for modules in the current folder first, which may be the archive that is scanned.
_START = "import sys; sys.path[:] = sys.argv.pop(1).split('\\n'); from {} import main; main()"


class Processes:
    """One process per thread that asks.

    Args:
        module: its ``main`` answers; it is imported from where this process imports.
        arguments: what follows in its ``sys.argv``.
    """

    def __init__(self, module: str, *arguments: str) -> None:
        self._command = (sys.executable, "-c", _START.format(module), "\n".join(sys.path), *arguments)
        self._own = threading.local()
        self._all: list[Process] = []
        self._closed = False
        self._lock = threading.Lock()

    def ask(self, task: Frame, seconds: float) -> Iterator[Frame]:
        """As `Process.ask`, of this thread's process."""
        process: Process | None = getattr(self._own, "process", None)
        with self._lock:
            if self._closed:
                raise Lost(late=False, code=0)
            if process is None:
                process = self._own.process = Process(self._command)
                self._all.append(process)
        return process.ask(task, seconds)

    def renew(self) -> None:
        """End this thread's process: the next task gets a fresh one."""
        process: Process | None = getattr(self._own, "process", None)
        if process is not None:
            process.close()

    def close(self) -> None:
        """End all processes; a thread that still waits for one gets `Lost`."""
        with self._lock:
            self._closed = True
        for process in self._all:
            process.close()
