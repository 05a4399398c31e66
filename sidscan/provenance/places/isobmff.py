"""HEIC, AVIF, JPEG XL, JPEG 2000 and CR3: boxes, and items of HEIC and AVIF (ISO/IEC 14496-12, 8.11)."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import NamedTuple

from sidscan.containers.isobmff import C2PA_UUID, XMP_UUID, Box, boxes, cut_box, find_box
from sidscan.provenance.blocks import (
    CUT,
    CUT_BEFORE,
    ENDS_EARLY,
    Block,
    BlockKind,
    Budget,
    MetadataLimit,
    end,
)
from sidscan.provenance.brotli_data import BrotliError, unpack
from sidscan.provenance.places import place

_JP2_EXIF = b"JpgTiffExif->JP2"
_MOST_BOXES, _MOST_ITEMS, _MOST_EXTENTS = 4096, 1 << 14, 4096  # extents of all items
_FILE, _IDAT = 0, 1  # where the extents of an item lie
_UUIDS = (C2PA_UUID, XMP_UUID, _JP2_EXIF)
_OF_METADATA = (b"Exif", b"xml ", b"jumb", b"brob", b"meta")
_OF_PIXELS = (b"ftyp", b"mdat", b"moov", b"jp2h", b"jp2c", b"jxlc", b"jxlp")
_WITH_META = (b"ftypheic", b"ftypheix", b"ftypmif1", b"ftypavif")  # images, which always have a box meta
_NO_ITEMS = "its list of items can't be followed"
_JXL_KINDS = {b"Exif": BlockKind.EXIF, b"xml ": BlockKind.XMP, b"jumb": BlockKind.C2PA}


class _Location(NamedTuple):
    """Where the bytes of an item are: in the file or in the box idat, in extents of (start, length)."""

    construction: int
    extents: list[tuple[int, int]]


@place(rb"\xff\x0a")
def read_codestream(_data: bytes, _budget: Budget) -> Iterator[Block]:
    """Nothing: JPEG XL without boxes has no place for metadata."""
    yield from ()


@place(rb"....ftyp|\x00\x00\x00\x0c(jP  |JXL )")
def read_boxes(data: bytes, budget: Budget) -> Iterator[Block]:
    """Blocks of top-level boxes, and of the items that the box meta lists."""
    has_items = False
    for count, box in enumerate(boxes(data)):
        if count == _MOST_BOXES:
            raise MetadataLimit
        if box.kind == b"uuid":
            yield from _uuid(data, box, budget)
        elif kind := _JXL_KINDS.get(box.kind):
            yield from _jxl(data, box, kind, budget)
        elif box.kind == b"brob" and (kind := _JXL_KINDS.get(data[box.body : box.body + 4])):
            yield from _packed_jxl(data, box, kind, budget)
        elif box.kind == b"meta" and not has_items:  # a file has one of them (ISO/IEC 14496-12, 8.11.1)
            has_items = True
            yield from _items(data, box, budget)
    if cut := cut_box(data):
        yield from _lost(data, cut)
    if data[4:12] in _WITH_META and not has_items and (cut is None or cut.kind != b"meta"):
        yield end("meta box", len(data), CUT_BEFORE)


def _lost(data: bytes, cut: Box) -> Iterator[Block]:
    """That the file ends within a box; bytes behind the last box that are no box are passed over."""
    uuid = data[cut.body : cut.body + 16]
    is_ours = cut.kind == b"uuid" and (len(uuid) < 16 or uuid in _UUIDS)
    if is_ours or cut.kind in _OF_METADATA:
        yield end(f"{cut.kind.decode().strip()} box", cut.start, CUT)
    elif cut.kind == b"uuid" or cut.kind in _OF_PIXELS:
        yield end(f"{cut.kind.decode()} box", len(data), ENDS_EARLY)


def _uuid(data: bytes, box: Box, budget: Budget) -> Iterator[Block]:
    uuid, start = data[box.body : box.body + 16], box.body + 16
    if uuid == XMP_UUID:
        yield Block(BlockKind.XMP, "uuid box", start, budget.cut(data, start, box.end))
    elif uuid == _JP2_EXIF:
        yield Block(BlockKind.EXIF, "uuid box", start, budget.cut(data, start, box.end))
    elif uuid == C2PA_UUID:  # version and flags, a purpose that ends with NUL, an offset of eight bytes
        purpose_end = data.find(b"\x00", start + 4, min(start + 64, box.end))
        if data[start + 4 : purpose_end] in (b"manifest", b"update", b"original"):
            store = purpose_end + 9
            yield Block(BlockKind.C2PA, "uuid box", store, budget.cut(data, store, box.end))


def _jxl(data: bytes, box: Box, kind: BlockKind, budget: Budget) -> Iterator[Block]:
    start = box.start if kind is BlockKind.C2PA else box.body
    block = budget.cut(data, start, box.end)
    if kind is BlockKind.EXIF:
        block = _after_exif_offset(block)
    yield Block(kind, f"{box.kind.decode().strip()} box", box.end - len(block), block)


def _packed_jxl(data: bytes, box: Box, kind: BlockKind, budget: Budget) -> Iterator[Block]:
    """A box of JPEG XL whose content is packed (ISO/IEC 18181-2, box brob)."""
    name, start = f"brob box of {data[box.body : box.body + 4].decode().strip()}", box.body + 4
    try:
        block = unpack(data[start : box.end], budget)
    except BrotliError as error:
        yield Block(kind, name, start, b"", problem=str(error))
        return
    if kind is BlockKind.EXIF:
        block = _after_exif_offset(block)
    elif kind is BlockKind.C2PA and block[4:8] != b"jumb":  # without the header of its box
        block = struct.pack(">I4s", 8 + len(block), b"jumb") + block
    yield Block(kind, name, start, block)


def _after_exif_offset(block: bytes) -> bytes:
    """EXIF from its TIFF header on; four bytes before it say how far away it is."""
    return block[4 + int.from_bytes(block[:4], "big") :]


def _items(data: bytes, meta: Box, budget: Budget) -> Iterator[Block]:
    try:
        wanted = dict(_metadata_items(data))
        located = _locations(data, set(wanted)) if wanted else {}
    except (struct.error, IndexError):
        yield end("meta box", meta.start, _NO_ITEMS)
        return
    idat = find_box(data, b"meta", b"idat")
    for item, kind in wanted.items():
        construction, extents = located.get(item, _Location(_FILE, []))
        if not extents or construction not in (_FILE, _IDAT) or (construction == _IDAT and idat is None):
            yield Block(kind, f"HEIF item {item}", meta.start, b"", problem=_NO_ITEMS)
            continue
        base = idat.body if construction == _IDAT and idat else 0
        is_cut = any(base + start + size > len(data) for start, size in extents)
        block = b"".join(budget.cut(data, base + start, base + start + size) for start, size in extents)
        block = _after_exif_offset(block) if kind is BlockKind.EXIF else block
        problem = CUT if is_cut else ""
        yield Block(kind, f"HEIF item {item}", base + extents[0][0], block, problem=problem)


def _metadata_items(data: bytes) -> Iterator[tuple[int, BlockKind]]:
    """Numbers of the items that hold EXIF or XMP."""
    listing = find_box(data, b"meta", b"iinf")
    if listing is None:
        return
    start = listing.body + (6 if data[listing.body] == 0 else 8)
    for count, box in enumerate(boxes(data, start, listing.end)):
        if count == _MOST_ITEMS:
            raise MetadataLimit
        version = data[box.body]
        if box.kind != b"infe" or version < 2:
            return
        item, at = _number(data, box.body + 4, 2 if version == 2 else 4)
        kind, rest = data[at + 2 : at + 6], data[at + 6 : box.end]
        if kind == b"Exif":
            yield item, BlockKind.EXIF
        elif kind == b"mime" and rest.split(b"\x00", 2)[1:2] == [b"application/rdf+xml"]:
            yield item, BlockKind.XMP


def _locations(data: bytes, wanted: set[int]) -> dict[int, _Location]:
    """Where these items are (box iloc, ISO/IEC 14496-12, section 8.11.3)."""
    box = find_box(data, b"meta", b"iloc")
    if box is None:
        return {}
    version = data[box.body]
    sizes, _ = _number(data, box.body + 4, 2)
    offset_size, length_size, base_size, index_size = (sizes >> shift & 15 for shift in (12, 8, 4, 0))
    id_bytes = 4 if version == 2 else 2
    count, at = _number(data, box.body + 6, id_bytes)
    if count > _MOST_ITEMS:
        raise MetadataLimit
    index_size *= version > 0
    found, left = dict[int, _Location](), _MOST_EXTENTS
    for _ in range(count):
        item, at = _number(data, at, id_bytes)
        construction, at = _number(data, at, 2) if version else (_FILE, at)
        base, at = _number(data, at + 2, base_size)
        num_extents, at = _number(data, at, 2)
        following = at + num_extents * (index_size + offset_size + length_size)
        if item in wanted and item not in found:
            left -= num_extents
            if left < 0:  # an extent may take no bytes, so that a small file has any number of them
                raise MetadataLimit
            extents = _extents(data, at, num_extents, (index_size, offset_size, length_size), base)
            found[item] = _Location(construction & 15, extents)
        at = following
    return found


def _extents(
    data: bytes, at: int, count: int, sizes: tuple[int, int, int], base: int
) -> list[tuple[int, int]]:
    """Where each extent begins, and its length; the fields before them are an index and these two."""
    index_size, offset_size, length_size = sizes
    extents = list[tuple[int, int]]()
    for _ in range(count):
        start, at = _number(data, at + index_size, offset_size)
        length, at = _number(data, at, length_size)
        extents.append((base + start, length))
    return extents


def _number(data: bytes, at: int, size: int) -> tuple[int, int]:
    """A whole number, and where the next one begins; struct.error behind the end of the file."""
    if at + size > len(data):
        raise struct.error("the file ends within a box")
    return int.from_bytes(data[at : at + size], "big"), at + size
