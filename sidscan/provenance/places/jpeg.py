"""JPEG: application segments (EXIF 2.3, section 4.7; XMP part 3, section 1.1; ISO/IEC 19566-5, annex D)."""

from __future__ import annotations

from collections.abc import Iterator

from sidscan.containers.jpeg import COM, MOST_SEGMENTS, SOS, Segment, jpeg_segments
from sidscan.provenance.blocks import (
    CUT,
    ENDS_EARLY,
    NOT_FOLLOWED,
    Block,
    BlockKind,
    Budget,
    MetadataLimit,
    end,
)
from sidscan.provenance.places import place

_APP1, _APP11, _APP13 = 0xE1, 0xEB, 0xED
_NAMES = {_APP1: "APP1", _APP11: "APP11", _APP13: "APP13", COM: "COM"}
_EXIF, _PHOTOSHOP = b"Exif\x00\x00", b"Photoshop 3.0\x00"
_XMP, _EXTENDED_XMP = b"http://ns.adobe.com/xap/1.0/\x00", b"http://ns.adobe.com/xmp/extension/\x00"
_GUID_BYTES = 32
_TIFF_HEADERS = (b"II*\x00", b"MM\x00*")
_MOST_PARTS = 4096  # of one block; 64 KiB each


@place(rb"\xff\xd8\xff")
def read_jpeg(data: bytes, budget: Budget) -> Iterator[Block]:
    """Blocks of all segments before the first scan."""
    segments, leads_on = jpeg_segments(data)
    if not leads_on:
        yield _place_of_end(data, segments)
    app1 = [segment for segment in segments if segment.marker == _APP1]
    yield from _exif(data, app1, budget)
    for segment in app1:
        if data.startswith(_XMP, segment.body):
            start = segment.body + len(_XMP)
            yield Block(BlockKind.XMP, "JPEG APP1", start, budget.cut(data, start, segment.end))
    yield from _extended_xmp(data, app1, budget)
    yield from _jumbf(data, [each for each in segments if each.marker == _APP11], budget)
    yield from _photoshop(data, [each for each in segments if each.marker == _APP13], budget)
    for segment in segments:
        if segment.marker == COM and data.startswith(b"\xff\xfe", segment.start):
            text = budget.cut(data, segment.body, segment.end)
            yield Block(BlockKind.TEXT, "JPEG COM", segment.body, text, "comment")
    if len(segments) == MOST_SEGMENTS:
        raise MetadataLimit


def _place_of_end(data: bytes, segments: list[Segment]) -> Block:
    """Where and why segments don't lead to a scan."""
    last = segments[-1] if segments else Segment(0, 0, 2, 2)
    if last.end > len(data) and last.marker in _NAMES:
        return end(f"JPEG {_NAMES[last.marker]}", last.start, CUT)
    is_cut = last.end + 4 > len(data) or last.marker == SOS
    return end("JPEG", min(last.end, len(data)), ENDS_EARLY if is_cut else NOT_FOLLOWED)


def _exif(data: bytes, segments: list[Segment], budget: Budget) -> Iterator[Block]:
    """The EXIF block; segments without a TIFF header of their own continue the one before."""
    parts, offset = list[bytes](), 0
    for segment in segments:
        start = segment.body + len(_EXIF)
        if not data.startswith(_EXIF, segment.body) or len(parts) >= _MOST_PARTS:
            continue
        if data.startswith(_TIFF_HEADERS, start) and parts:
            break  # a second block: readers use the first
        offset = offset or start
        parts.append(budget.cut(data, start, segment.end))
    if parts:
        yield Block(BlockKind.EXIF, "JPEG APP1", offset, b"".join(parts))


def _extended_xmp(data: bytes, segments: list[Segment], budget: Budget) -> Iterator[Block]:
    """XMP beyond 64 KiB: by GUID, parts that state their place."""
    parts: dict[bytes, dict[int, bytes]] = {}
    offsets: dict[bytes, int] = {}
    for segment in segments:
        guid_at = segment.body + len(_EXTENDED_XMP)
        part_at = guid_at + _GUID_BYTES + 8
        if data.startswith(_EXTENDED_XMP, segment.body) and part_at <= segment.end:
            guid = data[guid_at : guid_at + _GUID_BYTES]
            position = int.from_bytes(data[part_at - 4 : part_at], "big")
            offsets.setdefault(guid, part_at)
            parts.setdefault(guid, {}).setdefault(position, budget.cut(data, part_at, segment.end))
    for guid, by_position in parts.items():
        yield Block(BlockKind.XMP, "JPEG APP1 extended XMP", offsets[guid], _joined(by_position))


def _jumbf(data: bytes, segments: list[Segment], budget: Budget) -> Iterator[Block]:
    """Boxes in parts: each part states the box's instance and its own place, and repeats the box's header."""
    parts: dict[int, dict[int, bytes]] = {}
    offsets: dict[int, int] = {}
    for segment in segments:
        head = data[segment.body : segment.body + 24]
        if head[:2] != b"JP" or head[12:16] != b"jumb":
            continue
        instance, order = int.from_bytes(head[2:4], "big"), int.from_bytes(head[4:8], "big")
        start = segment.body + 8
        offsets.setdefault(instance, start)
        parts.setdefault(instance, {}).setdefault(order, budget.cut(data, start, segment.end))
    for instance, by_order in parts.items():
        first, *others = (by_order[order] for order in sorted(by_order))
        header = 16 if first.startswith(b"\x00\x00\x00\x01") else 8
        whole = b"".join((first, *(part[header:] for part in others)))
        yield Block(BlockKind.C2PA, "JPEG APP11", offsets[instance], whole)


def _photoshop(data: bytes, segments: list[Segment], budget: Budget) -> Iterator[Block]:
    """Image resources, which may be split anywhere."""
    starts = [
        (segment.body + len(_PHOTOSHOP), segment.end)
        for segment in segments
        if data.startswith(_PHOTOSHOP, segment.body)
    ]
    if starts:
        joined = b"".join(budget.cut(data, start, end) for start, end in starts)
        yield Block(BlockKind.PHOTOSHOP, "JPEG APP13", starts[0][0], joined)


def _joined(parts: dict[int, bytes]) -> bytes:
    return b"".join(parts[position] for position in sorted(parts))
