"""Metadata that are there and can't be read: they may say anything."""

from __future__ import annotations

from collections.abc import Iterator

from sidscan.provenance.blocks import BlockKind
from sidscan.provenance.families import MarkerKind, family
from sidscan.provenance.metadata import Metadata, Unread
from sidscan.records import Marker, Provenance

LIMIT = MarkerKind(
    "metadata-limit",
    "unreadable",
    "",
    "files with an unusual amount of metadata",
    "all metadata behind the limit that `--max-metadata` sets",
    "more metadata than --max-metadata allows",
    "code",
)
XMP = MarkerKind(
    "xmp-unreadable",
    "unreadable",
    "",
    "damaged files",
    "an XMP packet that is not well-formed XML, or has a document type",
    "not well-formed (invalid token): line 1, column 8",
    "code",
)
XMP_DAMAGED = MarkerKind(
    "xmp-damaged",
    "none",
    "",
    "damaged files",
    "the same, and what is behind the damage names no property that sidscan looks for",
    "not well-formed (invalid token): line 1, column 8",
    "code",
)
PACKED = MarkerKind(
    "packed-unreadable",
    "unreadable",
    "",
    "JPEG XL, whose writers pack metadata with Brotli; damaged files",
    "XMP, EXIF or IPTC that can't be unpacked; with the extra `c2pa` or `jxl`, Brotli is",
    "compressed with Brotli",
    "code",
)
CUT_OFF = MarkerKind(
    "cut-off",
    "unreadable",
    "",
    "files that were not copied to their end; damaged files",
    "metadata within which, or before which, the file ends; of WebP also any part that it states behind "
    "its end",
    "the file ends within it",
    "seen",
)
PART = MarkerKind(
    "part-not-read",
    "none",
    "",
    "files that were not copied to their end; damaged files",
    "the file ends within its pixels or its headers, or can't be followed to its end, and metadata may have "
    "been behind that place",
    "the file ends early; metadata behind that place are lost",
    "seen",
)
FORMAT = MarkerKind(
    "format-not-read",
    "format_not_read",
    "",
    "files of BMP, ICO, TGA, PNM and other formats that sidscan has no reader for",
    "the whole file, apart from Samsung's trailer",
    "sidscan reads no such metadata in BMP files",
    "code",
)
FAILED = MarkerKind(
    "not-read",
    "unreadable",
    "",
    "nobody: reading failed, e.g. for want of memory",
    "the whole file; the value names the error",
    "MemoryError",
    "code",
)


def unread_file(reason: str) -> Provenance:
    """What is known of the origin of a file that could not be read for it."""
    return Provenance("unreadable", None, "", (FAILED.marker("", "", reason, 0),))


@family(LIMIT, XMP, XMP_DAMAGED, PACKED, CUT_OFF, PART, FORMAT, FAILED)
def find(metadata: Metadata) -> Iterator[Marker]:
    """What was not read, and why. Manifests are told with the others."""
    if metadata.failed:
        yield FAILED.marker("", "", metadata.failed, 0)
    if metadata.format_not_read:
        yield FORMAT.marker("", "", f"sidscan reads no such metadata in {metadata.format_not_read}", 0)
    for each in metadata.unread:
        if each.kind is not BlockKind.C2PA:
            yield _kind(each).marker(each.container, "", each.reason, each.offset)


def _kind(unread: Unread) -> MarkerKind:
    if unread.kind is None:
        return LIMIT
    if unread.is_cut:
        return CUT_OFF if unread.may_hide else PART
    if unread.is_packed:
        return PACKED
    return XMP if unread.may_hide else XMP_DAMAGED
