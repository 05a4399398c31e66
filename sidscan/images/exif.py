"""EXIF of a decoded image.

ExifRead gets the EXIF block that Pillow found, not the file: ExifRead's own container parsers can loop for
ever on malformed files, and a report needs the block alone.
"""

from __future__ import annotations

import io
import json
import logging
import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Protocol

import exifread
from exifread.utils import Ratio, get_gps_coords
from PIL import Image

from sidscan.config import ReadLimits
from sidscan.images.decode import DEFAULT_LIMITS, SourceImage
from sidscan.records import Exif

_EXIF_HEADER = b"Exif\x00\x00"
_USER_COMMENT = 0x9286
_BYTE_TYPES = (1, 7)  # TIFF 6.0, section 2, and EXIF 2.3, section 4.6.2: BYTE and UNDEFINED
_MAX_TEXT = 65536  # characters kept of one tag
_MAX_TAGS_JSON = 1 << 20  # characters of all tags as JSON; many tags may point at the same text
logging.getLogger("exifread").setLevel(logging.CRITICAL)  # its warnings would mix with a report's lines

_Scalar = str | int | float


class _Tag(Protocol):
    """A tag as ExifRead gives it."""

    tag: int
    field_type: int
    values: str | bytes | Sequence[object]


_Tags = Mapping[str, _Tag]


def read_exif(
    source: SourceImage, data: bytes, limits: ReadLimits = DEFAULT_LIMITS
) -> tuple[Exif, tuple[str, ...]]:
    """EXIF of an image, and flags about it. Malformed EXIF gives a flag, never an error.

    Args:
        data: the file that the image was decoded from.
    """
    if _metadata_size(source.image) > limits.max_metadata:
        return Exif(), ("metadata_limit",)
    block = data if source.format == "TIFF" else _find_exif_block(source.image.info)
    if not block:
        return Exif(), ()
    file = _MeteredFile(block.removeprefix(_EXIF_HEADER), limits.max_metadata_reads)
    try:
        raw = exifread.process_file(file, details=True, extract_thumbnail=False)
        exif = _to_exif({name: tag for name, tag in raw.items() if hasattr(tag, "values")})
    except MemoryError:
        return Exif(), ("metadata_limit",)
    except Exception:  # ExifRead raises almost anything on malformed tags
        exif = Exif()
    if file.reads_left < 0 or len(json.dumps(exif.tags)) > _MAX_TAGS_JSON:  # whatever ExifRead made of that
        return Exif(), ("metadata_limit",)
    if not exif.tags:
        return Exif(), ("exif_unreadable",)
    # pillow-heif rewrites the orientation to 1, since libheif has already rotated the pixels
    stated = source.image.info.get("original_orientation") if source.format == "HEIF" else None
    return (replace(exif, orientation=stated) if stated else exif), ()


class _MeteredFile(io.BytesIO):
    """Allows ExifRead a number of reads, which bounds its time: a tag takes a few, a loop takes all."""

    def __init__(self, block: bytes, reads: int) -> None:
        super().__init__(block)
        self.reads_left = reads

    def read(self, size: int | None = -1) -> bytes:
        self.reads_left -= 1
        if self.reads_left < 0:
            raise EOFError("more reads than allowed")
        return super().read(size)


def _metadata_size(image: Image.Image) -> int:
    """Bytes of an image's metadata, unpacked: what Pillow holds, JPEG's segments, TIFF's tags."""
    segments = sum(len(segment) for _, segment in getattr(image, "applist", ()))
    values = [*image.info.values(), *getattr(image, "tag_v2", {}).values()]
    return max(segments, sum(len(value) for value in values if isinstance(value, (bytes, str, tuple))))


def _find_exif_block(info: Mapping[str | tuple[int, int], object]) -> bytes | None:
    """The EXIF block in Pillow's ``info``; in PNG it may be hexadecimal text below three header lines."""
    block = info.get("exif")
    if isinstance(block, bytes):
        return block
    profile = info.get("Raw profile type exif")
    try:
        return bytes.fromhex("".join(profile.split("\n")[3:])) if isinstance(profile, str) else None
    except ValueError:
        return b"not hexadecimal"  # present but unreadable, which gives a flag


def _to_exif(tags: _Tags) -> Exif:
    latitude, longitude = _coordinates(tags)
    return Exif(
        make=_text(tags, "Image Make"),
        model=_text(tags, "Image Model"),
        lens=_text(tags, "EXIF LensModel"),
        original_date=_text(tags, "EXIF DateTimeOriginal"),
        software=_text(tags, "Image Software"),
        latitude=latitude,
        longitude=longitude,
        orientation=_orientation(tags),
        tags={name: _to_json(tag) for name, tag in tags.items()},
    )


def _text(tags: _Tags, name: str) -> str | None:
    if name not in tags:
        return None
    values = tags[name].values
    if isinstance(values, bytes):
        values = values.decode("utf-8", "backslashreplace")
    text = values if isinstance(values, str) else str(tags[name])
    return text.strip(" \x00")[:_MAX_TEXT] or None


def _orientation(tags: _Tags) -> int | None:
    values = tags["Image Orientation"].values if "Image Orientation" in tags else ()
    return values[0] if values and isinstance(values[0], int) and 1 <= values[0] <= 8 else None


def _coordinates(tags: _Tags) -> tuple[float | None, float | None]:
    """Latitude and longitude in degrees; both None where they are missing or impossible."""
    try:
        position = get_gps_coords(dict(tags))  # a copy: it replaces entries
    except Exception:  # rationals that divide by zero, texts where numbers belong
        return None, None
    if position is None:
        return None, None
    latitude, longitude = position
    if abs(latitude) > 90 or abs(longitude) > 180 or not math.isfinite(latitude + longitude):
        return None, None
    return round(latitude, 7), round(longitude, 7)


def _to_json(tag: _Tag) -> _Scalar | list[_Scalar]:
    """A tag's value as JSON can hold it: text, a number, or a list of them; rationals as ``n/d``."""
    if isinstance(tag.values, str):
        return tag.values.strip("\x00")[:_MAX_TEXT]
    raw = _raw_bytes(tag)
    if raw is not None:
        comment = _user_comment(raw) if tag.tag == _USER_COMMENT else None
        return (raw.hex() if comment is None else comment)[:_MAX_TEXT]
    values = [_to_scalar(value) for value in list(tag.values)[:_MAX_TEXT]]
    return values[0] if len(values) == 1 else values


def _raw_bytes(tag: _Tag) -> bytes | None:
    """The bytes of a tag that holds more than four bytes and no numbers."""
    if isinstance(tag.values, bytes):
        return tag.values
    if int(getattr(tag.field_type, "value", tag.field_type)) not in _BYTE_TYPES or len(tag.values) <= 4:
        return None
    values = [value for value in tag.values if isinstance(value, int) and 0 <= value < 256]
    return bytes(values) if len(values) == len(tag.values) else None


def _user_comment(raw: bytes) -> str | None:
    """Text of a UserComment, where generators put prompts; its first eight bytes name the code (EXIF 2.3)."""
    code, text = raw[:8].rstrip(b"\x00 "), raw[8:]
    if code == b"UNICODE":  # EXIF does not state the byte order; ASCII letters reveal it
        order = "utf-16-be" if text[:2:2] == b"\x00" else "utf-16-le"
        return text.decode(order, "replace").strip("\x00")
    return text.decode("utf-8", "backslashreplace").strip("\x00") if code in (b"ASCII", b"") else None


def _to_scalar(value: object) -> _Scalar:
    if isinstance(value, Ratio):
        return f"{value.num}/{value.den}"
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    return value if isinstance(value, (int, float, str)) else str(value)
