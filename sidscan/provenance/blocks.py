"""Blocks of metadata as they stand in a file, before anybody reads what they say."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class BlockKind(Enum):
    """What a block holds."""

    C2PA = "C2PA"  # a manifest store (JUMBF)
    EXIF = "EXIF"  # from its TIFF header on
    XMP = "XMP"
    IPTC = "IPTC"  # IIM records
    PHOTOSHOP = "Photoshop"  # image resources, one of which holds IIM records
    TEXT = "text"  # a keyword and a text
    SAMSUNG = "Samsung"  # a field of the trailer that Samsung's phones write
    PIXELS = "pixels"  # a text in the lowest bits of pixels; its key names the scheme
    END = "end"  # nothing: the place from which on a file can't be read, for the block's problem


CUT = "the file ends within it"
CUT_BEFORE = "the file ends before parts of it that hold metadata"
NOT_FOLLOWED = "no part of the format follows there; metadata behind that place are not read"
ENDS_EARLY = "the file ends early; metadata behind that place are lost"


@dataclass(frozen=True, slots=True)
class Block:
    """One block of metadata.

    Attributes:
        container: where it stands, as a report names it, e.g. ``JPEG APP11``.
        offset: of its first byte from the start of the file; of one in parts, of the first part.
        key: the keyword of a text; else empty.
        problem: why its bytes can't be had; empty if ``data`` holds them all. Of a block that is `CUT`,
            it holds what there is.
    """

    kind: BlockKind
    container: str
    offset: int
    data: bytes
    key: str = ""
    problem: str = ""


def end(container: str, offset: int, problem: str) -> Block:
    """The place from which on a file can't be read, and why."""
    return Block(BlockKind.END, container, offset, b"", problem=problem)


class MetadataLimit(Exception):
    """A file has more metadata than may be read."""


class Budget:
    """How many bytes of metadata may still be read of a file, unpacked ones included.

    Attributes:
        left: bytes.
    """

    def __init__(self, most_bytes: int) -> None:
        self.left = most_bytes

    def take(self, count: int) -> None:
        """Count bytes before they are copied or parsed.

        Raises:
            MetadataLimit: there are not so many left.
        """
        if count > self.left:
            raise MetadataLimit
        self.left -= count

    def cut(self, data: bytes, start: int, end: int) -> bytes:
        """Bytes of a file, counted.

        Raises:
            MetadataLimit: there are not so many left.
        """
        self.take(max(min(end, len(data)) - start, 0))
        return data[start:end]
