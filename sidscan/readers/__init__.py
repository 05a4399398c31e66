"""Item -> Sample | Failure: the original bytes are read once, hashed, decoded, and cut into views."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from functools import partial
from pathlib import Path

from sidscan.config import Reading, ScanConfig
from sidscan.files import open_file
from sidscan.readers import decode, exif, fetch, limits, originals, quality, views
from sidscan.records import Exif, Facts, Failure, Item, Kind, Response, Sample, Stage, Status


def read(item: Item, config: ScanConfig, fetcher: fetch.Fetcher | None = None) -> Sample | Failure:
    """Read one input, in this process. Whatever goes wrong becomes a `Failure`; only interrupts are raised.

    Args:
        fetcher: the scan's, where there may be URLs; None makes one for this item alone.
    """
    got = obtain(item, config, fetcher)
    if isinstance(got, Failure):
        return got
    *_, whole = look(item, *got, config)
    return whole


def obtain(
    item: Item, config: ScanConfig, fetcher: fetch.Fetcher | None = None
) -> tuple[bytes, Facts] | Failure:
    """The original bytes, with their hash and how they came."""
    if item.kind is not Kind.URL:
        return load(item, config.max_bytes)
    facts = Facts()
    try:
        data, response = _fetch(item.name, config, fetcher)
        facts = replace(_hashed(data), response=response)
        return data, _kept(data, facts, config.save_dir)
    except Exception as error:
        if isinstance(error, fetch.FetchError):
            facts = replace(facts, response=error.response or facts.response)
        return _failure(item, Stage.FETCH, error, facts)


def load(item: Item, max_bytes: int) -> tuple[bytes, Facts] | Failure:
    """The bytes of a file, all from one reading, with their hash."""
    try:
        with open_file(item.name) as file:
            size = os.fstat(file.fileno()).st_size  # of a terabyte nothing is read; but a file may grow
            data = file.read(size + 1) if size <= max_bytes else b""
            if len(data) > size:
                data += file.read(max_bytes + 1 - len(data))
        if max(size, len(data)) > max_bytes:
            raise limits.TooLarge(f"larger than {max_bytes} bytes; raise the limit with --max-bytes")
    except Exception as error:
        return _failure(item, Stage.READ, error, Facts())
    return data, _hashed(data)


def look(item: Item, data: bytes, facts: Facts, reading: Reading) -> Iterator[Sample | Failure]:
    """Bytes -> crops, then the same with EXIF, which may take long or kill its reader; scores need none.

    Decoders and metadata parsers raise almost any class on malformed files, hence the broad handler.
    """
    try:
        picture = decode.decode(data, reading, partial(views.rows, crops=reading.crops))
        facts = replace(facts, format=picture.format, width=picture.width, height=picture.height)
        facts = replace(facts, flags=(*picture.flags, *views.flags(picture)))
        facts = replace(facts, jpeg_quality=quality.jpeg_quality(picture.image))
        cut = views.cut(picture, reading.crops)
    except Exception as error:
        yield _failure(item, Stage.DECODE, error, facts)
        return
    yield Sample(item, facts, cut)
    try:
        tags, remarks = exif.read(picture, data, reading)
    except Exception:  # memory, or metadata that even Pillow did not expect
        tags, remarks = Exif(), ("exif_unreadable",)
    yield Sample(item, replace(facts, flags=(*facts.flags, *remarks), exif=tags), cut)


def _hashed(data: bytes) -> Facts:
    return Facts(bytes=len(data), sha256=hashlib.sha256(data).hexdigest())


def _fetch(url: str, config: ScanConfig, fetcher: fetch.Fetcher | None) -> tuple[bytes, Response]:
    if fetcher is None:
        with closing(fetch.Fetcher(config)) as own:
            return _fetch(url, config, own)
    fetched = fetcher.get(url)
    return fetched.data, fetched.response


def _kept(data: bytes, facts: Facts, folder: Path | None) -> Facts:
    if folder is None or facts.sha256 is None or facts.response is None:
        return facts
    path = originals.keep(data, facts.sha256, folder)
    return replace(facts, response=replace(facts.response, saved_as=str(path)))


def _failure(item: Item, stage: Stage, error: Exception, facts: Facts) -> Failure:
    if isinstance(error, OSError) and error.strerror and error.filename is not None:
        message = error.strerror  # the path has a column of its own
    elif isinstance(error, MemoryError):
        message = "it takes more memory than there is; raise the limit with --memory-limit"
    else:
        message = str(error) or type(error).__name__
    return Failure(item, stage, type(error).__name__, message, facts, _status(error))


def _status(error: Exception) -> Status:
    if isinstance(error, fetch.FetchError):
        return Status(error.status)
    if isinstance(error, limits.OverLimit):
        return error.status
    if isinstance(error, decode.Truncated):
        return Status.TRUNCATED
    return Status.MEMORY_LIMIT if isinstance(error, MemoryError) else Status.FAILED
