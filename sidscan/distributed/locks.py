"""Locks on a run, among the processes of one machine; the system releases them when a process ends."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from sidscan.distributed.run_folder import RunFolder
from sidscan.errors import OutputError


@contextmanager
def scanning(run: RunFolder) -> Iterator[None]:
    """Keep other processes from handing out the same shards meanwhile; they may plan and collect.

    Raises:
        OutputError: another one hands them out.
    """
    refused = OutputError(
        f"another process scans the shards of {run.location}",
        "Wait for it to end. `sidscan collect --partial` reports what is there meanwhile.",
    )
    with _locked(run.ledger_path.with_suffix(".lock"), refused):
        yield


@contextmanager
def planning(run: RunFolder) -> Iterator[None]:
    """Keep other processes from planning and purging meanwhile: a plan counts on slices that are there.

    Raises:
        OutputError: another one plans or purges.
    """
    refused = OutputError(
        f"another process plans or purges {run.location}", "Wait for it to end, and run it again."
    )
    with _locked(run.ledger_path.with_suffix(".plan.lock"), refused):
        yield


@contextmanager
def _locked(path: Path, refused: OutputError) -> Iterator[None]:
    """Hold a lock; what happens meanwhile is no matter of the lock's errors."""
    with closing(_lock(path, refused)):
        yield


def _lock(path: Path, refused: OutputError) -> sqlite3.Connection:
    try:
        lock = sqlite3.connect(path, timeout=0)
        try:
            lock.execute("BEGIN EXCLUSIVE")
        except BaseException:
            lock.close()
            raise
    except sqlite3.Error as error:
        if "locked" in str(error):
            raise refused from error
        raise OutputError(
            f"can't lock {path}: {error}",
            "Is the folder read-only, or the disk full? A damaged lock can be removed.",
        ) from error
    return lock
