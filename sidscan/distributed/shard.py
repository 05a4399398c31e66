"""Scan one shard of a run, and publish its results once."""

from __future__ import annotations

import os
import sqlite3
import stat
import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path

from sidscan.distributed.attempts import Attempts
from sidscan.distributed.journals import PublishedJournal, check_journal
from sidscan.distributed.run_folder import Plan, RunFolder
from sidscan.distributed.settings import Scoring, config_of
from sidscan.distributed.slices import Slice
from sidscan.errors import NothingToScan, OutputError, SidscanError, UsageError
from sidscan.isolation.processes import IdleProcesses
from sidscan.journal.start import start_from
from sidscan.pipeline import Scan, open_scan
from sidscan.records import Counts, Item, Kind, ScanResult
from sidscan.runtimes import Runtime
from sidscan.util.files import real_path
from sidscan.util.member_names import split_member_name
from sidscan.util.threads import TASKS_AHEAD, available_cores

ENDED_THE_SCAN = "it ended the process of the scan twice, read alone; it is not tried again"
"""Why an image has no score that ends whatever computes it."""
_LOOKED_FOR = 10  # files of a shard, before it is begun

Progress = Callable[[int, int], object]
"""Called with the number of a shard's inputs that are done, and of all of them."""


@dataclass(frozen=True, slots=True)
class PublishedShard:
    """A shard that has its results in the run.

    Attributes:
        counts: how its inputs ended; None if it had them before and nothing was scanned.
        first: whether these results were published, and not those of another process that was faster.
        failed_again: whether what was tried again failed as before, so that there was nothing to publish.
    """

    number: int
    counts: Counts | None
    first: bool
    failed_again: bool = False


def scan_shard(run: RunFolder, number: int, progress: Progress | None = None) -> PublishedShard:
    """Scan one shard of a run's latest plan, unless it has results.

    Raises:
        SidscanError: it can't be scanned here, or its results can't be published.
    """
    return ShardScanner(run).scan(number, progress)


class ShardScanner:
    """Scans shards of a run one after the other; the model and the readers stay in between.

    Args:
        scratch: folder on a local disk for the journals of shards under way; None is the user's temporary
            folder.
        workers, batch: as `ScanConfig` has them, for this machine.
        plan: the number of the plan whose shards it scans; None for the latest one. Whoever hands out shards
            names it, since the run may be planned again meanwhile.
        retry_failed: whether to try again what failed in shards that have results.

    Raises:
        UsageError: there is no such plan.
    """

    def __init__(
        self,
        run: RunFolder,
        scratch: Path | None = None,
        workers: int | None = None,
        batch: int | None = None,
        plan: int | None = None,
        retry_failed: bool = False,
    ) -> None:
        self._run, self._retry_failed = run, retry_failed
        self._plan = run.current_plan() if plan is None else run.numbered_plan(plan)
        self._scratch, self._workers, self._batch = scratch, workers, batch
        self._runtime: Runtime | None = None
        self._idle = IdleProcesses()
        self._can_publish = False

    @property
    def plan(self) -> Plan:
        """The plan whose shards it scans."""
        return self._plan

    def scan(self, number: int, progress: Progress | None = None) -> PublishedShard:
        """Scan one shard, unless it has results, and none that failed is to be tried again.

        Raises:
            UsageError: there is no such shard, or scores would be computed otherwise than the run's.
            NothingToScan: none of its files is there.
            OutputError: its results can't be kept or published.
        """
        planned = self._slice(number)
        times = self._run.times_published(planned.digest)
        if times and not (self._retry_failed and self._has_failed(planned, times)):
            self._remove_published()
            return PublishedShard(number, None, first=False)
        _check_files_are_there(self._run.items(planned.digest), number)
        self._check_writable()
        journal = self._local_journal(planned, times + 1)
        scoring = self._scan_into(journal, planned, times, progress)
        counts = check_journal(journal, planned, scoring)
        if times and _failures(journal) == self._published_failures(planned, times):
            _remove(journal)
            return PublishedShard(number, counts, first=False, failed_again=True)
        name = self._run.journal_name(planned.digest, scoring, times + 1)
        first = self._run.store.put_if_absent(name, journal)
        self._remove_published()
        return PublishedShard(number, counts, first)

    def _check_writable(self) -> None:
        """Find out once, before the first shard, whether results can be published."""
        if not self._can_publish:
            self._run.check_writable()
            self._can_publish = True

    def _has_failed(self, planned: Slice, times: int) -> bool:
        """Whether the latest results of a slice have some that can be tried again."""
        with self._published(planned, times) as journal:
            return journal.has_failed()

    def _published_failures(self, planned: Slice, times: int) -> list[tuple[object, ...]]:
        with self._published(planned, times) as journal:
            return journal.failures()

    @contextmanager
    def _published(self, planned: Slice, time: int) -> Iterator[PublishedJournal]:
        """The results of a slice that were published as the first ones, or the second."""
        scoring = self._run.scoring()
        assert scoring is not None
        with tempfile.TemporaryDirectory(prefix="sidscan-failed-") as scratch:
            path = self._run.store.get(self._run.journal_name(planned.digest, scoring, time), Path(scratch))
            with closing(PublishedJournal(path)) as journal:
                yield journal

    def _remove_published(self) -> None:
        """Remove journals of shards that have their results in the run, from this process or from another."""
        for journal in self._local_folder().glob("*.journal"):
            digest, _, time = journal.stem.partition("-")
            if self._run.times_published(digest) >= int(time or 1) and _is_unused(journal):
                _remove(journal)

    def is_free(self, number: int) -> bool:
        """Whether no other process of this machine has the shard under way; no model is loaded for that."""
        planned = self._slice(number)
        journal = self._local_journal(planned, self._run.times_published(planned.digest) + 1)
        return not journal.exists() or _is_unused(journal)

    def results_under_way(self, number: int) -> int:
        """How many results an earlier attempt on this machine left behind, as far as it noted them."""
        planned = self._slice(number)
        times = self._run.times_published(planned.digest)
        return _attempts(self._local_journal(planned, times + 1)).done

    def _slice(self, number: int) -> Slice:
        shards = len(self._plan.slices)
        if not 0 <= number < shards:
            raise UsageError(
                f"there is no shard {number}: {self._run.location} has {shards}",
                f"Shards are numbered from 0 to {shards - 1}.",
            )
        return self._plan.slices[number]

    def _scan_into(self, journal: Path, planned: Slice, times: int, progress: Progress | None) -> Scoring:
        if not journal.exists():
            self._start_from_earlier(journal, planned, times)
        attempts = _attempts(journal)
        # Once: an image that ends the scan would do so in each attempt.
        scan = self._opened(journal, planned, retry_failed=self._retry_failed and not attempts.are_noted)
        with closing(scan.journal):
            scoring = Scoring.of(scan)
            self._run.agree_on(scoring)
            done = planned.inputs - scan.journal.num_pending()
            results = chain(_suspects(scan, attempts), scan) if attempts.begin(done) else iter(scan)
            try:
                for done, _ in enumerate(results, done + 1):  # noqa: B020  (counts on)
                    if progress is not None:
                        progress(done, planned.inputs)
            except KeyboardInterrupt:
                with suppress(OutputError):  # only a note in the record; the interruption matters more
                    scan.end("interrupted")
                attempts.end()
                raise
            except SidscanError:
                attempts.end()
                raise
        attempts.remove()
        return scoring

    def _opened(self, journal: Path, planned: Slice, *, retry_failed: bool) -> Scan:
        facts = self._plan.facts
        config = config_of(
            self._run.options,
            tuple(facts["inputs"]),
            tuple(facts["lists"]),
            journal=journal,
            command=tuple(facts["command"] or ()),
            workers=self._workers,
            batch=self._batch,
            retry_failed=retry_failed,
        )
        items = self._run.items(planned.digest)
        scan = open_scan(config, items=items, runtime=self._runtime, idle=self._idle)
        self._runtime = scan.runtime
        return scan

    def _start_from_earlier(self, journal: Path, planned: Slice, times: int) -> None:
        """Begin with the slice's own results, or those of earlier plans' slices that share inputs with it."""
        scoring = self._run.scoring()
        starts = (planned.digest,) if times else planned.starts
        if scoring is None or not starts:
            return
        latest = {digest: self._run.times_published(digest) for digest in starts}
        names = [self._run.journal_name(digest, scoring, time) for digest, time in latest.items() if time]
        with tempfile.TemporaryDirectory(prefix="sidscan-start-") as scratch:
            sources = [self._run.store.get(name, Path(scratch)) for name in names]
            if sources:
                with suppress(OSError, sqlite3.Error):  # without them, the images are scored again
                    start_from(journal, sources)

    def _local_journal(self, planned: Slice, time: int) -> Path:
        return self._local_folder() / f"{planned.digest}{'' if time == 1 else f'-{time}'}.journal"

    def _local_folder(self) -> Path:
        folder = (self._scratch or _own_temporary_folder()) / self._run.id
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise OutputError(
                f"can't keep journals of shards in {folder}: {error.strerror}",
                "Name a folder on a local disk with --scratch.",
            ) from error
        _check_own(folder)
        return folder


def _attempts(journal: Path) -> Attempts:
    return Attempts(journal.with_suffix(".attempts"))


def _remove(journal: Path) -> None:
    with suppress(OSError):
        journal.unlink()
    _attempts(journal).remove()


def _failures(journal: Path) -> list[tuple[object, ...]]:
    with closing(PublishedJournal(journal)) as opened:
        return opened.failures()


def _is_unused(journal: Path) -> bool:
    """Whether no process has a journal open."""
    with suppress(sqlite3.Error), closing(sqlite3.connect(journal, timeout=0)) as database:
        database.execute("BEGIN EXCLUSIVE")
        return True
    return False


def _suspects(scan: Scan, attempts: Attempts) -> Iterator[ScanResult]:
    """Results of the images that may have been under way when an attempt ended, each read alone."""
    ahead = TASKS_AHEAD * (scan.config.workers or available_cores())
    batches = (scan.runtime.at_once + 1) * (scan.config.batch or scan.runtime.batch)
    suspects = list(islice(scan.journal.pending(), ahead + batches))

    def give_up(item: Item) -> str:
        return "" if attempts.try_alone(item.name) else ENDED_THE_SCAN

    for item, result in zip(suspects, scan.alone(suspects, give_up), strict=True):
        attempts.survived(item.name)
        yield result


def _own_temporary_folder() -> Path:
    """A folder for this user alone, among those that everybody may write.

    Raises:
        OutputError: somebody else made it.
    """
    folder = Path(tempfile.gettempdir()) / f"sidscan-{_user()}"
    with suppress(FileExistsError):
        folder.mkdir(mode=0o700)
    _check_own(folder)
    return folder


def _user() -> int | str:
    user: int | str = getattr(os, "getuid", lambda: "user")()
    return user


def _check_own(folder: Path) -> None:
    """Refuse a folder whose owner could put results there that a shard would go on with.

    Raises:
        OutputError: somebody else made it.
    """
    status = folder.lstat()
    if not stat.S_ISDIR(status.st_mode) or _user() not in (status.st_uid, "user"):
        raise OutputError(
            f"{folder} belongs to somebody else", "Name a folder on a local disk with --scratch."
        )


def _check_files_are_there(items: Iterator[Item], number: int) -> None:
    """Refuse a shard whose disk is not mounted here: each of its inputs would fail, for good.

    A file that was missing when the run was planned has no fingerprint, and its row says that it is missing.

    Raises:
        NothingToScan: none of its first files is there.
    """
    files = (item for item in items if item.fingerprint and not item.skip and "://" not in item.name)
    paths = [_file_of(item) for item in islice(files, _LOOKED_FOR)]
    if paths and not any(map(os.path.lexists, paths)):
        relative = "" if os.path.isabs(paths[0]) else f" from the folder {real_path('.')}"  # noqa: PTH117
        raise NothingToScan(
            f"no file of shard {number} was found here{relative}, for example {paths[0]}",
            "Is the disk mounted? Relative names start from the current folder; plan with full paths.",
        )


def _file_of(item: Item) -> str:
    parts = split_member_name(item.name) if item.kind is Kind.MEMBER else None
    return parts[0] if parts else item.name
