"""JPEG files without their metadata, also where a length in them leads nowhere."""

from __future__ import annotations

import re
from collections.abc import Iterator

from sidscan.containers.jpeg import (
    COM,
    EOI,
    FRAME_MARKERS,
    MARKERS,
    METADATA_MARKERS,
    SOI,
    SOS,
    Segment,
    jpeg_segments,
)
from sidscan.images.left_out import FRAMES, METADATA, PixelsOnly

_APP0, _APP14 = 0xE0, 0xEE
_DQT, _DHT, _DRI = 0xDB, 0xC4, 0xDD
_FRAME, _HUFFMAN_FRAMES = 0xC0, (0xC0, 0xC1, 0xC2)
# Markers that are no damaged metadata.
_SURE_MARKERS = [bytes([marker]) for marker in {*MARKERS, SOI, EOI} - {*FRAME_MARKERS}]
_JPEG_MARK = re.compile(rb"\xff[\xc0-\xcf\xd8-\xdf\xe0-\xef\xfe]")
_RESTART_MARK = re.compile(rb"\xff[\xd0-\xd7\xd9]")
_JFIF_BYTES, _ADOBE_BYTES = 14, 12  # without which libjpeg ignores them
_CMYK_COMPONENTS = 4


def jpeg_pixels_only(data: bytes) -> PixelsOnly | None:
    segments = _jpeg_segments(data)
    if segments is None:
        return None
    parts, flags, exif, adobe_is_damaged = [data[:2]], set[str](), list[bytes](), False
    for segment in segments:
        body = data[segment.body : segment.end]
        if segment.marker not in METADATA_MARKERS or _decides_colours(segment.marker, body):
            parts.append(data[segment.start : segment.end])
            continue
        is_index = body.startswith(b"MPF\x00")
        flags.add(FRAMES if is_index else METADATA)
        adobe_is_damaged |= body.startswith(b"Adobe")
        if body.startswith(b"Exif\x00\x00"):
            exif.append(body[6:] if exif else body)
    frame = next(data[each.body : each.end] for each in segments if each.marker in FRAME_MARKERS)
    if adobe_is_damaged and frame[5] == _CMYK_COMPONENTS:
        return None  # only that segment says how the colours are stored
    parts.append(data[segments[-1].end :])
    if sum(len(part) for part in parts) < len(data):
        flags.add(FRAMES if flags == {FRAMES} else METADATA)
    return PixelsOnly(b"".join(parts), tuple(sorted(flags)), {"exif": b"".join(exif)} if exif else {})


def jpeg_reaches_scan(data: bytes) -> bool:
    """Whether segments lead to a scan as their lengths state."""
    segments, leads_on = jpeg_segments(data, most=len(data))
    return leads_on and _cut_thumbnail(data, segments) is None


def _decides_colours(marker: int, body: bytes) -> bool:
    if marker == _APP0:
        return body.startswith(b"JFIF\x00") and len(body) >= _JFIF_BYTES
    return marker == _APP14 and body.startswith(b"Adobe") and len(body) >= _ADOBE_BYTES


def _jpeg_segments(data: bytes, start: int = 2) -> list[Segment] | None:
    """Segments up to the start of the first scan; None where they can't be followed.

    Where the length of a metadata segment leads nowhere, the next segment is looked for behind it.
    """
    found, leads_on = jpeg_segments(data, start, most=len(data))
    cut = _cut_thumbnail(data, found)
    if cut is not None:
        return _resume_jpeg(data, found[cut], found[:cut])
    if leads_on and _is_complete(data, found):
        return found
    end = found[-1].end if found else start
    if data[end : end + 1] == b"\xff" and data[end + 1 : end + 2] not in _SURE_MARKERS:
        found.append(Segment(COM, end, end + 4, end))  # of a damaged kind
    for index in range(len(found) - 1, -1, -1):
        if found[index].marker in METADATA_MARKERS:
            rest = _resume_jpeg(data, found[index], found[:index])
            if rest is not None:
                return rest
    return None


def _cut_thumbnail(data: bytes, segments: list[Segment]) -> int | None:
    """Which segment of EXIF ends within its thumbnail, so that what follows may be the rest of that."""
    for index, segment in enumerate(segments):
        if data.startswith(b"Exif\x00", segment.body):
            start = data.rfind(b"\xff\xd8", segment.body, segment.end)
            if start >= 0 and data.find(b"\xff\xd9", start, segment.end) < 0:
                return index
    return None


def _is_complete(data: bytes, segments: list[Segment]) -> bool:
    """Whether they have a frame, its quantisation, and the codes of the scan (T.81, B.2.2 to B.2.4)."""
    bodies = {marker: list[bytes]() for marker in (_DQT, _DHT, SOS, _FRAME)}
    for segment in segments:
        marker = _FRAME if segment.marker in FRAME_MARKERS else segment.marker
        bodies.get(marker, []).append(data[segment.body : segment.end])
    if not bodies[_FRAME] or not bodies[SOS]:
        return False
    frame, scan = bodies[_FRAME][0], bodies[SOS][0]
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


def _resume_jpeg(data: bytes, damaged: Segment, before: list[Segment]) -> list[Segment] | None:
    """All segments, with those behind the damaged one; a thumbnail within it is passed over."""
    depth = 0
    for match in _JPEG_MARK.finditer(data, damaged.start + 2):
        marker, start = data[match.start() + 1], match.start()
        if marker == SOI:
            depth += data[start + 2 : start + 3] == b"\xff"
        elif marker == EOI:
            depth = max(depth - 1, 0)
        elif depth == 0 and marker in MARKERS:
            rest, leads_on = jpeg_segments(data, start, most=len(data))
            skipped = Segment(COM, damaged.start, damaged.body, start)  # its length is no use to a decoder
            if leads_on and _is_complete(data, [*before, *rest]):
                return [*before, skipped, *rest]
    return None
