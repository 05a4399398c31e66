"""The bytes of one item -> its crops and facts: hashed, decoded, cropped, and then its EXIF."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from dataclasses import replace
from functools import partial

from sidscan.config import ReadLimits
from sidscan.images import crops, decode, exif, jpeg_quality, limits
from sidscan.records import DecodedImage, Exif, Failure, ImageInfo, Item, Stage, Status
from sidscan.util.files import open_file


def load_file(item: Item, max_bytes: int) -> tuple[bytes, ImageInfo] | Failure:
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
        return failure_from_error(item, Stage.READ, error, ImageInfo())
    return data, info_from_bytes(data)


def decode_item(
    item: Item, data: bytes, facts: ImageInfo, reading: ReadLimits
) -> Iterator[DecodedImage | Failure]:
    """Bytes -> crops, then the same with EXIF, which may take long or kill its reader; scores need none.

    Decoders and metadata parsers raise almost any class on malformed files, hence the broad handler.
    """
    try:
        picture = decode.decode(data, reading, partial(crops.needed_rows, crops=reading.crops))
        facts = replace(facts, format=picture.format, width=picture.width, height=picture.height)
        facts = replace(facts, flags=(*picture.flags, *crops.padding_flags(picture)))
        facts = replace(facts, jpeg_quality=jpeg_quality.estimate_jpeg_quality(picture.image))
        cut = crops.crop(picture, reading.crops)
    except Exception as error:
        yield failure_from_error(item, Stage.DECODE, error, facts)
        return
    yield DecodedImage(item, facts, cut)
    try:
        tags, remarks = exif.read_exif(picture, data, reading)
    except Exception:  # memory, or metadata that even Pillow did not expect
        tags, remarks = Exif(), ("exif_unreadable",)
    yield DecodedImage(item, replace(facts, flags=(*facts.flags, *remarks), exif=tags), cut)


def info_from_bytes(data: bytes) -> ImageInfo:
    """Size and hash of the original bytes."""
    return ImageInfo(bytes=len(data), sha256=hashlib.sha256(data).hexdigest())


def failure_from_error(item: Item, stage: Stage, error: Exception, facts: ImageInfo) -> Failure:
    """The failure that an error stands for; a class that knows its own status has it as ``status``."""
    if isinstance(error, OSError) and error.strerror and error.filename is not None:
        message = error.strerror  # the path has a column of its own
    elif isinstance(error, MemoryError):
        message = "it takes more memory than there is; raise the limit with --memory-limit"
    else:
        message = str(error) or type(error).__name__
    return Failure(item, stage, type(error).__name__, message, facts, _status(error))


def _status(error: Exception) -> Status:
    if isinstance(error, MemoryError):
        return Status.MEMORY_LIMIT
    stated = getattr(error, "status", None)  # of OverLimit, Truncated and FetchError
    return stated if isinstance(stated, Status) else Status.FAILED
