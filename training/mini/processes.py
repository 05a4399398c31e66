"""Work on every window, spread over processes."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Sequence
from typing import TypeAlias, TypeVar

import torch
from tqdm import tqdm

from .corpus import Window

R = TypeVar("R")
Job: TypeAlias = Callable[[tuple[int, Window]], R]


def one_thread() -> None:
    """Worker set-up: processes share the cores, so each computes on one thread."""
    torch.set_num_threads(1)


def in_processes(job: Job[R], windows: Sequence[Window], workers: int, what: str) -> list[R]:
    """``job((index, window))`` of every window, in order, spread over processes, with a progress bar."""
    with multiprocessing.get_context("spawn").Pool(workers, initializer=one_thread) as pool:
        return list(tqdm(pool.imap(job, enumerate(windows), chunksize=8), total=len(windows), desc=what))
