"""Run a task on every window, spread over processes."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Sequence
from typing import TypeAlias, TypeVar

import torch

from sidscan.util.progress import track

from .corpus import Window

Item = TypeVar("Item")
TaskResult = TypeVar("TaskResult")
WindowTask: TypeAlias = Callable[[tuple[int, Window]], TaskResult]
"""(index, window) -> result."""


def _use_one_thread() -> None:
    """Worker set-up: the processes share the cores, so each computes on one thread."""
    torch.set_num_threads(1)


def map_windows(
    task: Callable[[tuple[int, Item]], TaskResult], windows: Sequence[Item], workers: int, title: str
) -> list[TaskResult]:
    """``task((index, window))`` for every window, or whatever there is, in order, with a progress bar."""
    with multiprocessing.get_context("spawn").Pool(workers, initializer=_use_one_thread) as pool:
        results = pool.imap(task, enumerate(windows), chunksize=8)
        return list(track(results, len(windows), "window", title=title))
