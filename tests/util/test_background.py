"""An iterator that another thread runs: order, limits, errors, and an end that waits for nobody."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from sidscan.util.background import Background


def numbers(gate: threading.Event, taken: list[int]) -> Iterator[int]:
    for number in range(10):
        if number == 5:
            gate.wait()
        taken.append(number)
        yield number


def test_items_are_there_as_soon_as_they_come_and_in_their_order() -> None:
    gate = threading.Event()
    background = Background(numbers(gate, []), most=100)
    each = background.each(tick=0.01)
    assert [next(each) for _ in range(5)] == [0, 1, 2, 3, 4]
    assert next(each) is None, "a while without one"
    gate.set()
    assert [item for item in each if item is not None] == [5, 6, 7, 8, 9]


def test_what_was_found_is_taken_at_once_and_the_last_part_says_so() -> None:
    gate = threading.Event()
    background = Background(numbers(gate, []), most=100)
    found: list[int] = []
    while len(found) < 5:
        background.changed().result(timeout=20)
        items, is_all = background.take()
        assert not is_all
        found += items
    waiting = background.changed()
    assert not waiting.done()
    gate.set()
    waiting.result(timeout=20)
    background.join(20)
    assert background.take() == ([5, 6, 7, 8, 9], True)
    assert background.changed().done()


def test_the_thread_pauses_while_many_items_wait() -> None:
    gate, taken = threading.Event(), list[int]()
    gate.set()
    background = Background(numbers(gate, taken), most=3)
    while len(background) < 3:
        background.join(0.01)
    background.join(0.1)
    assert taken == [0, 1, 2]
    assert [item for item in background.each(tick=20) if item is not None] == list(range(10))


def test_an_error_comes_after_the_items_before_it() -> None:
    def items() -> Iterator[int]:
        yield 1
        raise ValueError("bad")

    background = Background(items(), most=100)
    background.join(20)
    assert background.take() == ([1], False)
    with pytest.raises(ValueError, match="bad"):
        background.take()


def test_the_end_closes_the_generator_in_its_thread() -> None:
    ended: list[str] = []

    def items() -> Iterator[int]:
        try:
            while True:
                yield 1
        finally:
            ended.append(threading.current_thread().name)

    background = Background(items(), most=3)
    background.stop()
    background.join(20)
    assert ended == ["sidscan-reader-background"]
