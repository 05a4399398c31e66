"""One table of the image formats that sidscan reads: their names, suffixes and first bytes.

A folder's walk, ``--save-dir`` and the decoder all ask this table, so that none of them knows a format that
another does not.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

SIGNATURE_BYTES = 16  # bytes at the start of a file that every signature fits into


@dataclass(frozen=True, slots=True)
class ImageFormat:
    """An image format.

    Attributes:
        name: Pillow's name of it, which is also the ``format`` of a report's row.
        suffixes: ends of the names under which its files travel, in lower case.
        signature: what its first bytes match.
        saved_suffix: end of the name under which ``--save-dir`` keeps a file.
    """

    name: str
    suffixes: tuple[str, ...]
    signature: re.Pattern[bytes]
    saved_suffix: str


def _format(name: str, suffixes: str, signature: bytes, saved_suffix: str) -> ImageFormat:
    return ImageFormat(name, tuple(suffixes.split()), re.compile(signature, re.DOTALL), saved_suffix)


# JPEG includes MPO. BMP asks for the four reserved bytes, which are zero: much text begins with "BM".
# AVIF and HEIF are ISO base media files (ISO/IEC 14496-12), which name their brand after "ftyp".
IMAGE_FORMATS = (
    _format("JPEG", ".jpg .jpeg .jpe .jfif .mpo", rb"\xff\xd8\xff", ".jpg"),
    _format("PNG", ".png", rb"\x89PNG\r\n\x1a\n", ".png"),
    _format("WEBP", ".webp", rb"RIFF.{4}WEBP", ".webp"),
    _format("TIFF", ".tif .tiff", rb"II\*\x00|MM\x00\*", ".tiff"),
    _format("BMP", ".bmp .dib", rb"BM.{4}\x00{4}", ".bmp"),
    _format("GIF", ".gif", rb"GIF8[79]a", ".gif"),
    _format("AVIF", ".avif", rb".{4}ftypavi[fs]", ".avif"),
    _format("HEIF", ".heic .heif .hif", rb".{4}ftyp(hei[cxms]|hev[cx]|m[is]f1)", ".heic"),
)
IMAGE_SUFFIXES = tuple(suffix for known in IMAGE_FORMATS for suffix in known.suffixes)


def identify(head: bytes) -> ImageFormat | None:
    """The format that a file's first bytes (`SIGNATURE_BYTES` or more) state; None for an unknown one."""
    return next((known for known in IMAGE_FORMATS if known.signature.match(head)), None)
