"""The bytes of an item become its crops and facts: hash, decode, crop, then read EXIF."""

from __future__ import annotations

import hashlib
import io
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from functools import cached_property

from PIL import Image

from sidscan.archives.reading import open_member
from sidscan.archives.warc import Capture
from sidscan.config import ReadLimits
from sidscan.images import crops, decode
from sidscan.images.decode import Rows, SourceImage
from sidscan.images.errors import FormatNotRead
from sidscan.images.exif import read_exif
from sidscan.images.jpeg_quality import estimate_jpeg_quality
from sidscan.images.limits import TooLarge
from sidscan.images.lossless import is_lossless
from sidscan.images.perceptual_hash import perceptual_hash
from sidscan.images.thumbnails import small_image, thumbnail
from sidscan.images.views import make_views, needed_rows
from sidscan.records import DecodedImage, Exif, Failure, ImageInfo, Item, Kind, Response, Stage, Status
from sidscan.util.files import open_file
from sidscan.util.magic import identify
from sidscan.util.member_names import find_archive


def named_item(name: str) -> Item:
    """The item of a file, or a member of an archive, that somebody named."""
    return Item(name, Kind.MEMBER if find_archive(name) else Kind.FILE)


def load_item(item: Item, max_bytes: int) -> tuple[bytes, ImageInfo] | Failure:
    """The bytes of a file or a member of an archive, read once, with their hash."""
    return load_member(item, max_bytes) if item.kind is Kind.MEMBER else load_file(item, max_bytes)


def load_member(item: Item, max_bytes: int) -> tuple[bytes, ImageInfo] | Failure:
    """The bytes of a member of an archive, with their hash."""
    try:
        member = open_member(item.name, item.fingerprint)
        if member.span.size > max_bytes:
            raise TooLarge(f"larger than {max_bytes} bytes; raise the limit with --max-bytes")
        buffer = io.BytesIO()  # whose bytes are taken without a copy
        buffer.writelines(member.read())
        data = buffer.getvalue()
        response = _response(member.capture())
    except Exception as error:
        return failure_from_error(item, Stage.READ, error, ImageInfo())
    modified_at = member.span.modified_at or None
    return data, replace(info_from_bytes(data), modified_at=modified_at, response=response)


def _response(capture: Capture | None) -> Response | None:
    """What a web archive says of a member, as of a URL that was fetched then."""
    if capture is None:
        return None
    return Response(capture.url, (), capture.http_status, None, capture.date or None, capture.headers)


@dataclass(frozen=True)
class OpenedImage:
    """An image that is open: all that can still be read of it.

    Attributes:
        data: the original bytes.
        orientation: as EXIF states it; None where the container turned the image already.
    """

    source: SourceImage
    data: bytes
    orientation: int | None

    @cached_property
    def small(self) -> Image.Image:
        """The image in small, turned as it is shown (`images.thumbnails`); made once.

        Raises:
            Exception: whatever Pillow raises on images that it can't reduce.
        """
        return small_image(self.source, self.data, self.orientation)


LastStep = Callable[[DecodedImage | Failure, OpenedImage | None], DecodedImage | Failure]
"""Adds to an image what else its file tells; the image is None where it could not be decoded."""


def load_file(item: Item, max_bytes: int) -> tuple[bytes, ImageInfo] | Failure:
    """The bytes of a file, read once, with their hash."""
    try:
        with open_file(item.name) as file:
            status = os.fstat(file.fileno())
            size = status.st_size  # nothing is read of a terabyte; but a file may grow
            data = file.read(size + 1) if size <= max_bytes else b""
            if len(data) > size:
                data += file.read(max_bytes + 1 - len(data))
        if max(size, len(data)) > max_bytes:
            raise TooLarge(f"larger than {max_bytes} bytes; raise the limit with --max-bytes")
    except Exception as error:
        return failure_from_error(item, Stage.READ, error, ImageInfo())
    return data, replace(info_from_bytes(data), modified_at=_utc(status.st_mtime))


def decode_item(
    item: Item, data: bytes, info: ImageInfo, limits: ReadLimits, last_step: LastStep | None = None
) -> Iterator[DecodedImage | Failure]:
    """Yield the crops of an image, then the same with EXIF and, if asked for, a small image; or one failure.

    Pictures of the whole image, and all pixels, come with the crops where they are asked for.

    EXIF comes last because reading it may take long or kill the process, and scores do not need it.
    Decoders and metadata parsers raise almost any class on malformed files, hence the broad handlers.

    Args:
        last_step: adds to the last result, while the image is open. It must not fail.
    """
    try:
        source = decode.decode(data, limits, _rows(limits), item.name)
        decoded = _crop_source(item, source, info, limits, data)
    except Exception as error:
        known = identify(data)  # so that another decoder of this format reads it again
        info = replace(info, format=known.name if known else None)
        failure = failure_from_error(item, Stage.DECODE, error, info)
        yield last_step(failure, None) if last_step else failure
        return
    yield decoded
    try:
        exif, flags = read_exif(source, data, limits)
    except Exception:  # memory is short, or even Pillow did not expect such metadata
        exif, flags = Exif(), ("exif_unreadable",)
    info = replace(decoded.facts, flags=(*decoded.facts.flags, *flags), exif=exif)
    turned = "rotated_by_container" in info.flags  # then EXIF states what was before
    opened = OpenedImage(source, data, None if turned else exif.orientation)
    decoded = _with_small_image(replace(decoded, facts=info), opened, limits)
    yield last_step(decoded, opened) if last_step else decoded


def _with_small_image(decoded: DecodedImage, opened: OpenedImage, limits: ReadLimits) -> DecodedImage:
    """Add thumbnail and perceptual hash, if asked for; where they can't be made, that costs no score."""
    if not limits.thumbnails and not limits.find_copies:
        return decoded
    try:
        small = opened.small
        facts = replace(decoded.facts, perceptual_hash=perceptual_hash(small) if limits.find_copies else None)
        return replace(decoded, facts=facts, thumbnail=thumbnail(small) if limits.thumbnails else b"")
    except Exception:
        return decoded


def decode_pillow(item: Item, image: Image.Image, limits: ReadLimits) -> DecodedImage | Failure:
    """The crops of an image that somebody opened with Pillow, within the limits of its size."""
    try:
        return _crop_source(item, decode.source_from_pillow(image, limits), ImageInfo(), limits)
    except Exception as error:
        return failure_from_error(item, Stage.DECODE, error, ImageInfo())


def _crop_source(
    item: Item, source: SourceImage, info: ImageInfo, limits: ReadLimits, data: bytes = b""
) -> DecodedImage:
    is_preview = source.original_size is not None
    width, height = source.original_size or (source.width, source.height)
    info = replace(
        info,
        format=source.format,
        width=width or None,
        height=height or None,
        preview_width=source.width if is_preview else None,
        preview_height=source.height if is_preview else None,
        flags=(*source.flags, *crops.padding_flags(source)),
        jpeg_quality=estimate_jpeg_quality(source.image),
        lossless=is_lossless(source.format, data),
    )
    pixels = source.pixels() if limits.pixels else None
    views = make_views(source, limits.views)
    return DecodedImage(item, info, crops.crop(source, limits.crops), pixels=pixels, views=views)


def _rows(limits: ReadLimits) -> Rows | None:
    """Which rows of an image are read, from its height: those of its crops and views; None for all."""
    if limits.pixels or any(view.resize is not None for view in limits.views):
        return None
    return lambda height: [*crops.needed_rows(height, limits.crops), *needed_rows(height, limits.views)]


def _utc(seconds: float) -> str | None:
    """A file's time, ISO 8601, UTC; None for one that no calendar has."""
    try:
        return datetime.fromtimestamp(seconds, timezone.utc).isoformat(timespec="seconds")
    except (ValueError, OverflowError, OSError):
        return None


def info_from_bytes(data: bytes) -> ImageInfo:
    """Size and hash of the original bytes."""
    return ImageInfo(bytes=len(data), sha256=hashlib.sha256(data).hexdigest())


def failure_from_error(item: Item, stage: Stage, error: Exception, info: ImageInfo) -> Failure:
    """The failure that an error stands for. An error class may state its status as ``status``."""
    if isinstance(error, OSError) and error.strerror and error.filename is not None:
        message = error.strerror  # the path has a column of its own
    elif isinstance(error, MemoryError):
        message = "it takes more memory than there is; raise the limit with --memory-limit"
    else:
        message = str(error) or type(error).__name__
    if isinstance(error, FormatNotRead):
        info = replace(info, format=error.format)
    name = "MemoryError" if isinstance(error, MemoryError) else type(error).__name__  # NumPy has its own
    return Failure(item, stage, name, message, info, _status_of(error))


def _status_of(error: Exception) -> Status:
    if isinstance(error, MemoryError):
        return Status.MEMORY_LIMIT
    status = getattr(error, "status", None)  # OverLimit, Truncated and FetchError have one
    return status if isinstance(status, Status) else Status.FAILED
