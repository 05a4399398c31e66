"""Boxes of ISO base media and JPEG 2000 files (ISO/IEC 14496-12), and how HEIC says that an image is to be
turned.

Items of a file are associated with properties (ISO/IEC 23008-12, section 6.5): among them `irot`, a rotation,
and `imir`, a mirroring. EXIF's orientation has no say.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator

from sidscan.images.boxes import boxes

_SEQUENCE_BRANDS = {b"avis": b"avif", b"msf1": b"mif1", b"hevc": b"heic", b"hevx": b"heix"}
_CODED_COLOURS = (b"nclx", b"nclc")  # what turns YCbCr into RGB; other descriptions are profiles
_METADATA_ITEMS = (b"Exif", b"mime")
_NEEDED, _KIND = re.compile(rb"meta|mdat"), re.compile(rb"[A-Za-z0-9 ]{4}")
_FOLLOWED = (b"ftyp", b"meta", b"mdat")  # whatever follows them
_PASSED_OVER = b"free"  # a box, or type of an item, that decoders ignore


def primary_image_only(data: bytes) -> tuple[bytes, bool, bool]:
    """The file with metadata and its sequence of images renamed, and whether it had either.

    Decoders pass over what they don't know; nothing moves, because a file states where its pixels are. What
    follows the last box that can be followed is cut off.
    """
    changed, has_metadata, has_frames, end = bytearray(data), False, False, 0
    for kind, start, stop in _top_boxes(data):
        if kind == b"ftyp":
            for at in (
                start + 8,
                *range(start + 16, stop - 3, 4),
            ):  # brand, version, brands
                changed[at : at + 4] = _SEQUENCE_BRANDS.get(data[at : at + 4], data[at : at + 4])
            has_frames = changed[start:stop] != data[start:stop]
        elif kind == b"moov":
            changed[start + 4 : start + 8] = _PASSED_OVER
            has_frames = True
        elif kind == _PASSED_OVER:
            has_metadata |= data[start + 4 : start + 8] != _PASSED_OVER
            changed[start : start + 8] = (stop - start).to_bytes(4, "big") + _PASSED_OVER
        end = stop
    for at in _metadata_names(bytes(changed)):
        changed[at : at + 4] = _PASSED_OVER
        has_metadata = True
    return bytes(changed[:end]), has_metadata or end < len(data), has_frames


def _top_boxes(data: bytes) -> Iterator[tuple[bytes, int, int]]:
    """Type, start and end of each box of the file; what can't be followed is a box to pass over."""
    start = 0
    while start + 8 <= len(data):
        kind, place = next(boxes(data, start), (b"", range(0)))
        if place and (kind in _FOLLOWED or place.stop == len(data) or _KIND.match(data, place.stop + 4)):
            yield kind, start, place.stop
            start = place.stop
            continue
        following = next((at for at in _known_boxes(data, start + 8)), None)
        if following is None:
            return
        yield _PASSED_OVER, start, following
        start = following


def _known_boxes(data: bytes, start: int) -> Iterator[int]:
    """Where boxes may begin that hold pixels or say where they are."""
    for match in _NEEDED.finditer(data, start + 4):
        at = match.start() - 4
        place = next(boxes(data, at), (b"", range(0)))[1]
        if place and (place.stop == len(data) or _KIND.match(data, place.stop + 4)):
            yield at


def _metadata_names(data: bytes) -> list[int]:
    """Where the types of items and properties stand that are metadata."""
    found = []
    if items := _find(data, b"meta", b"iinf"):
        head = 8 if data[items.start] else 6
        for kind, place in boxes(data, items.start + head, items.stop):
            at = place.start + (8 if data[place.start] < 3 else 10)  # version 2 has item ids of 16 bits
            if kind == b"infe" and data[at : at + 4] in _METADATA_ITEMS:
                found.append(at)
    if properties := _find(data, b"meta", b"iprp", b"ipco"):
        for kind, place in boxes(data, properties.start, properties.stop):
            if kind == b"colr" and data[place.start : place.start + 4] not in _CODED_COLOURS:
                found.append(place.start - 4)
    return found


def content(data: bytes, *path: bytes) -> bytes:
    """The content of the first box with this path of kinds; empty if there is none."""
    box = find_box(data, *path)
    return data[box.body : box.end] if box else b""


def is_turned(data: bytes) -> bool:
    """Whether the primary image has a rotation or mirroring; False where the file can't be followed."""
    try:
        properties = _primary_properties(data)
    except struct.error:
        return False
    return any(
        kind == b"imir" or (kind == b"irot" and data[place.start] & 3) for kind, place in properties if place
    )


def _primary_properties(data: bytes) -> list[tuple[bytes, range]]:
    primary, association = _find(data, b"meta", b"pitm"), _find(data, b"meta", b"iprp", b"ipma")
    container = _find(data, b"meta", b"iprp", b"ipco")
    if not primary or not association or not container:
        return []
    item = _number(data, primary.start + 4, 4 if data[primary.start] else 2)
    properties = list(boxes(data, container.start, container.stop))
    indices = _associations(data, association).get(item, [])
    return [properties[index - 1] for index in indices if 0 < index <= len(properties)]


def _find(data: bytes, *path: bytes) -> range | None:
    """Where the content of the first box with this path of types is; of `meta`, without version and flags."""
    place = range(len(data))
    for wanted in path:
        found = next((inner for kind, inner in boxes(data, place.start, place.stop) if kind == wanted), None)
        if found is None:
            return None
        place = range(found.start + 4, found.stop) if wanted == b"meta" else found
    return place


def _associations(data: bytes, box: range) -> dict[int, list[int]]:
    """Item -> numbers of its properties, counted from 1 (ISO/IEC 23008-12, section 9.3)."""
    version, flags = data[box.start], _number(data, box.start + 1, 3)
    id_bytes, index_bytes = 4 if version else 2, 2 if flags & 1 else 1
    count, at = _number(data, box.start + 4, 4), box.start + 8
    found: dict[int, list[int]] = {}
    for _ in range(count):
        if at >= box.stop:
            break
        item, at = _number(data, at, id_bytes), at + id_bytes
        total, at = _number(data, at, 1), at + 1
        essential = 1 << (8 * index_bytes - 1)
        numbers = (_number(data, at + index * index_bytes, index_bytes) for index in range(total))
        found.setdefault(item, []).extend(number & ~essential for number in numbers)
        at += total * index_bytes
    return found


def _number(data: bytes, at: int, size: int) -> int:
    """A whole number; struct.error behind the end of the file."""
    if at + size > len(data):
        raise struct.error("the file ends within a box")
    return int.from_bytes(data[at : at + size], "big")
