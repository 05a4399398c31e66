"""Archives in a process of their own: what they hold, and members whose bytes come only in order.

The scan parses no archive. A process (`sidscan.isolation.archive_worker`) lists it, under limits of time and
memory, and what it sends is checked. Members of a zip or a plain tar are read by the process that decodes
them. A compressed tar can only be unpacked from its start, so one process does that, once, and hands members
over in their order; memory holds those that are about to be decoded.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from typing import Any

from sidscan.archives.entries import ArchiveEntry, Span, is_read_in_order
from sidscan.archives.unpack import CHUNK
from sidscan.config import ScanConfig
from sidscan.errors import UsageError
from sidscan.images.items import info_from_bytes
from sidscan.isolation.frames import Frame, ProtocolError
from sidscan.isolation.info_codec import check_date
from sidscan.isolation.processes import (
    PoolClosed,
    ProcessLost,
    ProcessNotStarted,
    WorkerPool,
    describe_exit,
)
from sidscan.isolation.protocol import WorkerOptions
from sidscan.records import Failure, ImageInfo, Item, Kind, Stage, Status
from sidscan.util.magic import SIGNATURE_BYTES
from sidscan.util.member_names import find_archive

_WORKER_MODULE = "sidscan.isolation.archive_worker"
_MAX_PAYLOAD = 256 * SIGNATURE_BYTES + CHUNK
_MAX_TEXT = 1 << 16  # characters
_BYTES_PER_TIMEOUT = 16 << 20  # of an archive, for each of which one item's time is allowed
_MOST_LOST = 2  # processes that an archive may cost, after which its members are not tried any more
_SAVE_AS_CSV = "Save the names as CSV, and use that."
_NONSENSE = "the process that read the archive gave an answer that makes no sense"

Given = tuple[bytes, ImageInfo] | Failure


class ArchiveReader:
    """Lists archives, and reads members in the order in which they are announced.

    Members are read in one thread, by one process.

    Args:
        max_members: of an archive that is listed.
    """

    def __init__(self, options: WorkerOptions, max_members: int = ScanConfig.max_members) -> None:
        self._item_timeout, self._max_bytes = options.item_timeout, options.limits.max_bytes
        self._max_members = max_members
        self._workers = WorkerPool(_WORKER_MODULE, options.to_json(), max_payload=_MAX_PAYLOAD)
        self._in_order = ThreadPoolExecutor(1, thread_name_prefix="sidscan-archive")
        self._announced: dict[Item, Future[Given]] = {}
        self._lost: Counter[str] = Counter()

    def list_entries(self, path: str) -> Iterator[ArchiveEntry]:
        """All members of an archive; what is to say of it as a whole comes in an entry without a name."""
        task = {"do": "list", "name": path, "most": self._max_members}
        seconds = self._seconds(path)
        count = 0
        try:
            for frame in self._request(task, seconds):
                for entry in _entries(frame):
                    count += 1
                    if count > self._max_members + 2:
                        raise ProtocolError("more than asked for")
                    yield entry
        except ProcessLost as lost:
            words = f"not listed after {seconds:g} s; raise the limit with --item-timeout"
            if not lost.timed_out:
                words = f"the process that listed it {describe_exit(lost.code)}"
            yield ArchiveEntry("", problem=words)
        except (ProtocolError, ProcessNotStarted) as error:
            yield ArchiveEntry("", problem=_NONSENSE if isinstance(error, ProtocolError) else str(error))

    def column_names(self, path: str) -> list[str]:
        """The names of the columns of a Parquet file; of very many the first.

        Raises:
            UsageError: the file can't be read.
        """
        frame, *others = self._table_frames({"do": "columns", "name": path})
        names = frame.head.get("columns")
        if others or not isinstance(names, list):
            raise UsageError(f"the list {path} can't be read: {_NONSENSE}", _SAVE_AS_CSV)
        return [_plain_text(_text(name)) for name in names]

    def find_column(self, path: str, name: str) -> tuple[str, bool]:
        """The exact name of a column of a Parquet file, and whether it holds bytes and not text.

        Raises:
            UsageError: there is no such column, or the file can't be read.
        """
        frame, *others = self._table_frames({"do": "column", "name": path, "column": name})
        column, is_bytes = frame.head.get("column"), frame.head.get("bytes")
        if others or not isinstance(column, str) or type(is_bytes) is not bool:
            raise UsageError(f"the list {path} can't be read: {_NONSENSE}", _SAVE_AS_CSV)
        return column, is_bytes

    def read_rows(self, path: str, columns: Sequence[str]) -> Iterator[list[str]]:
        """The cells of some columns of a Parquet file as texts, row by row (`archives.parquet.Table.rows`).

        Raises:
            UsageError: they can't be read, or no further.
        """
        for frame in self._table_frames({"do": "rows", "name": path, "columns": list(columns)}):
            rows = frame.head.get("rows")
            if not isinstance(rows, list) or not all(isinstance(row, list) for row in rows):
                raise UsageError(f"the list {path} can't be read: {_NONSENSE}", _SAVE_AS_CSV)
            for row in rows:
                yield [_plain_text(_text(cell)) for cell in row]

    def read_texts(self, path: str, column: str) -> Iterator[str]:
        """The texts of a column of a Parquet file, without empty ones.

        Raises:
            UsageError: they can't be read, or no further.
        """
        for frame in self._table_frames({"do": "texts", "name": path, "column": column}):
            texts = frame.head.get("texts")
            if not isinstance(texts, list):
                raise UsageError(f"the list {path} can't be read: {_NONSENSE}", _SAVE_AS_CSV)
            yield from map(_plain_text, map(_text, texts))

    def _table_frames(self, task: dict[str, object]) -> Iterator[Frame]:
        path = str(task["name"])
        seconds = self._seconds(path)
        try:
            for frame in self._request(task, seconds):
                if "error" in frame.head:
                    message = _plain_text(_text(frame.head.get("message")))
                    raise UsageError(
                        f"the list {path} {message.removeprefix('it ')}",
                        "Name one of its columns with paths, URLs or bytes: --list-column NAME.",
                    )
                yield frame
        except ProcessLost as lost:
            words = (
                f"was not read after {seconds:g} s" if lost.timed_out else "ended the process that read it"
            )
            raise UsageError(f"the list {path} {words}", _SAVE_AS_CSV) from lost
        except (ProtocolError, ProcessNotStarted) as error:
            words = _NONSENSE if isinstance(error, ProtocolError) else str(error)
            raise UsageError(f"the list {path} can't be read: {words}", _SAVE_AS_CSV) from error

    def announced(self, items: Iterable[Item]) -> Iterator[Item]:
        """The same items; those whose bytes come in order are read in this order, from now on."""
        for item in items:
            if item.kind is Kind.MEMBER and not item.skip and is_read_in_order(item.fingerprint):
                with suppress(RuntimeError):  # it is closed
                    self._announced[item] = self._in_order.submit(self._read, item)
            yield item

    def read(self, item: Item) -> Given:
        """The bytes of a member, with their size and hash."""
        future = self._announced.pop(item, None)
        if future is None:
            future = self._in_order.submit(self._read, item)
        return future.result()

    def close(self) -> None:
        """End the process; members that were not read yet are not."""
        self._in_order.shutdown(wait=False, cancel_futures=True)
        self._workers.close()

    def hash_later(self, name: str) -> Future[str | Failure]:
        """The sha256 of a member's bytes, hex; members of one archive should be asked for in their order."""
        return self._in_order.submit(self._hash, Item(name, Kind.MEMBER))

    def _read(self, item: Item) -> Given:
        parts: list[bytes] = []
        last = self._run("read", item, parts)
        if isinstance(last, Failure):
            return last
        data = b"".join(parts)
        modified_at = check_date(last.head.get("modified_at") or None)
        return data, replace(info_from_bytes(data), modified_at=modified_at)

    def _hash(self, item: Item) -> str | Failure:
        last = self._run("hash", item, [])
        return last if isinstance(last, Failure) else _text(last.head.get("sha256"))

    def _run(self, what: str, item: Item, parts: list[bytes]) -> Frame | Failure:
        """The last frame of an answer; bytes that come before it are added to ``parts``."""
        archive, _ = find_archive(item.name) or (item.name, "")
        if self._lost[archive] >= _MOST_LOST:
            return _failure(item, "Crashed", "its archive ended the processes that read it", Status.CRASHED)
        seconds, size = self._seconds(archive), 0
        try:
            for frame in self._request(
                {"do": what, "name": item.name, "fingerprint": item.fingerprint}, seconds
            ):
                size += len(frame.payload)
                if size > self._max_bytes:
                    raise ProtocolError("more than asked for")
                parts.append(frame.payload)
            return _failure_of(item, frame) or frame
        except PoolClosed:
            raise
        except ProcessLost as lost:
            self._lost[archive] += 1
            if lost.timed_out:
                message = f"not read after {seconds:g} s; raise the limit with --item-timeout"
                return _failure(item, "Timeout", message, Status.TIMEOUT)
            message = f"the process that read its archive {describe_exit(lost.code)}"
            return _failure(item, "Crashed", message, Status.CRASHED)
        except (ProtocolError, ProcessNotStarted) as error:
            message = _NONSENSE if isinstance(error, ProtocolError) else str(error)
            return _failure(item, "Crashed", message, Status.CRASHED)

    def _request(self, task: dict[str, object], seconds: float) -> Iterator[Frame]:
        self._workers.start()
        yield from self._workers.request(Frame({**task, "seconds": seconds}), seconds)

    def _seconds(self, path: str) -> float:
        """How long an archive may take: an item's time for each part of its size."""
        try:
            size = os.stat(path).st_size  # noqa: PTH116  (Path would normalise the name)
        except (OSError, ValueError):
            size = 0
        return self._item_timeout * (1 + size // _BYTES_PER_TIMEOUT)


def _failure(item: Item, error: str, message: str, status: Status = Status.FAILED) -> Failure:
    return Failure(item, Stage.READ, error, message, ImageInfo(), status)


def _failure_of(item: Item, last: Frame) -> Failure | None:
    """The failure that the last frame of an answer states."""
    if "error" not in last.head:
        return None
    error, message = _text(last.head["error"]), _text(last.head.get("message"))
    status = {"TooLarge": Status.TOO_LARGE, "MemoryError": Status.MEMORY_LIMIT}.get(error, Status.FAILED)
    return _failure(item, error, message, status)


def _text(value: object) -> str:
    if not isinstance(value, str) or len(value) > _MAX_TEXT:
        raise ProtocolError("text")
    return value


def _entries(frame: Frame) -> Iterator[ArchiveEntry]:
    """The entries of a part of a list, checked."""
    head: Any = frame.head
    if "error" in head:
        yield ArchiveEntry("", problem=_plain_text(_text(head.get("message"))))
        return
    if frame.last:
        return
    at = 0
    rows = head.get("entries")
    if not isinstance(rows, list):
        raise ProtocolError("entries")
    for row in rows:
        if not isinstance(row, list) or len(row) != 4 or type(row[3]) is not int or row[3] < 0:
            raise ProtocolError("entry")
        name, span, problem = map(_text, row[:3])
        head = frame.payload[at : at + row[3]]
        yield ArchiveEntry(_name(name), _span(span) if span else None, _plain_text(problem), head)
        at += row[3]


def _name(name: str) -> str:
    """A name that a record can hold: undecodable bytes are surrogate escapes, and there are no others."""
    try:
        os.fsencode(name)
    except UnicodeEncodeError as error:
        raise ProtocolError("name") from error
    return name


def _plain_text(text: str) -> str:
    """A text that a record can hold."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def _span(text: str) -> Span:
    try:
        return Span.parse(text)
    except ValueError as error:
        raise ProtocolError("span") from error
