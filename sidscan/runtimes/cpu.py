"""A batch on a CPU: parts of it, each computed by one thread."""

from __future__ import annotations

import ctypes
import math
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from sidscan.records import CropRef
from sidscan.util.threads import available_cores

CPU_BATCH = 40  # crops; the first results of a small archive should not wait long for it
CPU_BATCHES_AT_ONCE = (
    2  # batches: the parts of the second one take the cores that the last parts of the first leave
)
_PART = 10  # crops, those of one image: more exceed the caches, fewer cost more overhead

# malloc.h's M_ARENA_MAX, M_MMAP_THRESHOLD (32 MiB is glibc's greatest) and M_TRIM_THRESHOLD.
_MALLOC = {-8: 1, -3: 32 << 20, -1: 256 << 20}

_Logits = NDArray[np.float32]


class CpuPool:
    """A thread per core.

    Threads that meet at the end of every operation wait for the slowest, which costs most where readers or
    other programs share the cores. So each part has one thread.
    """

    def __init__(self) -> None:
        keep_memory()
        self.cores = available_cores()
        self._pool = ThreadPoolExecutor(self.cores, thread_name_prefix="sidscan-scorer")
        self._submitted: set[Future[_Logits]] = set()
        self._lock = threading.Lock()

    def compute(self, compute: Callable[[Sequence[CropRef]], _Logits], refs: Sequence[CropRef]) -> _Logits:
        """Logits (crops, columns) of all crops, which ``compute`` gets in parts; called from any thread."""
        with self._lock:
            parts = [self._pool.submit(compute, part) for part in _parts(refs, self.cores)]
            self._submitted.update(parts)
        try:
            return np.concatenate([part.result() for part in parts])
        finally:
            with self._lock:
                self._submitted.difference_update(parts)

    def abandon(self) -> None:
        """Cancel the parts that are not being computed yet."""
        with self._lock:
            for part in self._submitted:
                part.cancel()


def keep_memory() -> bool:
    """Make glibc keep freed memory, in the whole process.

    Otherwise it gives the megabytes of an operation's result back to the system, and gets them again, page by
    page, for the next: a quarter of the bundled encoder's time. Thread arenas keep nothing, hence one arena.

    Returns:
        whether the C library is glibc and accepted it; with another one nothing changes.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):  # another C library, or none that can be asked
        return False
    taken = [mallopt(parameter, value) == 1 for parameter, value in _MALLOC.items()]
    return all(taken)


def _parts(refs: Sequence[CropRef], cores: int) -> list[Sequence[CropRef]]:
    """Of nearly equal size, and as many as keep all cores busy to the end."""
    rounds = math.ceil(len(refs) / _PART / cores)
    count = min(rounds * cores, len(refs))
    bounds = [len(refs) * number // count for number in range(count + 1)]
    return [refs[start:end] for start, end in pairwise(bounds)]
