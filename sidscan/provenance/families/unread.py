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


@family(LIMIT, XMP, XMP_DAMAGED, PACKED, FAILED)
def find(metadata: Metadata) -> Iterator[Marker]:
    """What was not read, and why. Manifests are told with the others."""
    if metadata.failed:
        yield FAILED.marker("", "", metadata.failed, 0)
    for each in metadata.unread:
        if each.kind is not BlockKind.C2PA:
            yield _kind(each).marker(each.container, "", each.reason, each.offset)


def _kind(unread: Unread) -> MarkerKind:
    if unread.kind is None:
        return LIMIT
    if unread.is_packed:
        return PACKED
    return XMP if unread.may_hide else XMP_DAMAGED
