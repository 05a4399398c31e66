"""Iterate in another thread: what takes long to find is used as it comes, and nobody waits for it."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, wait
from typing import Generic, TypeVar

from sidscan.util.threads import READER_THREAD_PREFIX

_Item = TypeVar("_Item")
_NAME = f"{READER_THREAD_PREFIX}-background"  # so that a command does not wait for it either


class Background(Generic[_Item]):
    """What an iterator gives, while a thread of its own runs it. One other thread takes that.

    Args:
        items: from now on nobody else iterates over it. A generator is closed in the thread.
        most: how many items may wait to be taken; the thread pauses then.
    """

    def __init__(self, items: Iterator[_Item], most: int) -> None:
        self._items, self._most = items, most
        self._found: deque[_Item] = deque()
        self._error: BaseException | None = None
        self._has_ended = self._is_stopped = False
        self._room, self._is_paused = threading.Condition(), False
        self._lock = threading.Lock()
        self._signal: Future[None] | None = None  # somebody waits for it
        self._thread = threading.Thread(target=self._run, name=_NAME, daemon=True)
        self._thread.start()

    def __len__(self) -> int:
        """How many items wait to be taken."""
        return len(self._found)

    def take(self) -> tuple[list[_Item], bool]:
        """What was found since the last time, and whether that was all.

        Raises:
            BaseException: what the iterator raised, after all that it gave before was taken.
        """
        has_ended = self._has_ended  # before the items: what ended adds none
        items = [self._found.popleft() for _ in range(len(self._found))]
        self._make_room()
        if has_ended and self._error is not None and not items:
            raise self._error
        return items, has_ended and self._error is None

    def each(self, tick: float) -> Iterator[_Item | None]:
        """Item by item; None whenever none came for ``tick`` seconds.

        Raises:
            BaseException: what the iterator raised.
        """
        while True:
            has_ended = self._has_ended
            while self._found:
                yield self._found.popleft()
                self._make_room()
            if has_ended and self._error is not None:
                raise self._error
            if has_ended:
                return
            wait((self.changed(),), timeout=tick)
            if not self._found:
                yield None

    def changed(self) -> Future[None]:
        """Done as soon as an item waits to be taken, or nothing more comes."""
        signal = Future[None]()
        with self._lock:
            self._signal = signal
        if self._found or self._has_ended:
            self._notify()
        return signal

    def stop(self) -> None:
        """End the iteration at its next item."""
        self._is_stopped = True
        with self._room:
            self._room.notify()

    def join(self, seconds: float) -> None:
        """Wait for the end, but no longer than that."""
        self._thread.join(seconds)

    def _make_room(self) -> None:
        if self._is_paused and len(self._found) <= self._most // 2:
            with self._room:
                self._room.notify()

    def _notify(self) -> None:
        with self._lock:  # both threads come here
            signal, self._signal = self._signal, None
        if signal is not None:
            signal.set_result(None)

    def _run(self) -> None:
        try:
            for item in self._items:
                self._found.append(item)
                if self._signal is not None:
                    self._notify()
                if len(self._found) >= self._most:
                    self._wait_for_room()
                if self._is_stopped:
                    break
            if (close := getattr(self._items, "close", None)) is not None:
                close()
        except BaseException as error:
            self._error = error
        self._has_ended = True
        self._notify()

    def _wait_for_room(self) -> None:
        with self._room:
            self._is_paused = True
            while len(self._found) > self._most // 2 and not self._is_stopped:
                self._room.wait()
            self._is_paused = False
