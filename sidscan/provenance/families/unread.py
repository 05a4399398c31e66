"""Metadata that are there and can't be read: they may say anything."""

from __future__ import annotations

from collections.abc import Iterator

from sidscan.provenance.blocks import BlockKind
from sidscan.provenance.families import MarkerKind, family
from sidscan.provenance.metadata import Metadata
from sidscan.records import Marker

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
FAILED = MarkerKind(
    "not-read",
    "unreadable",
    "",
    "nobody: reading failed, e.g. for want of memory",
    "the whole file; the value names the error",
    "MemoryError",
    "code",
)


@family(LIMIT, XMP, FAILED)
def find(metadata: Metadata) -> Iterator[Marker]:
    """What was not read, and why. Manifests are told with the others."""
    if metadata.failed:
        yield FAILED.marker("", "", metadata.failed, 0)
    for each in metadata.unread:
        if each.kind is not BlockKind.C2PA:
            kind = LIMIT if each.kind is None else XMP
            yield kind.marker(each.container, "", each.reason, each.offset)
