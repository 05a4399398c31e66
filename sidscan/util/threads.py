"""Run functions in threads, in one stage or two; results come in the order of the tasks.

Decoding and computing release Python's lock, so threads use every core. Only the consumer's thread iterates
over the tasks and runs what lies between the stages, so a database connection can belong to it alone.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import closing
from itertools import islice
from typing import Any, Generic, TypeVar

_Task = TypeVar("_Task")
_Result = TypeVar("_Result")
_Job = TypeVar("_Job")
_Output = TypeVar("_Output")
READER_THREAD_PREFIX = "sidscan-reader"
TASKS_AHEAD = 2  # tasks in flight per worker: enough to keep it busy, few enough to bound memory


def available_cores() -> int:
    """Number of cores that this process may use; of all cores, where the system does not say which."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _always() -> None:
    """A task can be taken."""


class OrderedMap(Generic[_Task, _Result]):
    """Results of a function, in the order of its tasks, computed by threads.

    At most ``ahead * workers`` tasks are in flight or wait to be taken. `close` does not wait for tasks in
    flight.

    Args:
        more: asked before a task is taken: None if there is one, or none at all, else a future that is done
            when it is worth asking again.
    """

    def __init__(
        self,
        function: Callable[[_Task], _Result],
        tasks: Iterable[_Task],
        workers: int | None = None,
        ahead: int = TASKS_AHEAD,
        more: Callable[[], Future[None] | None] = _always,
    ) -> None:
        workers = workers or available_cores()
        self._more = more
        self._until_more: Future[None] | None = None
        self._function, self._tasks, self._max_pending = function, iter(tasks), ahead * workers
        self._pool = ThreadPoolExecutor(workers, thread_name_prefix=READER_THREAD_PREFIX)
        self._window: deque[Future[_Result]] = deque()

    def peek(self) -> Future[_Result] | None:
        """The next result, computed or not; None after the last one, or while none is there (`waiting`)."""
        self._until_more = self._more()
        while self._until_more is None and len(self._window) < self._max_pending:
            try:
                task = next(self._tasks)
            except StopIteration:
                break
            self._window.append(self._pool.submit(self._function, task))
            self._until_more = self._more()
        return self._window[0] if self._window else None

    def pop(self) -> _Result:
        """Wait for the next result and take it; there must be one."""
        return self._window.popleft().result()

    def waiting(self) -> Future[None] | None:
        """What to wait for until there may be another task, as of the last `peek`; None if nothing."""
        return self._until_more if len(self._window) < self._max_pending else None

    def close(self) -> None:
        """Cancel the tasks that have not begun."""
        self._pool.shutdown(wait=False, cancel_futures=True)


def map_ordered(
    function: Callable[[_Task], _Result],
    tasks: Iterable[_Task],
    workers: int | None = None,
    ahead: int = TASKS_AHEAD,
) -> Generator[_Result, None, None]:
    """Results in the order of the tasks; at most ``ahead * workers`` are in flight or wait to be taken.

    Who may stop before the last one closes it, else its threads stay until it is collected.
    """
    with closing(OrderedMap(function, tasks, workers, ahead)) as results:
        while results.peek() is not None:
            yield results.pop()


def map_batches(
    results: OrderedMap[_Task, _Result],
    weigh: Callable[[_Result], int],
    enough: int,
    begin: Callable[[list[_Result]], _Job],
    function: Callable[[_Job], _Output],
    at_once: int,
) -> Iterator[_Output]:
    """A second stage: yield ``function(begin(batch))`` for batches of results, ``at_once`` of them in flight.

    Each output is yielded as soon as it is ready; it does not wait until the next batch is full. While the
    consumer works on it, the other batches in flight are computed. The first batch holds one result, so that
    the second stage starts early. Each later batch weighs up to twice as much as the one before. Time never
    decides what a batch holds, since the size of a batch may change the last digits of what is computed.

    Args:
        weigh: the weight of a result.
        enough: weight at which a batch is full; the first few batches are full sooner.
        begin: called in the consumer's thread; ``function`` is called in threads of its own.
    """
    pool = ThreadPoolExecutor(at_once, thread_name_prefix="sidscan-batch")
    in_flight: deque[Future[_Output]] = deque()
    batch: list[_Result] = []
    weight, target = 0, 1
    try:
        while True:
            upcoming, waiting = results.peek(), results.waiting()
            is_last = upcoming is None and waiting is None
            ready = bool(batch) and (is_last or weight >= min(target, enough))
            if ready and len(in_flight) < at_once:
                in_flight.append(pool.submit(function, begin(batch)))
                batch, weight, target = [], 0, 2 * weight
            elif in_flight and (ready or is_last or in_flight[0].done()):
                yield in_flight.popleft().result()
            elif is_last:
                return
            elif upcoming is not None and upcoming.done():
                batch.append(results.pop())
                weight += weigh(batch[-1])
            else:
                first: Iterator[Future[Any] | None] = islice(in_flight, 1)
                futures = [each for each in (*first, upcoming, waiting) if each is not None]
                wait(futures, return_when=FIRST_COMPLETED)
    finally:
        pool.shutdown(wait=False, cancel_futures=True)
