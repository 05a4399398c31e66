"""Small images that a file keeps of itself: thumbnails and previews, as they are stored."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from sidscan.containers.jpeg import jpeg_segments
from sidscan.containers.multi_picture import indexed_images
from sidscan.containers.tiff_directories import read_pages
from sidscan.provenance.blocks import Block, BlockKind
from sidscan.provenance.image_resources import image_resources
from sidscan.provenance.metadata import Metadata

_JPEG_OFFSET, _JPEG_LENGTH = 513, 514  # TIFF 6.0, section 22; EXIF 2.3 uses them for the thumbnail
_PHOTOSHOP_THUMBNAIL, _PHOTOSHOP_HEADER = 1036, 28  # Photoshop File Formats: JFIF behind 28 bytes
_APP0, _JFXX = 0xE0, b"JFXX\x00\x10"  # JFIF 1.02: a thumbnail as JPEG
_LONGEST = 8 << 20  # bytes of a preview


class Preview(NamedTuple):
    """A small image within a file: what it is, where it begins, and its bytes, a JPEG."""

    name: str
    offset: int
    data: bytes


def previews(data: bytes, metadata: Metadata) -> Iterator[Preview]:
    """The previews of a file, in the order of its blocks. TIFF and raw files are not looked at."""
    for block in metadata.with_images:
        if block.kind is BlockKind.PHOTOSHOP:
            yield from _photoshop(block)
        elif block.container != "TIFF":
            yield from _exif(block)
    if data.startswith(b"\xff\xd8\xff"):
        yield from _jfxx(data)
        for each in indexed_images(data):
            if each.is_preview and each.end - each.start <= _LONGEST:
                yield Preview("preview in the index of images (MPF)", each.start, data[each.start : each.end])


def _exif(block: Block) -> Iterator[Preview]:
    """The thumbnail that EXIF's second directory points at."""
    for page in read_pages(block.data, children=False)[1:2]:
        start, length = page.number(_JPEG_OFFSET), page.number(_JPEG_LENGTH)
        thumbnail = block.data[start : start + length]
        if start and thumbnail.startswith(b"\xff\xd8\xff"):
            yield Preview(f"thumbnail of EXIF in {block.container}", block.offset + start, thumbnail)


def _photoshop(block: Block) -> Iterator[Preview]:
    for number, start, content in image_resources(block.data):
        if number == _PHOTOSHOP_THUMBNAIL and content[_PHOTOSHOP_HEADER:].startswith(b"\xff\xd8\xff"):
            offset = block.offset + start + _PHOTOSHOP_HEADER
            yield Preview(f"Photoshop's thumbnail in {block.container}", offset, content[_PHOTOSHOP_HEADER:])


def _jfxx(data: bytes) -> Iterator[Preview]:
    for segment in jpeg_segments(data)[0]:
        if segment.marker == _APP0 and data.startswith(_JFXX, segment.body):
            start = segment.body + len(_JFXX)
            yield Preview("thumbnail of JFXX", start, data[start : segment.end])
