"""Two stages: results in order, back-pressure, no needless delay, and an end without waiting."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import closing
from typing import Any

import pytest

from sidscan.util.threads import OrderedMap, map_batches, map_ordered

LONG = 20.0  # seconds; longer than any test here takes


def until(condition: Callable[[], bool]) -> None:
    """Wait for a condition that must become true."""
    end = time.monotonic() + LONG
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.001)


def batches(
    results: OrderedMap[Any, int], function: Callable[[list[int]], Any] = list, **options: Any
) -> Any:
    """`map_batches` with batches of up to four results."""
    settings: dict[str, Any] = {"weigh": lambda _: 1, "enough": 4, "begin": list, "at_once": 2, **options}
    return map_batches(results, function=function, **settings)


def test_results_come_in_order_and_tasks_start_within_the_window() -> None:
    taken: list[int] = []

    def tasks() -> Iterator[int]:
        for number in range(50):
            taken.append(number)
            yield number

    def slow(number: int) -> int:
        time.sleep(0.001 * (number % 3))
        return number

    for count, result in enumerate(map_ordered(slow, tasks(), 2), 1):
        assert result == count - 1
        assert len(taken) <= count - 1 + 4
    assert len(taken) == 50


@pytest.mark.parametrize(
    ("weights", "expected"),
    [
        ([1] * 14, [1, 2, 4, 4, 3]),
        ([3, 1, 1, 1], [1, 3]),
        ([9, 3, 1, 1], [1, 2, 1]),
        ([2, 1, 2, 1, 1, 1], [1, 3, 2]),
        ([], []),
    ],
    ids=str,
)
def test_a_batch_is_passed_on_once_it_weighs_enough(weights: list[int], expected: list[int]) -> None:
    with closing(OrderedMap(lambda n: n, weights, 2)) as results:
        assert [len(batch) for batch in batches(results, weigh=lambda n: n)] == expected


def test_batches_come_in_order_whichever_is_ready_first() -> None:
    def slow(batch: list[int]) -> list[int]:
        time.sleep(0.03 if len(batch) % 2 or batch[0] % 8 == 3 else 0)
        return batch

    with closing(OrderedMap(lambda n: n, range(100), 3)) as results:
        assert [n for batch in batches(results, slow, at_once=3) for n in batch] == list(range(100))


def test_a_batch_is_yielded_while_the_next_result_is_awaited() -> None:
    go = threading.Event()

    def read(number: int) -> int:
        if number == 3:
            assert go.wait(LONG)
        return number

    with closing(OrderedMap(read, range(5), 2)) as results:
        outputs = batches(results)
        assert [next(outputs), next(outputs)] == [[0], [1, 2]], "although the fourth is missing"
        go.set()
        assert list(outputs) == [[3, 4]]


def test_as_many_batches_as_allowed_are_computed_together() -> None:
    began: list[int] = []

    def function(batch: list[int]) -> list[int]:
        began.append(batch[0])
        if batch[0] == 0:
            until(lambda: 1 in began)
            time.sleep(0.05)
        return batch

    with (
        closing(OrderedMap(lambda n: n, range(40), 2)) as results,
        closing(batches(results, function)) as outputs,
    ):
        assert next(outputs) == [0]
        assert began == [0, 1], "the second began before the first had ended, the third did not"


def test_begin_runs_in_the_thread_that_asks_for_results() -> None:
    threads: set[int] = set()

    def begin(batch: list[int]) -> list[int]:
        threads.add(threading.get_ident())
        return batch

    def tasks() -> Iterator[int]:
        threads.add(threading.get_ident())
        yield from range(20)

    with closing(OrderedMap(lambda n: n, tasks(), 2)) as results:
        assert len(list(batches(results, begin=begin))) == 7
    assert threads == {threading.get_ident()}


def test_an_error_of_a_batch_is_raised_in_its_turn() -> None:
    def function(batch: list[int]) -> list[int]:
        if batch[0] == 1:
            raise MemoryError
        return batch

    with closing(OrderedMap(lambda n: n, range(40), 2)) as results:
        outputs = batches(results, function)
        assert next(outputs) == [0]
        with pytest.raises(MemoryError):
            next(outputs)


def test_stopping_early_neither_waits_nor_starts_anything() -> None:
    go, done = threading.Event(), list[int]()

    def function(batch: list[int]) -> list[int]:
        if batch[0]:
            go.wait(LONG)
        done.append(batch[0])
        return batch

    with closing(OrderedMap(lambda n: n, range(1000), 2)) as results:
        outputs = batches(results, function, at_once=1)
        next(outputs)
        started = time.monotonic()
        outputs.close()
    assert time.monotonic() - started < LONG / 4
    go.set()
    assert len(done) <= 2


def test_results_are_given_out_while_more_tasks_are_waited_for() -> None:
    tasks, ended = deque([1]), threading.Event()
    signals: list[Future[None]] = []
    given: list[list[int]] = []

    def more() -> Future[None] | None:
        if tasks or ended.is_set():
            return None
        signals.append(Future())
        return signals[-1]

    def each() -> Iterator[int]:
        while tasks:
            yield tasks.popleft()

    def go_on() -> None:
        until(lambda: bool(signals) and not signals[-1].done())
        if len(given) == 1:
            tasks.extend([2, 3])
        else:
            ended.set()
        signals[-1].set_result(None)

    with closing(OrderedMap(lambda task: task, each(), 2, more=more)) as results:
        for batch in batches(results):
            given.append(batch)
            signals.clear()
            threading.Thread(target=go_on).start()
    assert given == [[1], [2, 3]]
