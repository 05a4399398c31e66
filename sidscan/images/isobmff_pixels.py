"""HEIC and AVIF files without metadata and without sequences of images (ISO/IEC 14496-12 and 23008-12)."""

from __future__ import annotations

import re
from collections.abc import Iterator

from sidscan.containers.isobmff import Box, boxes, find_box

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
            for at in (start + 8, *range(start + 16, stop - 3, 4)):  # its brand, and compatible ones
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
        box = next(boxes(data, start), None)
        if box and (box.kind in _FOLLOWED or _is_followed(data, box)):
            yield box.kind, start, box.end
            start = box.end
            continue
        following = next(_needed_boxes(data, start + 8), None)
        if following is None:
            return
        yield _PASSED_OVER, start, following
        start = following


def _is_followed(data: bytes, box: Box) -> bool:
    """Whether another box or the end of the file follows."""
    return box.end == len(data) or _KIND.match(data, box.end + 4) is not None


def _needed_boxes(data: bytes, start: int) -> Iterator[int]:
    """Where boxes may begin that hold pixels or say where they are."""
    for match in _NEEDED.finditer(data, start + 4):
        box = next(boxes(data, match.start() - 4), None)
        if box and _is_followed(data, box):
            yield box.start


def _metadata_names(data: bytes) -> list[int]:
    """Where the types of items and properties stand that are metadata."""
    found = []
    if items := find_box(data, b"meta", b"iinf"):
        for box in boxes(data, items.body + (8 if data[items.body] else 6), items.end):
            at = box.body + (8 if data[box.body] < 3 else 10)  # version 2 has item ids of 16 bits
            if box.kind == b"infe" and data[at : at + 4] in _METADATA_ITEMS:
                found.append(at)
    if properties := find_box(data, b"meta", b"iprp", b"ipco"):
        for box in boxes(data, properties.body, properties.end):
            if box.kind == b"colr" and data[box.body : box.body + 4] not in _CODED_COLOURS:
                found.append(box.body - 4)
    return found
