"""Item -> Sample | Failure: the original bytes are read once, hashed, decoded, and cut into views."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path

from sidscan.config import ScanConfig
from sidscan.readers import decode, exif, fetch, views
from sidscan.records import Facts, Failure, Item, Kind, Sample, Stage


def read(item: Item, config: ScanConfig) -> Sample | Failure:
    """Read one input. Whatever goes wrong with it becomes a `Failure`; nothing is raised but interrupts.

    Decoders and metadata parsers raise almost any class on malformed files, hence the broad handlers.
    """
    stage = Stage.FETCH if item.kind is Kind.URL else Stage.READ
    facts = Facts()
    try:
        data = fetch.get(item.name, config) if item.kind is Kind.URL else _load(item.name, config.max_bytes)
        facts = Facts(bytes=len(data), sha256=hashlib.sha256(data).hexdigest())
        stage = Stage.DECODE
        picture = decode.decode(data)
        facts = replace(facts, format=picture.format, width=picture.width, height=picture.height)
        crops = views.cut(picture, config.crops)
        tags, remarks = exif.read(picture, data)
        facts = replace(facts, flags=(*picture.flags, *views.flags(picture), *remarks), exif=tags)
    except Exception as error:
        return _failure(item, stage, error, facts)
    return Sample(item, facts, crops)


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
