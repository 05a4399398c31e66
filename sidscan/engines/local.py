"""Threads of this process. Decoding releases Python's lock, so threads use every core."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")
READER_THREADS = "sidscan-reader"
AHEAD = 2  # tasks in flight per worker: enough to keep it busy, few enough to bound memory


def map_ordered(
    function: Callable[[T], R], tasks: Iterable[T], workers: int | None = None, ahead: int = AHEAD
) -> Iterator[R]:
    """Results in the order of the tasks; at most ``ahead * workers`` tasks are in flight or untaken."""
    workers = workers or os.cpu_count() or 1
    pool = ThreadPoolExecutor(workers, thread_name_prefix=READER_THREADS)
    window: deque[Future[R]] = deque()
    try:
        for task in tasks:
            window.append(pool.submit(function, task))
            if len(window) >= ahead * workers:
                yield window.popleft().result()
        while window:
            yield window.popleft().result()
        pool.shutdown()
    finally:  # a consumer that stopped early does not wait for tasks in flight
        pool.shutdown(wait=False, cancel_futures=True)
