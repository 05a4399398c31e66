"""Segments of JPEG (ITU-T T.81, annex B) up to the first scan: marker, length and body."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

from sidscan.images.left_out import FRAMES, METADATA, PixelsOnly

_SOS, _COM, _APP0, _APP14 = 0xDA, 0xFE, 0xE0, 0xEE
_DQT, _DHT, _DRI, _SOI, _EOI = 0xDB, 0xC4, 0xDD, 0xD8, 0xD9
_METADATA_MARKERS = frozenset((*range(0xE0, 0xF0), _COM))
_FRAME_MARKERS = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_FRAME, _HUFFMAN_FRAMES = 0xC0, (0xC0, 0xC1, 0xC2)
_MARKERS = {*_METADATA_MARKERS, *_FRAME_MARKERS, 0xC4, 0xCC, _SOS, _DQT, 0xDC, 0xDD}
# Markers that are no damaged metadata.
_SURE_MARKERS = [bytes([marker]) for marker in {*_MARKERS, _SOI, _EOI} - {*_FRAME_MARKERS}]
_JPEG_MARK = re.compile(rb"\xff[\xc0-\xcf\xd8-\xdf\xe0-\xef\xfe]")
_IDENTIFIER = re.compile(rb"JFIF\x00|JFXX\x00|Exif\x00|http://|ICC_PROFILE\x00|Photoshop |Adobe|MPF\x00")
_RESTART_MARK = re.compile(rb"\xff[\xd0-\xd7\xd9]")
_JFIF_BYTES, _ADOBE_BYTES = 14, 12  # without which libjpeg ignores them
_CMYK_COMPONENTS = 4


class _Segment(NamedTuple):
    """A segment of a JPEG: its marker, and where its marker, its body and the next segment begin."""

    marker: int
    start: int
    body: int
    end: int


def jpeg_pixels_only(data: bytes) -> PixelsOnly | None:
    segments = _jpeg_segments(data)
    if segments is None:
        return None
    parts, flags, exif, adobe_is_damaged = [data[:2]], set[str](), list[bytes](), False
    for segment in segments:
        body = data[segment.body : segment.end]
        if segment.marker not in _METADATA_MARKERS or _decides_colours(segment.marker, body):
            parts.append(data[segment.start : segment.end])
            continue
        is_index = body.startswith(b"MPF\x00")
        flags.add(FRAMES if is_index else METADATA)
        adobe_is_damaged |= body.startswith(b"Adobe")
        if body.startswith(b"Exif\x00\x00"):
            exif.append(body[6:] if exif else body)
    frame = next(data[each.body : each.end] for each in segments if each.marker in _FRAME_MARKERS)
    if adobe_is_damaged and frame[5] == _CMYK_COMPONENTS:
        return None  # only that segment says how the colours are stored
    parts.append(data[segments[-1].end :])
    if sum(len(part) for part in parts) < len(data):
        flags.add(FRAMES if flags == {FRAMES} else METADATA)
    return PixelsOnly(b"".join(parts), tuple(sorted(flags)), {"exif": b"".join(exif)} if exif else {})


def jpeg_reaches_scan(data: bytes) -> bool:
    """Whether segments lead to a scan as their lengths state."""
    segments, leads_on = _jpeg_chain(data, 2)
    return leads_on and _cut_thumbnail(data, segments) is None


def _decides_colours(marker: int, body: bytes) -> bool:
    if marker == _APP0:
        return body.startswith(b"JFIF\x00") and len(body) >= _JFIF_BYTES
    return marker == _APP14 and body.startswith(b"Adobe") and len(body) >= _ADOBE_BYTES


def _jpeg_segments(data: bytes, start: int = 2) -> list[_Segment] | None:
    """Segments up to the start of the first scan; None where they can't be followed.

    Where the length of a metadata segment leads nowhere, the next segment is looked for behind it.
    """
    found, leads_on = _jpeg_chain(data, start)
    cut = _cut_thumbnail(data, found)
    if cut is not None:
        return _resume_jpeg(data, found[cut], found[:cut])
    if leads_on and _is_complete(data, found):
        return found
    end = found[-1].end if found else start
    if data[end : end + 1] == b"\xff" and data[end + 1 : end + 2] not in _SURE_MARKERS:
        found.append(_Segment(_COM, end, end + 4, end))  # of a damaged kind
    for index in range(len(found) - 1, -1, -1):
        if found[index].marker in _METADATA_MARKERS:
            rest = _resume_jpeg(data, found[index], found[:index])
            if rest is not None:
                return rest
    return None


def _cut_thumbnail(data: bytes, segments: list[_Segment]) -> int | None:
    """Which segment of EXIF ends within its thumbnail, so that what follows may be the rest of that."""
    for index, segment in enumerate(segments):
        if data.startswith(b"Exif\x00", segment.body):
            start = data.rfind(b"\xff\xd8", segment.body, segment.end)
            if start >= 0 and data.find(b"\xff\xd9", start, segment.end) < 0:
                return index
    return None


def _jpeg_chain(data: bytes, offset: int) -> tuple[list[_Segment], bool]:
    """Segments as their lengths state, and whether they lead to a scan."""
    found: list[_Segment] = []
    while offset + 4 <= len(data) and data[offset] == 0xFF:
        marker, start = data[offset + 1], offset
        if marker == 0xFF:  # fill bytes may precede a marker
            offset += 1
            continue
        length = int.from_bytes(data[offset + 2 : offset + 4], "big")
        if marker not in _MARKERS or (length < 2 and marker not in _METADATA_MARKERS):
            break
        if marker in _FRAME_MARKERS and not _is_frame(data, start + 4, length):
            break
        offset += 2 + max(length, 2)
        if marker not in _METADATA_MARKERS and _IDENTIFIER.match(data, start + 4):
            marker = _COM  # metadata by its content, under a damaged marker
        found.append(_Segment(marker, start, start + 4, offset))
        if marker == _SOS:
            return found, offset < len(data)
    return found, False


def _is_frame(data: bytes, body: int, length: int) -> bool:
    """Whether a frame header has its length and a precision that exists (T.81, B.2.2), or is metadata."""
    has_length = body + 5 < len(data) and length == 8 + 3 * data[body + 5]
    return (has_length and data[body] in (8, 12, 16)) or _IDENTIFIER.match(data, body) is not None


def _is_complete(data: bytes, segments: list[_Segment]) -> bool:
    """Whether they have a frame, its quantisation, and the codes of the scan (T.81, B.2.2 to B.2.4)."""
    bodies = {marker: list[bytes]() for marker in (_DQT, _DHT, _SOS, _FRAME)}
    for segment in segments:
        marker = _FRAME if segment.marker in _FRAME_MARKERS else segment.marker
        bodies.get(marker, []).append(data[segment.body : segment.end])
    if not bodies[_FRAME] or not bodies[_SOS]:
        return False
    frame, scan = bodies[_FRAME][0], bodies[_SOS][0]
    quantised = {number for body in bodies[_DQT] for number in _quantisation_numbers(body)}
    coded = {number for body in bodies[_DHT] for number in _code_numbers(body)}
    needed = {frame[at] for at in range(8, min(len(frame), 6 + 3 * frame[5]), 3)}
    is_huffman = any(segment.marker in _HUFFMAN_FRAMES for segment in segments)
    if not needed or not needed <= quantised or (is_huffman and not _needed_codes(scan) <= coded):
        return False
    restart = _RESTART_MARK.search(data, segments[-1].end)
    return restart is None or restart[0] == b"\xff\xd9" or any(each.marker == _DRI for each in segments)


def _needed_codes(scan: bytes) -> set[int]:
    """The tables that a scan names: their class in the upper four bits, their number in the others."""
    tables = [scan[at] for at in range(2, min(len(scan), 1 + 2 * scan[0]), 2)]
    first, last = scan[-3], scan[-2]  # coefficients: the first is DC, the others are AC
    return {table >> 4 for table in tables if first == 0} | {table & 15 | 16 for table in tables if last > 0}


def _quantisation_numbers(body: bytes) -> Iterator[int]:
    at = 0
    while at < len(body):
        yield body[at] & 15
        at += 129 if body[at] >> 4 else 65


def _code_numbers(body: bytes) -> Iterator[int]:
    at = 0
    while at + 17 <= len(body):
        yield body[at]
        at += 17 + sum(body[at + 1 : at + 17])


def _resume_jpeg(data: bytes, damaged: _Segment, before: list[_Segment]) -> list[_Segment] | None:
    """All segments, with those behind the damaged one; a thumbnail within it is passed over."""
    depth = 0
    for match in _JPEG_MARK.finditer(data, damaged.start + 2):
        marker, start = data[match.start() + 1], match.start()
        if marker == _SOI:
            depth += data[start + 2 : start + 3] == b"\xff"
        elif marker == _EOI:
            depth = max(depth - 1, 0)
        elif depth == 0 and marker in _MARKERS:
            rest, leads_on = _jpeg_chain(data, start)
            skipped = _Segment(_COM, damaged.start, damaged.body, start)  # its length is no use to a decoder
            if leads_on and _is_complete(data, [*before, *rest]):
                return [*before, skipped, *rest]
    return None
