"""Item -> Sample | Failure: the original bytes are read once, hashed, decoded, and cut into views."""

from __future__ import annotations

import hashlib
from contextlib import closing
from dataclasses import replace
from pathlib import Path

from sidscan.config import ScanConfig
from sidscan.readers import decode, exif, fetch, originals, views
from sidscan.records import Facts, Failure, Item, Kind, Response, Sample, Stage


def read(item: Item, config: ScanConfig, fetcher: fetch.Fetcher | None = None) -> Sample | Failure:
    """Read one input. Whatever goes wrong with it becomes a `Failure`; nothing is raised but interrupts.

    Decoders and metadata parsers raise almost any class on malformed files, hence the broad handlers.

    Args:
        fetcher: the scan's, where there may be URLs; None makes one for this item alone.
    """
    stage = Stage.FETCH if item.kind is Kind.URL else Stage.READ
    facts = Facts()
    try:
        if item.kind is Kind.URL:
            data, response = _fetch(item.name, config, fetcher)
            facts = replace(_hashed(data), response=response)
            facts = _kept(data, facts, config.save_dir)
        else:
            data = _load(item.name, config.max_bytes)
            facts = _hashed(data)
        stage = Stage.DECODE
        picture = decode.decode(data)
        facts = replace(facts, format=picture.format, width=picture.width, height=picture.height)
        crops = views.cut(picture, config.crops)
        tags, remarks = exif.read(picture, data)
        facts = replace(facts, flags=(*picture.flags, *views.flags(picture), *remarks), exif=tags)
    except Exception as error:
        if isinstance(error, fetch.FetchError):
            facts = replace(facts, response=error.response or facts.response)
        return _failure(item, stage, error, facts)
    return Sample(item, facts, crops)


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


def _load(name: str, limit: int) -> bytes:
    with Path(name).open("rb") as file:
        data = file.read(limit + 1)
    if len(data) > limit:
        raise ValueError(f"larger than {limit} bytes; raise the limit with --max-bytes")
    return data


def _failure(item: Item, stage: Stage, error: Exception, facts: Facts) -> Failure:
    if isinstance(error, OSError) and error.strerror and error.filename is not None:
        message = error.strerror  # the path has a column of its own
    else:
        message = str(error) or type(error).__name__
    return Failure(item, stage, type(error).__name__, message, facts)
