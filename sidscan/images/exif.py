"""EXIF context of a decoded picture.

ExifRead is given the EXIF block that Pillow found, not the file: its own container parsers can loop
for ever on malformed files, and a block is all that a report needs.
"""

from __future__ import annotations

import io
import json
import logging
import math
from dataclasses import replace
from typing import Any

import exifread
from exifread.utils import Ratio, get_gps_coords
from PIL import Image

from sidscan.config import ReadLimits
from sidscan.images.decode import DEFAULT_LIMITS, SourceImage
from sidscan.records import Exif

_EXIF_HEADER = b"Exif\x00\x00"
_USER_COMMENT = 0x9286
_MAX_TEXT = 65536  # characters kept of one tag
_MAX_TAGS_JSON = 1 << 20  # characters of all tags as JSON; many tags may point at the same text
logging.getLogger("exifread").setLevel(logging.CRITICAL)  # its warnings would land between a report's lines


def read_exif(
    picture: SourceImage, data: bytes, reading: ReadLimits = DEFAULT_LIMITS
) -> tuple[Exif, tuple[str, ...]]:
    """EXIF of a picture and remarks on it; malformed EXIF is a remark, never an error."""
    if _metadata_size(picture.image) > reading.max_metadata:
        return Exif(), ("metadata_limit",)
    block = data if picture.format == "TIFF" else _find_exif_block(picture.image.info)
    if not block:
        return Exif(), ()
    file = _MeteredFile(block.removeprefix(_EXIF_HEADER), reading.max_metadata_reads)
    try:
        found = _to_exif(exifread.process_file(file, details=True, extract_thumbnail=False))
    except Exception as error:  # ExifRead raises almost anything on malformed tags
        found = Exif()
        if isinstance(error, MemoryError):
            return found, ("metadata_limit",)
    if file.left < 0 or len(json.dumps(found.tags)) > _MAX_TAGS_JSON:  # whatever ExifRead made of that
        return Exif(), ("metadata_limit",)
    if not found.tags:
        return Exif(), ("exif_unreadable",)
    # pillow-heif rewrites the orientation to 1, since libheif has already turned the pixels
    stated = picture.image.info.get("original_orientation") if picture.format == "HEIF" else None
    return (replace(found, orientation=stated) if stated else found), ()


class _MeteredFile(io.BytesIO):
    """Lends ExifRead a number of reads, which bounds its time: a tag takes a few, a loop takes all."""

    def __init__(self, block: bytes, reads: int) -> None:
        super().__init__(block)
        self.left = reads

    def read(self, size: int | None = -1) -> bytes:
        self.left -= 1
        if self.left < 0:
            raise EOFError("more reads than allowed")
        return super().read(size)


def _metadata_size(image: Image.Image) -> int:
    """Bytes of a picture's metadata, unpacked: what Pillow keeps, JPEG's segments, TIFF's tags."""
    segments = sum(len(segment) for _, segment in getattr(image, "applist", ()))
    parts = [*image.info.values(), *getattr(image, "tag_v2", {}).values()]
    return max(segments, sum(len(part) for part in parts if isinstance(part, (bytes, str, tuple))))


def _find_exif_block(facts: dict[Any, Any]) -> bytes | None:
    """The EXIF block among Pillow's facts; in PNG it may be hexadecimal text below three header lines."""
    block = facts.get("exif")
    if isinstance(block, bytes):
        return block
    profile = facts.get("Raw profile type exif")
    try:
        return bytes.fromhex("".join(profile.split("\n")[3:])) if isinstance(profile, str) else None
    except ValueError:
        return b"not hexadecimal"  # present but unreadable, which is a remark


def _to_exif(tags: dict[str, Any]) -> Exif:
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
        tags={name: _to_json(tag) for name, tag in tags.items() if hasattr(tag, "values")},
    )


def _text(tags: dict[str, Any], name: str) -> str | None:
    if name not in tags:
        return None
    values = tags[name].values
    if isinstance(values, bytes):
        values = values.decode("utf-8", "backslashreplace")
    text = values if isinstance(values, str) else str(tags[name])
    return text.strip(" \x00")[:_MAX_TEXT] or None


def _orientation(tags: dict[str, Any]) -> int | None:
    values = tags["Image Orientation"].values if "Image Orientation" in tags else ()
    return values[0] if values and isinstance(values[0], int) and 1 <= values[0] <= 8 else None


def _coordinates(tags: dict[str, Any]) -> tuple[float | None, float | None]:
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


def _to_json(tag: Any) -> Any:
    """A tag's value as JSON can hold it: text, number, or a list of them; rationals as ``n/d``."""
    if isinstance(tag.values, str):
        return tag.values.strip("\x00")[:_MAX_TEXT]
    raw = _raw_bytes(tag)
    if raw is not None:
        comment = _user_comment(raw) if tag.tag == _USER_COMMENT else None
        return (raw.hex() if comment is None else comment)[:_MAX_TEXT]
    values = [_to_scalar(value) for value in list(tag.values)[:_MAX_TEXT]]
    return values[0] if len(values) == 1 else values


def _raw_bytes(tag: Any) -> bytes | None:
    """The bytes of a tag that holds more than four bytes and no numbers (TIFF types 1 and 7)."""
    if isinstance(tag.values, bytes):
        return tag.values
    if int(getattr(tag.field_type, "value", tag.field_type)) not in (1, 7) or len(tag.values) <= 4:
        return None
    return bytes(tag.values) if all(isinstance(v, int) and 0 <= v < 256 for v in tag.values) else None


def _user_comment(raw: bytes) -> str | None:
    """Text of a UserComment, where generators put prompts; its first eight bytes name the code (EXIF 2.3)."""
    code, text = raw[:8].rstrip(b"\x00 "), raw[8:]
    if code == b"UNICODE":  # byte order is not stated; ASCII letters tell it
        order = "utf-16-be" if text[:2:2] == b"\x00" else "utf-16-le"
        return text.decode(order, "replace").strip("\x00")
    return text.decode("utf-8", "backslashreplace").strip("\x00") if code in (b"ASCII", b"") else None


def _to_scalar(value: Any) -> Any:
    if isinstance(value, Ratio):
        return f"{value.num}/{value.den}"
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    return value if isinstance(value, (int, float, str)) else str(value)
