"""EXIF of a decoded image.

ExifRead gets the EXIF block that Pillow found, not the file: ExifRead's own container parsers can loop for
ever on malformed files, and a report needs the block alone. A tag that can't be read costs that tag, not the
others. Of maker notes, what ExifRead decodes is kept; their bytes, tens of kilobytes a row, are not.
"""

from __future__ import annotations

import io
import json
import logging
import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Literal, Protocol

import exifread
from exifread.utils import Ratio
from PIL import Image

from sidscan.config import ReadLimits
from sidscan.containers.png import profile_content
from sidscan.containers.user_comment import decode_user_comment
from sidscan.images import raw
from sidscan.images.decode import DEFAULT_LIMITS, SourceImage
from sidscan.images.exif_dates import iso_date, iso_gps_date
from sidscan.records import Exif

_TIFF_HEADERS = (b"II*\x00", b"MM\x00*")  # TIFF 6.0, section 2
_PREAMBLE = 32  # bytes in which the TIFF header must begin: `Exif` and zeros, or what writers put before it
_BIG_TIFF = (b"II+\x00", b"MM\x00+")  # which ExifRead does not read
_EXIF_IFD, _GPS_IFD = 0x8769, 0x8825
_USER_COMMENT = 0x9286
_SHORT_BYTES = 32  # a maker note's field of more bytes than this is left out
_PNG_PROFILES = ("Raw profile type exif", "Raw profile type APP1")  # as ImageMagick writes them into texts
_HEMISPHERES = {"N": "NORTH", "S": "SOUTH", "E": "EAST", "W": "WEST"}
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
    block = _find_exif_block(source, data)
    if not block:
        return Exif(), ()
    try:
        raw, complete = _read_tags(block, limits.max_metadata_reads)
    except (MemoryError, EOFError):
        return Exif(), ("metadata_limit",)
    exif, flags = _to_exif(raw)
    if len(json.dumps(exif.tags)) > _MAX_TAGS_JSON:
        return Exif(), ("metadata_limit",)
    if not exif.tags:
        return Exif(), () if _holds_no_tag(block) else ("exif_unreadable",)
    if exif.unread_tags or not complete:
        flags += ("exif_incomplete",)
    # pillow-heif rewrites the orientation to 1, since libheif has already rotated the pixels
    stated = source.image.info.get("original_orientation") if source.format == "HEIF" else None
    return (replace(exif, orientation=stated) if stated else exif), flags


def _read_tags(block: bytes, reads: int) -> tuple[_Tags, bool]:
    """The tags of a block, and whether its maker note could be read; empty if nothing can.

    Raises:
        EOFError: it takes more reads than allowed.
        MemoryError: ExifRead needed more memory than there is.
    """
    for details in (True, False):  # once more without the maker note, which is where most writers err
        file = _MeteredFile(block, reads)
        try:
            raw = exifread.process_file(file, details=details, extract_thumbnail=False)
            found = {name: tag for name, tag in raw.items() if hasattr(tag, "values")}
        except MemoryError:
            raise
        except Exception:  # ExifRead raises almost anything on malformed tags
            found = {}
        if file.reads_left < 0:  # whatever ExifRead made of that
            raise EOFError("more reads than allowed")
        if found:
            return found, details
    return {}, False


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


def _find_exif_block(source: SourceImage, data: bytes) -> bytes | None:
    """The EXIF block, from its TIFF header on; None where there is no EXIF."""
    is_raw = source.original_size is not None or "developed" in source.flags
    if is_raw and (own := raw.exif_block(data)):
        return own
    if source.format == "TIFF":
        return _of_big_tiff(data) if data[:4] in _BIG_TIFF else data
    block = source.image.info.get("exif")
    if isinstance(block, bytes):
        return _from_tiff_header(block) or block  # present but unreadable, which gives a flag
    for name in _PNG_PROFILES:
        if isinstance(text := source.image.info.get(name), str) and (block := _png_profile(text)):
            return block
    return None


def _holds_no_tag(block: bytes) -> bool:
    """Whether it is a TIFF block whose first directory has no entry, which some programs write."""
    if not block.startswith(_TIFF_HEADERS):
        return False
    order: Literal["little", "big"] = "little" if block.startswith(b"II") else "big"
    start = int.from_bytes(block[4:8], order)
    entries = block[start : start + 2]
    return len(entries) == 2 and not any(entries)


def _of_big_tiff(data: bytes) -> bytes:
    """The tags of a BigTIFF file as a TIFF block; bytes that are none where they can't be read."""
    block = Image.Exif()
    try:
        exif = Image.open(io.BytesIO(data), formats=["TIFF"]).getexif()
        for number, value in exif.items():
            if isinstance(value, (str, int, float)) and number not in (_EXIF_IFD, _GPS_IFD):
                block[number] = value
        for number in (_EXIF_IFD, _GPS_IFD):
            if ifd := exif.get_ifd(number):
                block.get_ifd(number).update(ifd)
        return _from_tiff_header(block.tobytes()) or b"no header"
    except Exception:  # Pillow raises almost anything on malformed tags, too
        return b"malformed"


def _from_tiff_header(block: bytes) -> bytes | None:
    """A block without what writers put before its TIFF header; None where there is no header."""
    starts = [start for header in _TIFF_HEADERS if (start := block.find(header, 0, _PREAMBLE)) >= 0]
    return block[min(starts) :] if starts else None


def _png_profile(text: str) -> bytes | None:
    """The EXIF block in a PNG text, as ImageMagick writes it; None if it is something else.

    A profile of the type APP1 may hold XMP instead.
    """
    raw = text.encode("utf-8", "replace")
    profile = profile_content(raw)
    if profile is None:
        return raw[:_PREAMBLE]  # present but unreadable
    return _from_tiff_header(profile) or (None if b"http" in profile[:_PREAMBLE] else profile)


def _to_exif(raw: _Tags) -> tuple[Exif, tuple[str, ...]]:
    """What a report has of the tags, and flags about it."""
    tags, readable, unread = {}, {}, 0
    for name, tag in raw.items():
        try:
            if not _is_bytes_of_maker_note(name, tag):
                tags[name] = _to_json(tag)
            readable[name] = tag
        except Exception:  # values of types that nobody foresaw
            unread += 1
    (latitude, longitude), flags = _position(readable)
    exif = Exif(
        make=_text(readable, "Image Make"),
        model=_text(readable, "Image Model"),
        lens=_text(readable, "EXIF LensModel"),
        original_date=_original_text(readable),
        original_date_iso=_original_date(readable),
        gps_date_iso=_gps_date(readable),
        software=_text(readable, "Image Software"),
        latitude=latitude,
        longitude=longitude,
        orientation=_orientation(readable),
        tags=tags,
        unread_tags=unread,
    )
    return exif, flags


def _is_bytes_of_maker_note(name: str, tag: _Tag) -> bool:
    if name == "EXIF MakerNote":
        return True
    return name.startswith("MakerNote ") and len(_raw_bytes(tag) or b"") > _SHORT_BYTES


def _text(tags: _Tags, name: str) -> str | None:
    if name not in tags:
        return None
    values = tags[name].values
    if isinstance(values, bytes):
        values = values.decode("utf-8", "backslashreplace")
    text = values if isinstance(values, str) else str(tags[name])
    return text.strip(" \x00")[:_MAX_TEXT] or None


def _original_text(tags: _Tags) -> str | None:
    """DateTimeOriginal as stated; writers of TIFF put it into the first directory, too."""
    return _text(tags, "EXIF DateTimeOriginal") or _text(tags, "Image DateTimeOriginal")


def _original_date(tags: _Tags) -> str | None:
    """DateTimeOriginal as ISO 8601, with its sub-seconds and its offset from UTC where they are stated."""
    date, offset = _original_text(tags), _text(tags, "EXIF OffsetTimeOriginal")
    if offset is None:  # the same moment by the same clock has the same offset
        others = (
            ("EXIF DateTimeDigitized", "EXIF OffsetTimeDigitized"),
            ("Image DateTime", "EXIF OffsetTime"),
        )
        offset = next((_text(tags, zone) for name, zone in others if _text(tags, name) == date), None)
    return iso_date(date, _text(tags, "EXIF SubSecTimeOriginal"), offset)


def _gps_date(tags: _Tags) -> str | None:
    """When the position was measured, ISO 8601, UTC."""
    clock = tags.get("GPS GPSTimeStamp")
    return iso_gps_date(
        _text(tags, "GPS GPSDate"), [_number(part) for part in _values(clock)] if clock else ()
    )


def _orientation(tags: _Tags) -> int | None:
    values = _values(tags["Image Orientation"]) if "Image Orientation" in tags else []
    return values[0] if values and isinstance(values[0], int) and 1 <= values[0] <= 8 else None


def _position(tags: _Tags) -> tuple[tuple[float | None, float | None], tuple[str, ...]]:
    """Latitude and longitude in degrees, and flags.

    Both are None, with a flag, where they are stated but one of them can't be read or is impossible. A sign
    is never guessed: without a readable hemisphere there is no position.
    """
    stated = [f"GPS GPS{axis}" for axis in ("Latitude", "Longitude")]
    if not any(name in tags for name in stated) or _is_placeholder([tags.get(name) for name in stated]):
        return (None, None), ()
    latitude, longitude = (
        _degrees(tags.get(name), tags.get(f"{name}Ref"), hemispheres, limit)
        for name, hemispheres, limit in zip(stated, ("NS", "EW"), (90, 180), strict=True)
    )
    if latitude is None or longitude is None:
        return (None, None), ("position_unreadable",)
    return (latitude, longitude), ()


def _is_placeholder(axes: Sequence[_Tag | None]) -> bool:
    """Whether all numbers are 0/0, as cameras write them that know no position."""
    numbers = [value for tag in axes if tag for value in _values(tag)]
    return all(isinstance(value, Ratio) and not value.num and not value.den for value in numbers)


def _degrees(tag: _Tag | None, ref: _Tag | None, hemispheres: str, limit: int) -> float | None:
    """Up to three of degrees, minutes and seconds, and a hemisphere -> signed degrees (EXIF 2.3, 4.6.6)."""
    hemisphere = _hemisphere(ref)
    numbers = [_number(value) for value in _values(tag)] if tag else []
    if hemisphere is None or hemisphere not in hemispheres or not 1 <= len(numbers) <= 3:
        return None
    parts = [number for number in numbers if number is not None and 0 <= number < math.inf]
    if len(parts) < len(numbers) or any(part > 60 for part in parts[1:]):
        return None
    degrees = sum(part / unit for part, unit in zip(parts, (1, 60, 3600), strict=False))
    return None if degrees > limit else round(-degrees if hemisphere in "SW" else degrees, 7)


def _hemisphere(ref: _Tag | None) -> str | None:
    """N, S, E or W, from the letter or the word, in either case and whatever its type; None otherwise."""
    if ref is None:
        return None
    text = ref.values
    if not isinstance(text, str):
        text = "".join(chr(value) for value in _values(ref) if isinstance(value, int) and 0 <= value < 128)
    text = text.strip(" \x00").upper()
    return next((letter for letter, word in _HEMISPHERES.items() if text in (letter, word)), None)


def _number(value: object) -> float | None:
    if isinstance(value, Ratio):
        return value.num / value.den if value.den else None
    return float(value) if isinstance(value, (int, float)) else None


def _values(tag: _Tag) -> list[object]:
    """The values of a tag; ExifRead gives bare numbers for some maker notes, and floats in tuples of one."""
    values = list(tag.values) if isinstance(tag.values, (str, bytes, Sequence)) else [tag.values]
    return [value[0] if isinstance(value, tuple) and len(value) == 1 else value for value in values]


def _to_json(tag: _Tag) -> _Scalar | list[_Scalar]:
    """A tag's value as JSON can hold it: text, a number, or a list of them; rationals as ``n/d``."""
    if isinstance(tag.values, str):
        return tag.values.strip("\x00")[:_MAX_TEXT]
    raw = _raw_bytes(tag)
    if raw is not None:
        comment = decode_user_comment(raw) if tag.tag == _USER_COMMENT else None
        return (raw.hex() if comment is None else comment)[:_MAX_TEXT]
    values = [_to_scalar(value) for value in _values(tag)[:_MAX_TEXT]]
    return values[0] if len(values) == 1 else values


def _raw_bytes(tag: _Tag) -> bytes | None:
    """The bytes of a tag that holds more than four bytes and no numbers."""
    if isinstance(tag.values, bytes):
        return tag.values
    if int(getattr(tag.field_type, "value", tag.field_type)) not in _BYTE_TYPES:
        return None
    values = _values(tag)
    octets = [value for value in values if isinstance(value, int) and 0 <= value < 256]
    return bytes(octets) if len(octets) == len(values) > 4 else None


def _to_scalar(value: object) -> _Scalar:
    if isinstance(value, Ratio):
        return f"{value.num}/{value.den}"
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    return value if isinstance(value, (int, float, str)) else str(value)
