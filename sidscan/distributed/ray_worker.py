"""What runs on each node of a Ray cluster: a process that scans shards, with its model loaded once."""

from __future__ import annotations

import os
import platform
import socket
import time
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from sidscan._version import __version__
from sidscan.distributed.place import parse_place
from sidscan.distributed.run_folder import RunFolder
from sidscan.distributed.shard import PublishedShard, ShardScanner
from sidscan.errors import ExitCode, RecordInUse, SidscanError
from sidscan.isolation.confinement import can_confine
from sidscan.models.origins import Bundled
from sidscan.models.store import Store

SECONDS_TO_END = 5.0
"""For a worker that was killed; its shard is locked until then."""
_PAUSE = 0.1  # seconds between looks at that lock


class Readiness(NamedTuple):
    """What a worker says before it gets work.

    Attributes:
        asks_for_token: whether its node refuses whoever has no token.
    """

    host: str
    process: int
    sidscan_version: str
    asks_for_token: bool


class NodeFacts(NamedTuple):
    """What a node has for scans.

    Attributes:
        models: the models that are installed; those that come with sidscan are not among them.
        asks_for_token: as `Readiness` has it.
        confines_readers: whether the system keeps readers from the network and from other processes.
    """

    host: str
    sidscan_version: str
    python: str
    models: tuple[str, ...]
    asks_for_token: bool
    confines_readers: bool


def describe_node() -> NodeFacts:
    """What the node has that this runs on."""
    store = Store()
    pulled = (name for name, entry in store.catalog.items() if not isinstance(entry.origin, Bundled))
    models = tuple(name for name in pulled if store.is_there(name))
    return NodeFacts(
        socket.gethostname(),
        __version__,
        platform.python_version(),
        models,
        _asks_for_token(),
        can_confine(),
    )


def _asks_for_token() -> bool:
    return os.environ.get("RAY_AUTH_MODE") == "token"


class Outcome(NamedTuple):
    """What came of a shard.

    Attributes:
        error: what is wrong; empty if the shard has results.
        exit_code: of the error.
        first: whether these results were published, and not those of a worker that was faster.
        in_use: whether another process of this machine has the shard under way.
    """

    error: str = ""
    remedy: str = ""
    exit_code: int = 0
    first: bool = False
    in_use: bool = False


class ShardWorker:
    """Scans one shard at a time; a second thread answers how far it is.

    Args:
        run: where the run lies (`place.absolute_location`).
        plan: the number of the plan whose shards it scans.
        folder: the folder from which relative names start.
        scratch: as for `ShardScanner`.
        first_core, cores: which of the machine's processors it uses: Ray hands them out, but keeps nobody to
            them.
        batch, retry_failed: as for `ShardScanner`.
    """

    def __init__(
        self,
        run: str,
        plan: int,
        folder: str,
        scratch: str | None,
        first_core: int,
        cores: int,
        batch: int | None,
        retry_failed: bool = False,
    ) -> None:
        with suppress(OSError):  # names may all be absolute
            os.chdir(folder)
        self._cores = _cores_of_machine()[first_core : first_core + cores]
        place = parse_place(run)
        self._arguments = (place, Path(scratch) if scratch else None, cores, batch, plan, retry_failed)
        self._scanner: ShardScanner | None = None
        self._done: tuple[int, int] = (-1, 0)

    def ready(self) -> Readiness:
        """Answer as soon as the process runs."""
        return Readiness(socket.gethostname(), os.getpid(), __version__, _asks_for_token())

    def results_under_way(self, number: int) -> int:
        """As `ShardScanner.results_under_way`; 0 if that can't be said."""
        try:
            return self._opened().results_under_way(number)
        except SidscanError:  # `scan` says what is wrong
            return 0

    def scan(self, number: int) -> Outcome:
        """Scan a shard and publish its results; what is wrong is part of the answer."""
        if self._cores:  # of this thread, and of those and the processes that it starts
            os.sched_setaffinity(0, self._cores)
        self._done = (number, 0)
        try:
            published = self._scan_when_free(number)
        except RecordInUse as error:
            return Outcome(error.message, error.remedy, int(error.exit_code), in_use=True)
        except SidscanError as error:
            return Outcome(error.message, error.remedy, int(error.exit_code))
        except MemoryError:
            return Outcome(
                "there is not enough memory",
                "Give each worker more of it, or use fewer --workers.",
                int(ExitCode.RUNTIME),
            )
        return Outcome(first=published.first)

    def _scan_when_free(self, number: int) -> PublishedShard:
        """Scan as soon as nobody else has the shard: a worker that was killed may take a moment to end.

        Raises:
            RecordInUse: somebody has it for longer.
        """
        scanner = self._opened()
        until = time.monotonic() + SECONDS_TO_END
        while not scanner.is_free(number) and time.monotonic() < until:
            time.sleep(_PAUSE)
        return scanner.scan(number, lambda done, _: self._note(number, done))

    def _opened(self) -> ShardScanner:
        if self._scanner is None:
            run, scratch, workers, batch, plan, retry_failed = self._arguments
            self._scanner = ShardScanner(RunFolder(run), scratch, workers, batch, plan, retry_failed)
        return self._scanner

    def _note(self, number: int, done: int) -> None:
        self._done = (number, done)

    def progress(self) -> tuple[int, int]:
        """The shard under way (-1 before the first), and how many of its inputs are done."""
        return self._done


def _cores_of_machine() -> list[int]:
    """The processors that this process may use; empty where the system can't keep it to some of them."""
    return sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_setaffinity") else []
