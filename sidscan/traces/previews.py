"""Small images that a file keeps of itself: thumbnails and previews, as they are stored."""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator
from contextlib import suppress
from itertools import takewhile
from typing import NamedTuple

from sidscan.containers.jpeg import jpeg_segments
from sidscan.containers.multi_picture import indexed_images
from sidscan.containers.tiff_directories import STRIP_BYTE_COUNTS, STRIP_OFFSETS, Page, read_pages
from sidscan.provenance.blocks import Block, BlockKind
from sidscan.provenance.image_resources import image_resources, resource_spans, section_of_psd
from sidscan.provenance.metadata import Metadata
from sidscan.util.magic import identify

_JPEG_OFFSET, _JPEG_LENGTH = 513, 514  # TIFF 6.0, section 22; EXIF 2.3 uses them for the thumbnail
_PHOTOSHOP_THUMBNAIL, _PHOTOSHOP_HEADER = 1036, 28  # Photoshop File Formats: JFIF behind 28 bytes
_APP0, _JFXX = 0xE0, b"JFXX\x00\x10"  # JFIF 1.02: a thumbnail as JPEG
_LONGEST, _LONGEST_IN_TIFF = 8 << 20, 1 << 20  # bytes of a preview
_SUBFILE_TYPE, _REDUCED = 254, 1  # TIFF 6.0, NewSubfileType: a copy of another page in lower resolution
_SMALL_PAGE = 320  # pixels
_JPEG, _QUALITY = b"\xff\xd8\xff", 90


class Preview(NamedTuple):
    """A small image within a file: what it is, where it begins, and its bytes, a JPEG."""

    name: str
    offset: int
    data: bytes


def previews(data: bytes, metadata: Metadata) -> Iterator[Preview]:
    """The previews of a file, in the order of its blocks."""
    for block in metadata.with_images:
        if block.kind is BlockKind.PHOTOSHOP:
            yield from _photoshop(block.container, block.offset, image_resources(block.data))
        elif block.container == "TIFF":
            yield from _tiff(block.data)
        else:
            yield from _exif(block)
    if data.startswith(b"8BPS"):
        start, stop = section_of_psd(data)
        spans = resource_spans(data, start, min(stop, len(data)))
        resources = ((number, body, data[body:end]) for number, body, end in spans)
        yield from _photoshop("PSD", 0, resources)
    if data[4:8] == b"ftyp" and (known := identify(data)) and known.name == "HEIF":
        yield from _heif(data)
    if data.startswith(_JPEG):
        yield from _jfxx(data)
        for each in indexed_images(data):
            if each.is_preview and each.end - each.start <= _LONGEST:
                yield Preview("preview in the index of images (MPF)", each.start, data[each.start : each.end])


def _exif(block: Block) -> Iterator[Preview]:
    """The thumbnail that EXIF's second directory points at."""
    for page in read_pages(block.data, children=False)[1:2]:
        start, length = page.number(_JPEG_OFFSET), page.number(_JPEG_LENGTH)
        thumbnail = block.data[start : start + length]
        if start and thumbnail.startswith(_JPEG):
            yield Preview(f"thumbnail of EXIF in {block.container}", block.offset + start, thumbnail)


def _photoshop(container: str, base: int, resources: Iterable[tuple[int, int, bytes]]) -> Iterator[Preview]:
    for number, start, content in resources:
        if number == _PHOTOSHOP_THUMBNAIL and content[_PHOTOSHOP_HEADER:].startswith(_JPEG):
            offset = base + start + _PHOTOSHOP_HEADER
            yield Preview(f"Photoshop's thumbnail in {container}", offset, content[_PHOTOSHOP_HEADER:])


def _tiff(data: bytes) -> Iterator[Preview]:
    """JPEGs of the first page's SubIFDs and of the second page, if it says that it is a small copy.

    Other pages are images of their own, and so are large JPEGs in raw files, one of which is scored.
    """
    pages = read_pages(data)
    second = [page for page in pages[1:] if not page.is_child][:1]
    children = takewhile(lambda page: page.is_child, pages[1:])
    for page in (*children, *second):
        is_small = max(page.size) <= _SMALL_PAGE  # EXIF's second directory states no size
        start, length = _jpeg_of(page)
        if (page.number(_SUBFILE_TYPE) & _REDUCED or is_small) and 0 < length <= _LONGEST_IN_TIFF:
            yield Preview("preview in TIFF", start, data[start : start + length])


def _jpeg_of(page: Page) -> tuple[int, int]:
    """Where a JPEG that is whole begins, and its length; 0 if there is none."""
    for at, size in ((_JPEG_OFFSET, _JPEG_LENGTH), (STRIP_OFFSETS, STRIP_BYTE_COUNTS)):
        entry = page.directory.entries.get(at)
        start = page.number(at) if entry is not None and entry.count == 1 else 0
        if start and page.file.data.startswith(_JPEG, start):
            return start, page.number(size)
    return 0, 0


def _heif(data: bytes) -> Iterator[Preview]:
    """The first thumbnail of a HEIC's image, saved as the JPEG that all others are."""
    import pillow_heif  # it is installed, since the image was decoded

    with suppress(Exception):  # libheif and Pillow raise many kinds
        file = pillow_heif.open_heif(data)
        image = file[file.primary_index]
        if image.info.get("thumbnails") and hasattr(image, "get_thumbnail"):
            jpeg = io.BytesIO()
            image.get_thumbnail(0).to_pillow().convert("RGB").save(jpeg, "JPEG", quality=_QUALITY)
            yield Preview("thumbnail in HEIC", 0, jpeg.getvalue())


def _jfxx(data: bytes) -> Iterator[Preview]:
    for segment in jpeg_segments(data)[0]:
        if segment.marker == _APP0 and data.startswith(_JFXX, segment.body):
            start = segment.body + len(_JFXX)
            yield Preview("thumbnail of JFXX", start, data[start : segment.end])
