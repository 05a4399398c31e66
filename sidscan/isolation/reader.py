"""Reading in processes of their own: a picture that hangs or kills its decoder costs its own row alone.

The parent opens no picture: a worker process (`sidscan.isolation.worker`) opens, hashes and decodes it and
then reads its metadata, under a wall-clock deadline and, where the system has such a thing, a memory limit.
Where metadata hang or kill it, the picture is scored all the same, and flagged. Bytes of URLs are fetched by
the parent, which keeps their hosts' limits, and handed to the worker. What a worker says is checked: one that
a malicious file has taken over can lie, but not stop the scan or make a record that nobody can read.
"""

from __future__ import annotations

import json
import math
import re
import signal
import time
from collections.abc import Mapping
from contextlib import closing, suppress
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np

from sidscan.config import CROPS_PER_IMAGE, SIDE, Crops, ScanConfig
from sidscan.fetch import saved
from sidscan.fetch.client import Fetcher
from sidscan.fetch.errors import FetchError
from sidscan.images import items
from sidscan.isolation.processes import Closed, Frame, Lost, NotStarted, Processes
from sidscan.records import (
    CropRef,
    CropSet,
    DecodedImage,
    Exif,
    Failure,
    ImageInfo,
    Item,
    Kind,
    Response,
    Stage,
    Status,
)

_WORKER = "sidscan.isolation.worker"
_RETRIED = (Status.CRASHED, Status.MEMORY_LIMIT)  # earlier pictures, or a kill from outside, may have done it
_NO_METADATA = "metadata_crashed"
_TRIES = 3
_SHORTEST = 1.0  # second; with less of the item's time left it is not tried again
_STARTS = 6  # tries to start a process, each after twice as long a pause
_PAUSE = 0.1  # seconds
_MOST_CROPS: Mapping[Crops, int] = {"ten": 6, "center": 1}  # rounding puts some elsewhere in the mirror
_CROP = SIDE * SIDE * 3  # bytes
_SHA256, _WORD = re.compile("[0-9a-f]{64}"), re.compile("[a-z0-9_]{1,40}")
_LONGEST = 1 << 16  # characters of a text
_LARGEST = 1 << 53  # of numbers that a report's readers hold exactly
_TEXTS = ("make", "model", "lens", "original_date", "software")


def read_item(item: Item, config: ScanConfig, fetcher: Fetcher | None = None) -> DecodedImage | Failure:
    """Read one input, in this process. Whatever goes wrong becomes a `Failure`; only interrupts are raised.

    Args:
        fetcher: the scan's, where there may be URLs; None makes one for this item alone.
    """
    got = fetch_or_load(item, config, fetcher)
    if isinstance(got, Failure):
        return got
    *_, whole = items.decode_item(item, *got, config)
    return whole


def fetch_or_load(
    item: Item, config: ScanConfig, fetcher: Fetcher | None = None
) -> tuple[bytes, ImageInfo] | Failure:
    """The original bytes, with their hash and how they came."""
    if item.kind is not Kind.URL:
        return items.load_file(item, config.max_bytes)
    facts = ImageInfo()
    try:
        data, response = _fetch(item.name, config, fetcher)
        facts = replace(items.hashed(data), response=response)
        return data, _kept(data, facts, config.save_dir)
    except Exception as error:
        if isinstance(error, FetchError):
            facts = replace(facts, response=error.response or facts.response)
        return items.failure_of(item, Stage.FETCH, error, facts)


def _fetch(url: str, config: ScanConfig, fetcher: Fetcher | None) -> tuple[bytes, Response]:
    if fetcher is None:
        with closing(Fetcher(config)) as own:
            return _fetch(url, config, own)
    fetched = fetcher.get(url)
    return fetched.data, fetched.response


def _kept(data: bytes, facts: ImageInfo, folder: Path | None) -> ImageInfo:
    if folder is None or facts.sha256 is None or facts.response is None:
        return facts
    path = saved.keep(data, facts.sha256, folder)
    return replace(facts, response=replace(facts.response, saved_as=str(path)))


class IsolatedReader:
    """Item -> DecodedImage | Failure, by worker processes; called from any number of threads.

    Args:
        fetcher: gets what URLs name.
    """

    def __init__(self, config: ScanConfig, fetcher: Fetcher) -> None:
        self._config, self._fetcher = config, fetcher
        limits = {
            "memory": config.memory_limit,
            "seconds": config.item_timeout,
            "reading": config.read_limits(),
        }
        longest = _MOST_CROPS[config.crops] * _CROP
        self._processes = Processes(_WORKER, json.dumps(limits), longest_answer=longest)

    def __call__(self, item: Item) -> DecodedImage | Failure:
        facts, data = ImageInfo(), b""
        if item.kind is Kind.URL:
            got = fetch_or_load(item, self._config, self._fetcher)
            if isinstance(got, Failure):
                return got
            data, facts = got
        return self._ask(item, facts, data)

    def close(self) -> None:
        """End the workers."""
        self._processes.close()

    def _ask(self, item: Item, facts: ImageInfo, data: bytes) -> DecodedImage | Failure:
        """What a worker says; a fresh one is asked again where that may be the doing of something else."""
        answer, left = self._answer(item, facts, data, self._config.item_timeout)
        for _ in range(_TRIES - 1):
            if not _worth_another_try(answer) or left < _SHORTEST:
                break
            self._processes.renew()
            again, left = self._answer(item, facts, data, left)
            if isinstance(again, Failure) and again.status is Status.TIMEOUT:  # of what was left of its time
                break
            if isinstance(again, Failure) and isinstance(answer, DecodedImage):  # its crops are worth more
                continue
            answer = again
            if isinstance(answer, Failure) and answer.status is Status.MEMORY_LIMIT:  # a fresh worker says so
                break
        return answer

    def _answer(
        self, item: Item, facts: ImageInfo, data: bytes, seconds: float
    ) -> tuple[DecodedImage | Failure, float]:
        """What one worker says, and how much is left of the seconds."""
        told = AnswerParser(item, facts, CROPS_PER_IMAGE[self._config.crops])
        try:
            self._start()
        except NotStarted as error:
            return told.crashed(f"no process to read it could be started: {error}"), 0.0
        task = {"name": item.name, "kind": item.kind.value, "facts": asdict(facts)}
        started = time.monotonic()
        try:
            for frame in self._processes.ask(Frame(task, data), seconds):
                told.take(frame)
            answer = told.whole()
        except Lost as lost:
            answer = told.without_the_rest(lost, self._config.item_timeout)
        except (AttributeError, KeyError, TypeError, ValueError):
            answer = told.crashed("the worker process gave an answer that makes no sense")
        return answer, seconds - (time.monotonic() - started)

    def _start(self) -> None:
        """Have a process; a system that is short of memory or processes may have some in a moment."""
        for attempt in range(_STARTS):
            try:
                self._processes.start()
            except Closed:  # who interrupts a scan does not wait for its readers
                raise
            except NotStarted:
                if attempt == _STARTS - 1:
                    raise
                time.sleep(_PAUSE * 2**attempt)
            else:
                return


class AnswerParser:
    """What a worker has said of an item so far: its hash, then its crops, then its EXIF.

    Args:
        facts: what is known already; of URLs, a worker's word on these counts nothing.
        views: how many there are to be.
    """

    def __init__(self, item: Item, facts: ImageInfo, views: int) -> None:
        self._item, self._facts, self._expected = item, facts, views
        self._known = facts if item.kind is Kind.URL else None
        self._views: CropSet | None = None
        self._failure: Failure | None = None

    def take(self, frame: Frame) -> None:
        """The next frame of the answer.

        Raises:
            AttributeError, KeyError, TypeError, ValueError: it makes no sense.
        """
        facts = _facts(frame.head["facts"])
        if self._known is not None:
            known = self._known
            facts = replace(facts, bytes=known.bytes, sha256=known.sha256, response=known.response)
        elif self._facts.sha256 not in (None, facts.sha256):
            raise ValueError("another hash")
        self._facts = facts
        if failure := frame.head.get("failure"):
            stage, status = Stage(failure["stage"]), Status(failure["status"])
            if not status.failed:
                raise ValueError("no failure")
            self._failure = self._failed(stage, _text(failure["error"]), _text(failure["message"]), status)
        elif "order" in frame.head:
            self._views = _views(frame, self._expected)

    def whole(self) -> DecodedImage | Failure:
        """The result, after the last frame."""
        if self._failure is not None:
            return self._failure
        if self._views is None:
            raise ValueError("neither crops nor a failure")
        return DecodedImage(self._item, self._facts, self._views)

    def without_the_rest(self, lost: Lost, seconds: float) -> DecodedImage | Failure:
        """The result where the worker was lost; a picture whose crops are there is scored without EXIF."""
        if self._views is not None:
            flag = "metadata_timeout" if lost.late else _NO_METADATA
            facts = replace(self._facts, flags=(*self._facts.flags, flag))
            return DecodedImage(self._item, facts, self._views)
        if lost.late:
            message = f"not read after {seconds:g} s; raise the limit with --item-timeout"
            return self._failed(self._stage(), "Timeout", message, Status.TIMEOUT)
        return self.crashed(f"the process that read it {_ended(lost.code)}")

    def crashed(self, message: str) -> Failure:
        """The result where the worker can't be believed, or is gone."""
        return self._failed(self._stage(), "Crashed", message, Status.CRASHED)

    def _failed(self, stage: Stage, error: str, message: str, status: Status) -> Failure:
        return Failure(self._item, stage, error, message, self._facts, status)

    def _stage(self) -> Stage:
        return Stage.READ if self._facts.sha256 is None else Stage.DECODE


def _worth_another_try(answer: DecodedImage | Failure) -> bool:
    """Whether a fresh worker may have another answer."""
    if isinstance(answer, Failure):
        return answer.status in _RETRIED
    return _NO_METADATA in answer.facts.flags


def _facts(tree: dict[str, Any]) -> ImageInfo:
    """A worker's word on a picture, as `asdict` made it.

    Raises:
        AttributeError, KeyError, TypeError, ValueError: it is none.
    """
    exif = tree["exif"]
    return ImageInfo(
        bytes=_number(tree.get("bytes")),
        sha256=_matched(_SHA256, tree.get("sha256")),
        format=_text(tree.get("format")),
        width=_number(tree.get("width")),
        height=_number(tree.get("height")),
        jpeg_quality=_number(tree.get("jpeg_quality")),
        flags=tuple(str(_matched(_WORD, flag)) for flag in tree["flags"]),
        exif=Exif(
            **{name: _text(exif.get(name)) for name in _TEXTS},
            latitude=_degrees(exif.get("latitude")),
            longitude=_degrees(exif.get("longitude")),
            orientation=_number(exif.get("orientation")),
            tags={str(name): _plain(value) for name, value in exif.get("tags", {}).items()},
        ),
    )


def _plain(value: Any) -> Any:
    """A tag's value: a scalar or a list of them, as `images.exif` makes it; no deep tree, no infinity."""
    for one in value if isinstance(value, list) else (value,):
        if not isinstance(one, (str, int, float)) or (isinstance(one, float) and not math.isfinite(one)):
            raise ValueError("tag")
    return value


def _number(value: Any) -> int | None:
    if value is not None and (type(value) is not int or not 0 <= value < _LARGEST):
        raise ValueError("number")
    return value


def _degrees(value: Any) -> float | None:
    if value is not None and not -180 <= value <= 180:
        raise ValueError("degrees")
    return None if value is None else float(value)


def _text(value: Any) -> Any:
    if value is not None and (not isinstance(value, str) or len(value) > _LONGEST):
        raise ValueError("text")
    return value


def _matched(pattern: re.Pattern[str], value: Any) -> str | None:
    if value is not None and not pattern.fullmatch(value):
        raise ValueError("word")
    return None if value is None else str(value)


def _views(frame: Frame, count: int) -> CropSet:
    crops = np.frombuffer(frame.payload, np.uint8).reshape(-1, SIDE, SIDE, 3)
    order = tuple(_view(view) for view in frame.head["order"])
    if len(order) != count or {index for index, _ in order} != set(range(len(crops))):
        raise ValueError("order")
    return CropSet(crops, order)


def _view(told: Any) -> CropRef:
    index, mirrored = told
    if type(index) is not int or type(mirrored) is not bool:
        raise ValueError("view")
    return index, mirrored


def _ended(code: int) -> str:
    if code < 0:
        with suppress(ValueError):
            return f"was ended by {signal.Signals(-code).name}"
    return f"ended with exit status {code}"
