"""Read images in worker processes, so that an image that hangs or kills its decoder costs its own row alone.

The scan itself opens no image. A worker process (`sidscan.isolation.worker`) opens, hashes and decodes it and
then reads its metadata, under a wall-clock deadline and, where the system has one, a memory limit. If the
worker hangs or dies over metadata, the image is scored all the same, with a flag. The scan fetches the bytes
of URLs itself, because it keeps the limits of their hosts, and hands them to the worker. A worker's answer is
checked (`sidscan.isolation.protocol`): a worker that a malicious file has taken over can lie, but it can
neither stop the scan nor make a record that nobody can read.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from contextlib import closing
from dataclasses import replace
from functools import partial
from typing import TypeGuard

from sidscan.archives.entries import is_read_in_order
from sidscan.config import CROPS_PER_IMAGE, ScanConfig
from sidscan.fetch.client import Download, Fetcher
from sidscan.fetch.errors import FetchError
from sidscan.fetch.saved import save_download
from sidscan.images import items
from sidscan.isolation.archives import ArchiveReader
from sidscan.isolation.deadlines import running_time
from sidscan.isolation.frames import ProtocolError
from sidscan.isolation.processes import (
    IdleProcesses,
    PoolClosed,
    ProcessLost,
    ProcessNotStarted,
    WorkerPool,
    WorkerProcess,
    describe_exit,
)
from sidscan.isolation.protocol import AnswerParser, WorkerOptions, encode_task, max_payload
from sidscan.records import DecodedImage, Failure, ImageInfo, Item, Kind, Stage, Status
from sidscan.sources.members import NOT_AN_IMAGE
from sidscan.traces.read import with_provenance_and_traces
from sidscan.util.magic import SIGNATURE_BYTES, TAIL_BYTES, FileKind, identify_file, identify_name
from sidscan.util.object_urls import parse_stamp

FETCHED = (Kind.URL, Kind.OBJECT)
"""Kinds of items whose bytes the scan itself fetches."""
ARCHIVE_IN_STORE = "archives in object stores are not read; copy it to a disk and scan it there"
_WORKER_MODULE = "sidscan.isolation.worker"
# Earlier images, or a kill from outside, may be to blame for these.
_RETRIED_STATUSES = (Status.CRASHED, Status.MEMORY_LIMIT)
_METADATA_CRASHED = "metadata_crashed"
_MAX_TRIES = 3
_MIN_SECONDS = 1.0  # an item with less time left is not tried again
_MAX_STARTS = 6  # tries to start a process, each after a pause twice as long
_START_PAUSE = 0.1  # seconds


def read_item(item: Item, config: ScanConfig, fetcher: Fetcher | None = None) -> DecodedImage | Failure:
    """Read one input in this process. All errors become a `Failure`; only interrupts are raised.

    Args:
        fetcher: the scan's, if there may be URLs; None makes one for this item alone.
    """
    loaded = fetch_or_load(item, config, fetcher)
    if isinstance(loaded, Failure):
        return loaded
    last_step = partial(with_provenance_and_traces, data=loaded[0], limits=config)
    *_, result = items.decode_item(item, *loaded, config, last_step)
    return result


def fetch_or_load(
    item: Item, config: ScanConfig, fetcher: Fetcher | None = None
) -> tuple[bytes, ImageInfo] | Failure:
    """The original bytes with their hash; for a URL or an object also how the server answered."""
    if item.kind not in FETCHED:
        return items.load_item(item, config.max_bytes)
    info = ImageInfo()
    try:
        if item.kind is Kind.OBJECT and (reason := _why_not_image(item, config, fetcher)):
            return Failure(item, Stage.LIST, "Skipped", reason, status=Status.SKIPPED)
        download = _fetch(item, config, fetcher)
        info = replace(items.info_from_bytes(download.data), response=download.response)
        if config.save_dir is not None:
            path = save_download(download.data, str(info.sha256), config.save_dir)
            info = replace(info, response=replace(download.response, saved_as=str(path)))
    except Exception as error:
        if isinstance(error, FetchError):
            info = replace(info, response=error.response or info.response)
        return items.failure_from_error(item, Stage.FETCH, error, info)
    modified = parse_stamp(item.fingerprint) if item.kind is Kind.OBJECT else None
    if modified:
        info = replace(info, modified_at=modified[2].isoformat(timespec="seconds"))
    return download.data, info


def _fetch(item: Item, config: ScanConfig, fetcher: Fetcher | None) -> Download:
    if fetcher is None:
        with closing(Fetcher(config)) as temporary:
            return _fetch(item, config, temporary)
    if item.kind is Kind.OBJECT:
        return fetcher.objects.get(item.name, item.fingerprint)
    return fetcher.get(item.name)


def _why_not_image(item: Item, config: ScanConfig, fetcher: Fetcher | None) -> str:
    """Why a listed object is not fetched, as for the files of a folder; empty for what may be an image.

    An object that a list names is always fetched.
    """
    by_name = identify_name(item.name)
    if not item.fingerprint or (by_name is not None and not by_name.kind.may_hold_images):
        return ""
    if fetcher is None:
        with closing(Fetcher(config)) as temporary:
            return _why_not_image(item, config, temporary)
    head = fetcher.objects.read_part(item.name, 0, min(SIGNATURE_BYTES, item.size))
    known = identify_file(item.name, head, head)
    if known is None and item.size > len(head):
        tail = fetcher.objects.read_part(item.name, max(len(head), item.size - TAIL_BYTES), item.size)
        known = identify_file(item.name, head, head + tail)
    if known is None:
        return NOT_AN_IMAGE
    if known.kind is FileKind.ARCHIVE:
        return f"{known.noun}: {ARCHIVE_IN_STORE}"
    return known.not_opened if known.kind.may_hold_images else ""


class LocalReader:
    """Reads items in this process."""

    def __init__(self, config: ScanConfig, fetcher: Fetcher) -> None:
        self._config, self._fetcher = config, fetcher

    def __call__(self, item: Item) -> DecodedImage | Failure:
        return read_item(item, self._config, self._fetcher)

    def announced(self, each: Iterable[Item]) -> Iterator[Item]:
        """The same items."""
        return iter(each)


def launch_worker(config: ScanConfig, idle: IdleProcesses | None = None) -> WorkerProcess | None:
    """A worker that gets ready while something else is done; None if the system can't start one now."""
    try:
        return _worker_pool(config, idle=idle).launch()
    except ProcessNotStarted:  # whoever needs it tries again, and says so
        return None


def _worker_pool(
    config: ScanConfig, launched: WorkerProcess | None = None, idle: IdleProcesses | None = None
) -> WorkerPool:
    options, most = WorkerOptions.from_config(config).to_json(), max_payload(config)
    return WorkerPool(_WORKER_MODULE, options, max_payload=most, launched=launched, idle=idle)


class IsolatedReader:
    """Reads items in worker processes; called from any number of threads.

    Args:
        fetcher: the scan's, if there may be URLs.
        launched: the first of its workers (`launch_worker`).
        idle: workers of an earlier reader, and where `release` leaves them.
    """

    def __init__(
        self,
        config: ScanConfig,
        fetcher: Fetcher | None = None,
        launched: WorkerProcess | None = None,
        idle: IdleProcesses | None = None,
    ) -> None:
        self._config, self._fetcher = config, fetcher
        self._has_read = False  # a file's bytes; a disk that slept is awake then
        self._workers = _worker_pool(config, launched, idle)
        self._archives = ArchiveReader(WorkerOptions.from_config(config))

    def __call__(self, item: Item) -> DecodedImage | Failure:
        if item.kind in FETCHED:
            given = fetch_or_load(item, self._config, self._fetcher)
        elif item.kind is Kind.MEMBER and is_read_in_order(item.fingerprint):
            given = self._archives.read(item)
        else:
            return self._read_with_retries(item, ImageInfo(), None)
        if isinstance(given, Failure):
            return given
        data, info = given
        return self._read_with_retries(item, info, data)

    def announced(self, each: Iterable[Item]) -> Iterator[Item]:
        """The same items, whose bytes are read in this order where no other one is fast."""
        return self._archives.announced(each)

    def release(self) -> None:
        """Leave idle workers to the next reader; to be called when nothing is read any more."""
        self._workers.release()

    def close(self) -> None:
        """End the workers."""
        self._archives.close()
        self._workers.close()

    def _read_with_retries(self, item: Item, info: ImageInfo, data: bytes | None) -> DecodedImage | Failure:
        """A worker's answer; a fresh worker is asked again if something else may have caused a failure."""
        answer, seconds_left = self._read(item, info, data, self._config.item_timeout)
        if not self._has_read and _bytes_never_came(answer):
            answer, seconds_left = self._read(item, info, data, self._config.item_timeout)
            if _bytes_never_came(answer):
                answer = replace(answer, message=_waking_up(self._config.item_timeout))
        for _ in range(_MAX_TRIES - 1):
            if not _worth_another_try(answer) or seconds_left < _MIN_SECONDS:
                break
            self._workers.discard()
            retried, seconds_left = self._read(item, info, data, seconds_left)
            if isinstance(retried, Failure) and retried.status is Status.TIMEOUT:  # only of the time left
                break
            if isinstance(retried, Failure) and isinstance(answer, DecodedImage):  # its crops are worth more
                continue
            answer = retried
            if isinstance(answer, Failure) and answer.status is Status.MEMORY_LIMIT:  # even in a fresh worker
                break
        return answer

    def _read(
        self, item: Item, info: ImageInfo, data: bytes | None, seconds: float
    ) -> tuple[DecodedImage | Failure, float]:
        """One worker's answer, and how much is left of the seconds."""
        most = self._config.max_pixels if self._config.pixels else 0
        num_crops, views = CROPS_PER_IMAGE[self._config.crops], self._config.views
        parser = AnswerParser(item, info, num_crops, most, views)
        try:
            self._start_worker()
        except ProcessNotStarted as error:
            message = f"no process to read it could be started: {error}"
            return parser.failure("Crashed", message, Status.CRASHED), 0.0
        started = running_time()
        try:
            for frame in self._workers.request(encode_task(item, data), seconds):
                parser.feed(frame)
                self._has_read |= item.kind is Kind.FILE
            answer = parser.result()
        except ProcessLost as lost:
            answer = _without_worker(parser, lost, self._config.item_timeout)
        except ProtocolError:
            message = "the worker process gave an answer that makes no sense"
            answer = parser.failure("Crashed", message, Status.CRASHED)
        except MemoryError:
            message = "the scan has no memory for its pixels; choose fewer --workers"
            answer = parser.failure("MemoryError", message, Status.MEMORY_LIMIT)
        return answer, seconds - (running_time() - started)

    def _start_worker(self) -> None:
        """Start a worker; if the system is short of memory or processes, try again in a moment."""
        for attempt in range(_MAX_STARTS):
            try:
                self._workers.start()
            except PoolClosed:  # an interrupted scan does not wait for its readers
                raise
            except ProcessNotStarted:
                if attempt == _MAX_STARTS - 1:
                    raise
                time.sleep(_START_PAUSE * 2**attempt)
            else:
                return


def _bytes_never_came(answer: DecodedImage | Failure) -> TypeGuard[Failure]:
    """Whether the time was up before a file was read: its disk may need half a minute to wake up."""
    return (
        isinstance(answer, Failure)
        and answer.status is Status.TIMEOUT
        and answer.item.kind is Kind.FILE
        and answer.facts.sha256 is None
    )


def _waking_up(timeout: float) -> str:
    return (
        f"not read after twice {timeout:g} s; the disk may be waking up, or does not answer; try again, or "
        "raise the limit with --item-timeout"
    )


def _worth_another_try(answer: DecodedImage | Failure) -> bool:
    """Whether a fresh worker may give another answer."""
    if isinstance(answer, Failure):
        return answer.status in _RETRIED_STATUSES
    return _METADATA_CRASHED in answer.facts.flags


def _without_worker(parser: AnswerParser, lost: ProcessLost, timeout: float) -> DecodedImage | Failure:
    """The result of an item whose worker was lost; an image whose crops arrived is scored without EXIF."""
    if parser.decoded is not None:
        from sidscan.provenance.families.unread import unread_file  # here: it is seldom needed

        flag = "metadata_timeout" if lost.timed_out else _METADATA_CRASHED
        facts = replace(parser.info, flags=(*parser.info.flags, flag), provenance=unread_file(flag))
        return replace(parser.decoded, facts=facts)
    if lost.timed_out:
        message = f"not read after {timeout:g} s; raise the limit with --item-timeout"
        return parser.failure("Timeout", message, Status.TIMEOUT)
    message = f"the process that read it {describe_exit(lost.code)}"
    return parser.failure("Crashed", message, Status.CRASHED)
