"""The few EXIF tags in which generators, editors and people state something (EXIF 2.3, section 4.6.4)."""

from __future__ import annotations

import struct
from collections.abc import Iterator

from sidscan.containers.tiff_directories import EXIF_IFD, Page, read_child
from sidscan.containers.tiff_file import FIELD_BYTES, TiffFile
from sidscan.containers.user_comment import decode_user_comment
from sidscan.provenance.blocks import Block
from sidscan.provenance.fields import Field, Source, decode_text

TAGS = {
    270: "ImageDescription",
    271: "Make",
    272: "Model",
    305: "Software",
    315: "Artist",
    33432: "Copyright",
}
EXIF_TAGS = {37500: "MakerNote", 37510: "UserComment"}
_LONGEST_MAKER_NOTE = 64  # bytes; those of cameras are longer, and hold no text
_LONGEST = 1 << 20  # bytes of one value
_BYTES = (1, 2, 7, 129)  # BYTE, ASCII, UNDEFINED, and UTF-8 of EXIF 3.0


def read_exif_fields(block: Block) -> Iterator[Field]:
    """The fields of an EXIF block; none where its directories can't be followed."""
    try:
        file = TiffFile(block.data)
        page = Page(file, file.directory(file.first))
    except (struct.error, ValueError):
        return
    yield from _fields(page, TAGS, block)
    if child := read_child(page, EXIF_IFD):
        yield from _fields(child, EXIF_TAGS, block)


def _fields(page: Page, tags: dict[int, str], block: Block) -> Iterator[Field]:
    for tag, name in tags.items():
        if text := _text(page, tag):
            yield Field(Source.EXIF, f"EXIF in {block.container}", name, text, block.offset)


def _text(page: Page, tag: int) -> str:
    raw = _raw(page, tag)
    if tag == 37510:
        text = decode_user_comment(raw)
        return (decode_text(raw) if text is None else text).strip("\x00 ")  # some writers leave out the code
    if tag == 37500 and len(raw) > _LONGEST_MAKER_NOTE:
        return ""
    return decode_text(raw).strip("\x00 ")


def _raw(page: Page, tag: int) -> bytes:
    """The bytes of a tag that holds text; empty where it does not, or is too long."""
    entry = page.directory.entries.get(tag)
    if entry is None or entry.type not in _BYTES or entry.count > _LONGEST:
        return b""
    size = entry.count * FIELD_BYTES[entry.type]
    if size <= len(entry.value):
        return entry.value[:size]
    start = page.file.offset_of(entry)
    return page.file.data[start : start + size]
