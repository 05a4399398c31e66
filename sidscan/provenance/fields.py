"""What metadata state, as fields that markers look at: EXIF tags, IPTC records, texts, XMP properties."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class Source(Enum):
    """Which kind of metadata a field belongs to."""

    EXIF = "EXIF"
    IPTC = "IPTC"
    TEXT = "text"
    XMP = "XMP"
    SAMSUNG = "Samsung"
    PIXELS = "pixels"


@dataclass(frozen=True, slots=True)
class Field:
    """One field.

    Attributes:
        container: where its block stands, e.g. ``PNG tEXt``.
        key: name of the tag, record, text or property.
        offset: of its block from the start of the file, bytes.
        namespace: URI of an XMP property.
    """

    source: Source
    container: str
    key: str
    value: str
    offset: int
    namespace: str = ""


def decode_text(raw: bytes) -> str:
    """Text of unknown encoding: UTF-8 where it is that, else Latin-1."""
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError:
        return raw.decode("latin-1")
