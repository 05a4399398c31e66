"""Threads of this process, in one stage or two; results come in the order of the tasks.

Decoding and computing release Python's lock, so threads use every core. Only the thread that asks for results
sees the tasks, and what lies between the stages: a database's connection, say, belongs to it alone.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import closing
from typing import Any, Generic, TypeVar

_Task = TypeVar("T")
_Result = TypeVar("R")
_Job = TypeVar("J")
_Output = TypeVar("S")
READER_THREAD_PREFIX = "sidscan-reader"
TASKS_AHEAD = 2  # tasks in flight per worker: enough to keep it busy, few enough to bound memory


def available_cores() -> int:
    """Cores that this process may use, where the system tells; there may be more."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


class OrderedMap(Generic[_Task, _Result]):
    """A function of tasks, computed by threads; at most ``ahead * workers`` tasks are in flight or untaken.

    Closed early, it does not wait for tasks in flight.
    """

    def __init__(
        self,
        function: Callable[[_Task], _Result],
        tasks: Iterable[_Task],
        workers: int | None = None,
        ahead: int = TASKS_AHEAD,
    ) -> None:
        workers = workers or available_cores()
        self._function, self._tasks, self._most = function, iter(tasks), ahead * workers
        self._pool = ThreadPoolExecutor(workers, thread_name_prefix=READER_THREAD_PREFIX)
        self._window: deque[Future[_Result]] = deque()

    def first(self) -> Future[_Result] | None:
        """What comes next, computed or not; None when nothing does."""
        while len(self._window) < self._most:
            try:
                task = next(self._tasks)
            except StopIteration:
                break
            self._window.append(self._pool.submit(self._function, task))
        return self._window[0] if self._window else None

    def take(self) -> _Result:
        """The result that comes next, once it is there; there must be one."""
        return self._window.popleft().result()

    def close(self) -> None:
        """Give up what was not begun."""
        self._pool.shutdown(wait=False, cancel_futures=True)


def map_ordered(
    function: Callable[[_Task], _Result],
    tasks: Iterable[_Task],
    workers: int | None = None,
    ahead: int = TASKS_AHEAD,
) -> Iterator[_Result]:
    """Results in the order of the tasks; at most ``ahead * workers`` tasks are in flight or untaken."""
    with closing(OrderedMap(function, tasks, workers, ahead)) as results:
        while results.first() is not None:
            yield results.take()


def map_batches(
    results: OrderedMap[Any, _Result],
    weigh: Callable[[_Result], int],
    enough: int,
    begin: Callable[[list[_Result]], _Job],
    function: Callable[[_Job], _Output],
    at_once: int,
) -> Iterator[_Output]:
    """A second stage: ``function(begin(batch))`` of batches of results, ``at_once`` of them under way.

    Each is yielded as soon as it is there, and not when the next batch is full, which may take its time.
    While the consumer has it, others that were begun are computed. The first batch holds one result, so that
    the second stage begins early, and later ones up to twice as much as the one before. What is in a batch
    never depends on time: what is computed from it may, in the last digits, depend on its size.

    Args:
        weigh: how much of a batch a result takes.
        enough: a batch is full when it weighs so much, the first few ones sooner.
        begin: called in the consumer's thread; ``function`` is called in threads of its own.
    """
    pool = ThreadPoolExecutor(at_once, thread_name_prefix="sidscan-batch")
    under_way: deque[Future[_Output]] = deque()
    batch: list[_Result] = []
    weight, wanted = 0, 1
    try:
        while True:
            coming = results.first()
            ready = bool(batch) and (coming is None or weight >= min(wanted, enough))
            if ready and len(under_way) < at_once:
                under_way.append(pool.submit(function, begin(batch)))
                batch, weight, wanted = [], 0, 2 * weight
            elif under_way and (ready or coming is None or _first_is_done(under_way[0], coming)):
                yield under_way.popleft().result()
            elif coming is not None:
                batch.append(results.take())
                weight += weigh(batch[-1])
            else:
                return
    finally:
        pool.shutdown(wait=False, cancel_futures=True)


def _first_is_done(one: Future[Any], other: Future[Any]) -> bool:
    """Wait for either; whether the first is there."""
    wait((one, other), return_when=FIRST_COMPLETED)
    return one.done()
