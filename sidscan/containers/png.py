"""Chunks of PNG (W3C PNG, third edition, section 5), as their lengths state; CRCs don't count."""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator
from typing import NamedTuple

_LONGEST_NUMBER = 10  # digits
_DIGITS = re.compile(rb"[0-9a-fA-F]*")
SIGNATURE = b"\x89PNG\r\n\x1a\n"


class PngChunk(NamedTuple):
    """A chunk: its kind, and where its body begins and ends."""

    kind: bytes
    body: int
    end: int


def png_chunks(data: bytes, with_cut: bool = False) -> Iterator[PngChunk]:
    """Chunks up to IEND, or as far as they can be followed.

    Args:
        with_cut: whether the chunk follows within which the file ends; its kind is empty if even that is cut.
    """
    at = len(SIGNATURE)
    while at + 12 <= len(data):
        size, kind = struct.unpack_from(">I4s", data, at)
        body, at = at + 8, at + 12 + size
        if at > len(data):
            if with_cut:
                yield PngChunk(kind, body, body + size)
            return
        yield PngChunk(kind, body, body + size)
        if kind == b"IEND":
            return
    if with_cut:
        yield _cut_head(data, at)


def _cut_head(data: bytes, at: int) -> PngChunk:
    """A chunk of which less than length, kind and checksum are there."""
    kind = data[at + 4 : at + 8]
    size = int.from_bytes(data[at : at + 4], "big")
    return PngChunk(kind if len(kind) == 4 else b"", min(at + 8, len(data)), at + 8 + size)


def profile_content(text: bytes) -> bytes | None:
    """What ImageMagick writes as a text: a name, a length in bytes, hexadecimal digits; else None.

    What stands behind the stated length, or behind the last digit, does not count.
    """
    _, _, rest = text.lstrip().partition(b"\n")
    length, *lines = rest.split(None, 1)[:2] or [b""]
    if not lines or not length.isdigit() or len(length) > _LONGEST_NUMBER:
        return None
    match = _DIGITS.match(lines[0].translate(None, b" \t\r\n\x0b\x0c"))
    digits = match[0] if match else b""
    return bytes.fromhex(digits[: min(2 * int(length), len(digits) // 2 * 2)].decode())
